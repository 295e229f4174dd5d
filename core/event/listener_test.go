package event

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// SO_REUSEPORT alone would let a second gateway take half of the connections without a word.
func TestAnAddressThatSomebodyListensOnIsAnError(t *testing.T) {
	ours, addr, err := Bind(loopback, 3)
	if err != nil || len(ours) != 3 {
		t.Fatal(ours, err)
	}
	defer CloseSockets(ours)
	others, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer others.Close()
	foreign := others.Addr().(*net.TCPAddr).AddrPort()
	for _, taken := range []struct {
		whose string
		fds   func() ([]int, error)
	}{
		{"ours", func() ([]int, error) { fds, _, err := Bind(addr, 1); return fds, err }},
		{"another's", func() ([]int, error) { fds, _, err := Bind(foreign, 2); return fds, err }},
	} {
		if fds, err := taken.fds(); !errors.Is(err, unix.EADDRINUSE) || fds != nil {
			CloseSockets(fds)
			t.Errorf("%s: %v, %v", taken.whose, fds, err)
		}
	}
}

func TestAConnectionThatNobodyOwnsIsClosed(t *testing.T) {
	r := start(t, Options{})
	refused := 0
	peer := connect(t, r.listen(refusing(&refused)))
	if got := hearEnd(t, peer); len(got) > 0 {
		t.Errorf("the peer heard %q", got)
	}
	r.do(func() {
		if refused != 1 || r.Conns() != 0 {
			t.Errorf("%d refused, %d connections", refused, r.Conns())
		}
	})
}

// A drain closes the listener: whoever the kernel has greeted by then is served.
func TestAcceptRestTakesWhoeverHasConnected(t *testing.T) {
	const peers = 2*acceptsPerTurn + 1
	r := start(t, Options{})
	fds, addr, err := Bind(loopback, 1)
	if err != nil {
		t.Fatal(err)
	}
	proceed := r.halt()
	for range peers {
		connect(t, addr)
	}
	accepted := 0
	r.Post(func() {
		ln, err := r.Listen(fds[0], func(*Conn, error) Handler { accepted++; return &probe{} })
		if err != nil {
			t.Error(err)
			return
		}
		ln.AcceptRest()
		ln.Close()
	})
	proceed()
	r.do(func() {
		if accepted != peers || r.Conns() != peers {
			t.Errorf("%d accepted, %d connections, want %d", accepted, r.Conns(), peers)
		}
	})
	if c, err := net.Dial("tcp", addr.String()); err == nil {
		c.Close()
		t.Error("the listener is still there")
	}
}

func TestAnAcceptThatPanicsLosesTheConnectionAndNotTheListener(t *testing.T) {
	panics, calls := 0, 0
	r, p := start(t, Options{OnPanic: func() { panics++ }}), &probe{}
	addr := r.listen(func(c *Conn, _ error) Handler {
		if calls++; calls == 1 {
			panic("alas")
		}
		p.conn = c
		return p
	})
	if got := hearEnd(t, connect(t, addr)); len(got) > 0 {
		t.Errorf("the peer heard %q", got)
	}
	livesOn(t, r, p, connect(t, addr))
	r.do(func() {
		if panics != 1 || r.Conns() != 1 {
			t.Errorf("%d panics, %d connections", panics, r.Conns())
		}
	})
}

// childVariable is set in the process that has few descriptors: running short of them would harm the other tests.
const childVariable = "SLUICE_TEST_CHILD"

func TestAcceptingRestsWhileThereAreNoDescriptorsAndRecovers(t *testing.T) {
	if os.Getenv(childVariable) == "" {
		child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), childVariable+"=1")
		if out, err := child.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	r := start(t, Options{})
	var told []error
	accepted := 0
	addr := r.listen(func(c *Conn, err error) Handler {
		if c == nil {
			told = append(told, err)
			return nil
		}
		accepted++
		return &probe{}
	})
	caller, err := newSocket(unix.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(caller)
	restore := leaveNoDescriptor(t)
	defer restore()
	to, _ := sockaddr(addr)
	if err := unix.Connect(caller, to); err != nil && err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	r.await("the second failure, which shows that it tries again", func() bool { return len(told) == 2 })
	r.do(func() {
		if !errors.Is(told[0], unix.EMFILE) || accepted > 0 {
			t.Errorf("told %v, %d accepted", told[0], accepted)
		}
		// A listener that went on would be told of the waiting connection in every turn.
		if n := r.poller.poll(); n != 0 {
			t.Errorf("%d events are reported while it rests", n)
		}
	})
	restore()
	r.await("the connection", func() bool { return accepted == 1 })
	second, err := newSocket(unix.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(second)
	if err := unix.Connect(second, to); err != nil && err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	r.await("the next one", func() bool { return accepted == 2 })
}

// leaveNoDescriptor lowers the limit to what is open, until restore is called.
func leaveNoDescriptor(t *testing.T) (restore func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	lowest, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(lowest)
	limit := before
	limit.Cur = uint64(lowest)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}
}
