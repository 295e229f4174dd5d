package handoff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/testnet"
)

// roleVariable makes this test binary the new process of a test.
const roleVariable = "HANDOFF_TEST_ROLE"

// markVariable names a file that the new process makes when it ignores SIGTERM.
const markVariable = "HANDOFF_TEST_MARK"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	testnet.Main(m)
}

// play is what the new process does. What goes wrong is told by the exit status.
func play(role string) int {
	in, err := Receive()
	if err != nil || in == nil {
		return 10
	}
	switch role {
	case "serve":
		return serve(in)
	case "fail":
		return 7
	case "hang":
		select {}
	case "ignore":
		signal.Ignore(syscall.SIGTERM)
		if err := os.WriteFile(os.Getenv(markVariable), nil, 0o600); err != nil {
			return 19
		}
		select {}
	}
	return 11
}

// serve answers connections with what the process sees, until one says "end".
func serve(in *Inheritance) int {
	if again, err := Receive(); again != nil || err != nil || os.Getenv(variable) != "" {
		return 12
	}
	if names := strings.Join(in.Names(), ","); names != "admin,http" {
		return 13
	}
	if in.Note("key") != "value" || in.Note("other") != "" {
		return 20
	}
	fds := in.Take("http")
	if len(fds) != 2 || len(in.Take("http")) != 0 {
		return 14
	}
	f := os.NewFile(uintptr(fds[1]), "http")
	ln, err := net.FileListener(f)
	if err != nil {
		return 15
	}
	f.Close()
	left := in.sockets[0].FD
	if err := in.Ready(); err != nil {
		return 16
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(left), syscall.F_GETFD, 0); errno != syscall.EBADF {
		return 17
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return 18
		}
		word, _ := io.ReadAll(c)
		fmt.Fprintf(c, "%d %s", os.Getpid(), word)
		c.Close()
		if string(word) == "end" {
			return 0
		}
	}
}

func program(t *testing.T, role string) Program {
	t.Helper()
	t.Setenv(roleVariable, role)
	p, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	p.Args = p.Args[:1]
	return p
}

// listen returns a listening socket, with its descriptor.
func listen(t *testing.T) (*net.TCPListener, int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	if err := raw.Control(func(fd uintptr) { number = int(fd) }); err != nil {
		t.Fatal(err)
	}
	return ln.(*net.TCPListener), number
}

// start starts the new process, which is ended with the test.
func start(t *testing.T, p Program, sockets []Socket) *Child {
	t.Helper()
	c, err := p.Start(sockets, map[string]string{"key": "value"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.process.Kill()
		<-c.ended
	})
	return c
}

// ask makes one call to whoever accepts.
func ask(t *testing.T, addr, word string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, word)
	_ = c.(*net.TCPConn).CloseWrite()
	_ = c.SetDeadline(time.Now().Add(testnet.Patience))
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func TestTheNewProcessGoesOnWithTheSockets(t *testing.T) {
	admin, adminFD := listen(t)
	a, fdA := listen(t)
	b, fdB := listen(t)
	c := start(t, program(t, "serve"), []Socket{{"admin", adminFD}, {"http", fdA}, {"http", fdB}})
	if err := c.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, ln := range []net.Listener{admin, a, b} {
		ln.Close() // from here on the queue is the new process's alone
	}
	want := fmt.Sprint(c.PID(), " hello")
	if got := ask(t, b.Addr().String(), "hello"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	ask(t, b.Addr().String(), "end")
	testnet.Receive(t, "the new process to end", c.ended)
	if c.state.ExitCode() != 0 {
		t.Errorf("the new process complains: %v", c.state)
	}
}

// The status flags of a socket belong to all its copies. A loop that accepts from one that has become blocking would never come back.
func TestASocketThatIsHandedOverStaysNonBlocking(t *testing.T) {
	_, fd := listen(t)
	c := start(t, program(t, "fail"), []Socket{{"http", fd}})
	if err := c.Await(t.Context()); err == nil {
		t.Fatal("ready")
	}
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
	if errno != 0 || flags&syscall.O_NONBLOCK == 0 {
		t.Errorf("flags %#x, %v", flags, errno)
	}
}

func TestAProcessThatEndsBeforeItIsReadyIsAnError(t *testing.T) {
	err := start(t, program(t, "fail"), nil).Await(t.Context())
	if err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("got %v", err)
	}
}

func TestAProcessThatIsNotReadyInTimeIsStopped(t *testing.T) {
	c := start(t, program(t, "hang"), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Await(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if status := c.state.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v", c.state)
	}
}

func TestAProcessThatDoesNotHearOfSIGTERMIsKilled(t *testing.T) {
	defer func(d time.Duration) { stopPatience = d }(stopPatience)
	stopPatience = 50 * time.Millisecond
	mark := filepath.Join(t.TempDir(), "ignored")
	t.Setenv(markVariable, mark)
	c := start(t, program(t, "ignore"), nil)
	ctx, cancel := context.WithCancel(t.Context())
	awaited := make(chan error, 1)
	go func() { awaited <- c.Await(ctx) }()
	testnet.Await(t, "the new process to ignore signals", func() bool { _, err := os.Stat(mark); return err == nil })
	cancel()
	if err := testnet.Receive(t, "the end of the wait", awaited); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if status := c.state.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", c.state)
	}
}

func TestAFileThatCannotRunIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(path, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, p := range []Program{{Path: path, Args: []string{"x"}}, {Path: path + "-missing", Args: []string{"x"}}} {
		if _, err := p.Start(nil, nil); err == nil || !strings.Contains(err.Error(), p.Path) {
			t.Errorf("got %v", err)
		}
	}
}

func TestAProcessThatNobodyHasStartedInOrderToBeReplacedReceivesNothing(t *testing.T) {
	in, err := Receive()
	if in != nil || err != nil {
		t.Fatal(in, err)
	}
	if in.Take("http") != nil || in.Names() != nil || in.Note("key") != "" || in.Ready() != nil {
		t.Error("nothing is something")
	}
}

func TestAVariableThatLiesIsAnError(t *testing.T) {
	for _, value := range []string{"x", `["http"]`, `{"sockets":[` + strings.Repeat(`"x",`, 1000) + `"x"]}`} {
		t.Setenv(variable, value)
		if in, err := Receive(); err == nil {
			t.Errorf("%s: %v", value, in)
		}
	}
}

// The operator replaces the file, or points a link to another version: what is at the path is what runs next.
func TestTheProgramIsThePathThatWasCalled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	defer func(args []string) { os.Args = args }(os.Args)
	for called, want := range map[string]string{link: link, sh: self, "any text": self, filepath.Join(dir, "gone"): self} {
		os.Args = []string{called, "run"}
		if p, err := Self(); err != nil || p.Path != want || len(p.Args) != 2 || p.Args[0] != called {
			t.Errorf("%s: %+v, %v; want %s", called, p, err, want)
		}
	}
	t.Setenv("PATH", dir)
	os.Args = []string{"link"}
	if p, err := Self(); err != nil || p.Path != link {
		t.Errorf("found through PATH: %+v, %v", p, err)
	}
}
