package cli

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sluice/control"
	"sluice/internal/testnet"
)

// nodes returns the weights of the registered nodes of a service.
func (g *gateway) nodes(t *testing.T, service string) (weights []int) {
	t.Helper()
	entries, _, err := g.store.List(t.Context(), control.Nodes.Folder(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if n, err := control.DecodeNode(e.Value); err == nil && n.ServiceName == service {
			weights = append(weights, *n.Weight)
		}
	}
	return weights
}

// registrar runs register in the real binary, since it lives by signals.
func registrar(t *testing.T, g *gateway, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(binary(t), append([]string{"register", "--data-dir", g.config.DataDir, "--service", "orders", "--drain", "0s"}, args...)...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd, &said
}

// Contract, section 1: register keeps a node registered while it runs, and takes it out on exit.
func TestRegisterKeepsANodeWhileItRuns(t *testing.T) {
	g := startTest(t, nil)
	cmd, said := registrar(t, g, "--upstream", "127.0.0.1:1", "--weight", "7")
	testnet.Await(t, "the node", func() bool { return len(g.nodes(t, "orders")) == 1 })
	if weights := g.nodes(t, "orders"); weights[0] != 7 {
		t.Errorf("weight %d", weights[0])
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
	if left := g.nodes(t, "orders"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// The gateways stop asking the node before its command is told to stop; the command's exit code is register's.
func TestRegisterTakesTheNodeOutBeforeItStopsTheCommand(t *testing.T) {
	g := startTest(t, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dir := t.TempDir()
	script := `trap 'echo told > told; while [ ! -e go ]; do sleep 0.01; done; exit 7' TERM; trap 'echo hup > hup' HUP; echo up; echo up > up; while :; do sleep 0.01; done`
	cmd, said := registrar(t, g, "--upstream", listener.Addr().String(), "--", "sh", "-c", "cd "+dir+"; "+script)
	testnet.Await(t, "the node", func() bool { return len(g.nodes(t, "orders")) == 1 })
	there := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	testnet.Await(t, "the command to hear signals", func() bool { return there("up") })
	_ = cmd.Process.Signal(syscall.SIGHUP)
	testnet.Await(t, "SIGHUP in the command", func() bool { return there("hup") })
	_ = cmd.Process.Signal(syscall.SIGTERM)
	testnet.Await(t, "SIGTERM in the command", func() bool { return there("told") })
	if weights := g.nodes(t, "orders"); len(weights) != 1 || weights[0] != 0 {
		t.Errorf("when the command is told, the node has the weights %v", weights)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 7 || !strings.HasPrefix(said.String(), "up\n") {
		t.Errorf("exit code %d, output %s", code, said)
	}
	if left := g.nodes(t, "orders"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestRegisterEndsWithItsCommand(t *testing.T) {
	g := startTest(t, nil)
	for script, code := range map[string]int{"exit 3": 3, "exit 0": 0, "kill -9 $$": 128 + 9} {
		cmd, said := registrar(t, g, "--upstream", "127.0.0.1:1", "--", "sh", "-c", script)
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%s: exit code %d, want %d: %s", script, got, code, said)
		}
	}
	if left := g.nodes(t, "orders"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestRegisterSaysWhatIsWrongWithItsArguments(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--upstream", "127.0.0.1:1"}, "service_name: is missing"},
		{[]string{"--service", "a", "--upstream", "127.0.0.1"}, "upstream: "},
		{[]string{"--service", "a", "--upstream", "127.0.0.1:1", "--weight", "-1"}, "weight: "},
		{[]string{"--service", "a", "--upstream", "127.0.0.1:1", "--weight", "0"}, "--weight"},
		{[]string{"--service", "a", "--upstream", "127.0.0.1:1", "--etcd", "127.0.0.1:1", "--ttl", "1ms"}, "whole seconds"},
		{[]string{"--service", "a", "--upstream", "127.0.0.1:1", "sleep"}, "behind --"},
		{[]string{"--service", "a", "--upstream", "127.0.0.1:1"}, "where is the store"},
		{[]string{"--service", "a", "--upstream", "127.0.0.1:1", "--etcd", "127.0.0.1:1", "--", "/no/such/command"}, "/no/such/command"},
	} {
		args := append([]string{"register", "--data-dir", dir}, tc.args...)
		code, _, stderr := command(t, args...)
		if code != exitUsage || !strings.Contains(stderr, tc.want) {
			t.Errorf("%v: exit code %d, stderr %q, want %q", args, code, stderr, tc.want)
		}
	}
}
