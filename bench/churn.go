package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// churn is changes of other routes that go on while a load is measured, made by tools/churn. Rivals that can only be told by a reload are left in peace.
type churn struct {
	cmd      *exec.Cmd
	end      io.Closer    // its standard input
	out, log bytes.Buffer // what it says
}

// behind makes a program take what others leave: it stands for other machines, and would have processors of its own there.
var behind = []string{"nice", "-n", "10"}

// churnRoutes is how many routes the scenario churn has: each is changed several times in a run.
const churnRoutes = 2000

// churnWriters is how many changes are under way at once, at most: the store syncs its disk once for all that wait for it.
const churnWriters = 64

// churnVariants are the two ways of changes, each beside the same without any. What an etcd and its writer take of the processors that all share is no part of what changes cost the gateway,
// and so one row has the same changes in that etcd, below a prefix that nobody follows.
func churnVariants(o *options) (list []variant) {
	add := func(name string, s setup, changes int, elsewhere bool) {
		j := smallJob(o.connections)
		j.changes, j.elsewhere = changes, elsewhere
		list = append(list, variant{name: name, setup: s, job: j, rate: halfOfNginx})
	}
	apart, embedded := setup{routes: churnRoutes, storeApart: true}, setup{routes: churnRoutes}
	add("etcd apart, 0 changes/s", apart, 0, false)
	add("etcd apart, 1000 changes/s of others' keys", apart, 1000, true)
	add("etcd apart, 1000 changes/s", apart, 1000, false)
	for _, n := range []int{0, 100, 1000} {
		add(fmt.Sprintf("admin API, %d changes/s", n), embedded, n, false)
	}
	return list
}

// startChurn begins with the changes of a job; the routes are those of the setup. It returns nil where there is nothing to change.
func startChurn(ctx context.Context, h *harness, r *rival, j job) (*churn, error) {
	if j.changes == 0 || r.admin == nil || r.setup.routes == 0 {
		return nil, nil
	}
	binary, err := h.toolBinary(ctx, "churn")
	if err != nil {
		return nil, err
	}
	args := []string{binary, "-rate", strconv.Itoa(j.changes), "-routes", strconv.Itoa(r.setup.routes), "-writers", strconv.Itoa(churnWriters)}
	if r.store == "" {
		args = append(args, "-admin", r.admin.base, "-token", r.admin.token)
	} else {
		args = append(args, "-etcd", r.store, "-node", fmt.Sprintf("127.0.0.1:%d", h.origin.port))
	}
	if j.elsewhere {
		args = append(args, "-prefix", "/elsewhere/")
	}
	args = append(behind, args...)
	c := &churn{cmd: exec.CommandContext(ctx, args[0], args[1:]...)}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if c.end, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("churn: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("churn: %w", err)
	}
	return c, nil
}

// stop ends the changes and returns how many a second there were, and the first that failed.
func (c *churn) stop() (perSecond float64, err error) {
	if c == nil {
		return 0, nil
	}
	closed := c.end.Close()
	if err := c.cmd.Wait(); err != nil || closed != nil {
		return 0, fmt.Errorf("churn: %w: %s%s", errors.Join(err, closed), c.out.String(), strings.TrimSpace(c.log.String()))
	}
	var report struct {
		Changes int64   `json:"changes"`
		Seconds float64 `json:"seconds"`
	}
	if err := json.Unmarshal(c.out.Bytes(), &report); err != nil || report.Seconds <= 0 {
		return 0, fmt.Errorf("churn: it says %q: %w", c.out.String(), err)
	}
	return float64(report.Changes) / report.Seconds, nil
}

// kept says what is wrong where fewer changes were acknowledged than asked for.
func kept(asked int, made float64) []string {
	if made < 0.95*float64(asked) {
		return []string{fmt.Sprintf("only %.0f of %d changes a second were made", made, asked)}
	}
	return nil
}

// toolBinary builds one of the repository's tools.
func (h *harness) toolBinary(ctx context.Context, name string) (string, error) {
	binary := filepath.Join(h.dir, name+"-binary")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./tools/"+name)
	cmd.Dir = h.opt.repo
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: build: %w\n%s", name, err, out)
	}
	return binary, nil
}

// startStore runs an etcd as a process of its own, the one that Sluice embeds, and returns where it is.
func (h *harness) startStore(ctx context.Context, dir, binary string) (endpoint string, err error) {
	port, err := freePort()
	if err != nil {
		return "", err
	}
	admin, err := freePort()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "store")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	conf := filepath.Join(dir, "store.yaml")
	text := fill(storeConf, "{dir}", dir, "{port}", port, "{admin}", admin)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return "", err
	}
	p, err := h.spawn(dir, "store", append(behind, binary, "run", "--config", conf)...)
	if err != nil {
		return "", err
	}
	ready := func() error { return expectOK(ctx, fmt.Sprintf("http://127.0.0.1:%d/readyz", admin)) }
	return socketOf(dir), p.await(ctx, readyTimeout, ready)
}

// storeConf makes a Sluice that nobody asks for anything but its etcd. It keeps what it writes below another prefix, and so follows nothing.
const storeConf = `
workers: 1
data_dir: {dir}/data
listeners:
  - address: "127.0.0.1:{port}"
admin:
  address: "127.0.0.1:{admin}"
access_log: {path: ""}
etcd: {prefix: "/apart/"}
`
