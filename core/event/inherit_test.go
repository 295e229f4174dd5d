package event

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testnet"
)

// refusing counts the connections that a listener is offered, and takes none.
func refusing(n *int) Accept {
	return func(c *Conn, _ error) Handler {
		if c != nil {
			*n++
		}
		return nil
	}
}

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// dialTo connects to addr, which is established by the kernel whoever accepts, and closes with the test.
func dialTo(t *testing.T, addr netip.AddrPort) {
	t.Helper()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
}

func TestASocketIsHandedOverWithItsQueue(t *testing.T) {
	fds, bound, err := Bind(loopback, 1)
	if err != nil {
		t.Fatal(err)
	}
	old, next := start(t, Options{}), start(t, Options{})
	var oldGot, nextGot, second int
	old.do(func() {
		ln, err := old.Listen(fds[0], refusing(&oldGot))
		if err != nil {
			t.Error(err)
			return
		}
		if second, err = ln.Copy(); err != nil {
			t.Error(err)
		}
		if flags, err := unix.FcntlInt(uintptr(second), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("the copy would leak into any program: flags %#x, %v", flags, err)
		}
		ln.Close()
		if _, err := ln.Copy(); err == nil {
			t.Error("a copy of what is closed")
		}
	})
	dialTo(t, bound) // waits in the queue, whose only holder is the copy
	at, err := Inherit(second)
	if err != nil || at != bound {
		t.Fatalf("inherited %v, %v; want %v", at, err, bound)
	}
	next.do(func() {
		if _, err := next.Listen(second, refusing(&nextGot)); err != nil {
			t.Error(err)
		}
	})
	next.await("the connection", func() bool { return nextGot == 1 })
	old.do(func() {
		if oldGot != 0 {
			t.Error("the listener that is closed has accepted")
		}
	})
}

// A descriptor that is closed stays in the epoll set as long as another process has a copy of the socket. The loop would spin on connections that are not its own.
func TestAClosedListenerIsNotReportedThoughACopyHasConnectionsWaiting(t *testing.T) {
	fds, bound, err := Bind(loopback, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, Options{})
	var got, second int
	r.do(func() {
		ln, err := r.Listen(fds[0], refusing(&got))
		if err == nil {
			second, err = ln.Copy()
		}
		if err != nil {
			t.Error(err)
			return
		}
		ln.Close()
	})
	defer CloseSockets([]int{second})
	dialTo(t, bound)
	ready := []unix.PollFd{{Fd: int32(second), Events: unix.POLLIN}}
	testnet.Await(t, "the connection to be in the queue", func() bool {
		n, err := unix.Poll(ready, 0)
		return err == nil && n == 1
	})
	r.do(func() {
		if n := r.poller.poll(); n != 0 {
			t.Errorf("epoll reports %d events", n)
		}
	})
}

func TestMoreSocketsAreOpenedBesideThoseThatAreThere(t *testing.T) {
	fds, bound, err := Bind(loopback, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseSockets(fds)
	more, err := BindBeside(bound, 2)
	if err != nil || len(more) != 2 {
		t.Fatal(more, err)
	}
	defer CloseSockets(more)
	for _, fd := range more {
		if at := localAddr(fd); at != bound {
			t.Errorf("bound to %v, want %v", at, bound)
		}
	}
	if none, err := BindBeside(bound, 0); len(none) != 0 || err != nil {
		t.Error(none, err)
	}
	if _, err := BindBeside(netip.MustParseAddrPort("192.0.2.1:1"), 1); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("an address that is nobody's: %v", err)
	}
}

func TestWhatDoesNotListenIsNotInherited(t *testing.T) {
	connected, err := newSocket(unix.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(connected)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	path := t.TempDir() + "/socket"
	local, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	localFile, err := local.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer localFile.Close()
	for what, fd := range map[string]int{"a socket that does not listen": connected, "a file": int(file.Fd()), "no descriptor": 1 << 20, "a socket of the file system": int(localFile.Fd())} {
		if at, err := Inherit(fd); err == nil {
			t.Errorf("%s: inherited at %v", what, at)
		}
	}
}
