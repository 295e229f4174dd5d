package event

import (
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What the kernel says when the machine is out of something, which no test can bring about without harm to the others.

// listenThrough listens with calls of accept that say what script does, first to last, before they come to the kernel.
func (r *running) listenThrough(script []unix.Errno, accept Accept) netip.AddrPort {
	r.t.Helper()
	fds, addr, err := Bind(loopback, 1)
	if err != nil {
		r.t.Fatal(err)
	}
	r.do(func() {
		ln, err := r.Listen(fds[0], accept)
		if err != nil {
			r.t.Error(err)
			return
		}
		ln.take = func(fd int) (int, netip.AddrPort, unix.Errno) {
			if len(script) == 0 {
				return sysAccept(fd)
			}
			errno := script[0]
			script = script[1:]
			return -1, netip.AddrPort{}, errno
		}
	})
	return addr
}

// ENFILE and ENOBUFS are the machine's, EMFILE the process's: the owner is told each time, the listener rests in between, and the client that waits is served in the end.
func TestAcceptingRestsWhileTheMachineIsOutOfSomethingAndRecovers(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENFILE, unix.ENOBUFS, unix.ENOMEM} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			r := start(t, Options{})
			var told []error
			var at []int64
			accepted := 0
			addr := r.listenThrough([]unix.Errno{errno, errno}, func(c *Conn, err error) Handler {
				if c == nil {
					told, at = append(told, err), append(at, r.Now())
					return nil
				}
				accepted, at = accepted+1, append(at, r.Now())
				return &probe{}
			})
			connect(t, addr)
			r.await("the connection", func() bool { return accepted == 1 })
			connect(t, addr)
			r.await("the next one", func() bool { return accepted == 2 })
			r.do(func() {
				if len(told) != 2 {
					t.Errorf("told %v", told)
					return
				}
				for i, err := range told {
					if !errors.Is(err, errno) || !Exhausted(err) {
						t.Errorf("told %v", err)
					}
					if rest := time.Duration(at[i+1] - at[i]); rest < acceptPause {
						t.Errorf("it went on after %v", rest)
					}
				}
			})
		})
	}
}

// accept(2): an error that a connection had in the network before it was accepted is that connection's alone. Who could make the listener rest for it would keep others out.
func TestAConnectionThatIsLostBeforeItIsAcceptedKeepsNobodyOut(t *testing.T) {
	r := start(t, Options{})
	accepted := 0
	var told []error
	addr := r.listenThrough(append([]unix.Errno{unix.EINTR}, lost...), func(c *Conn, err error) Handler {
		if c == nil {
			told = append(told, err)
			return nil
		}
		accepted++
		return &probe{}
	})
	connect(t, addr)
	r.await("the connection", func() bool { return accepted == 1 })
	r.do(func() {
		if told != nil {
			t.Errorf("told %v", told)
		}
	})
}

// Where a write fails for want of memory, what was to be sent is gone: the connection closes, its owner learns why, and nothing is kept for it. The others go on.
func TestAWriteThatFailsForWantOfMemoryClosesTheOneConnection(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOBUFS, unix.ENOMEM} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			r := start(t, Options{})
			p, witness := &probe{}, &probe{}
			peer, witnessing := r.pair(p), r.pair(witness)
			r.do(func() {
				p.conn.Write(pattern(16 << 20)) // more than the kernel takes
				if settled := p.conn.taken(-1, errno, 19); settled != 19 {
					t.Errorf("%d bytes are settled", settled)
				}
			})
			r.await("the close", func() bool { return p.closed == 1 })
			r.do(func() {
				if !errors.Is(p.err, errno) || !Exhausted(p.err) || p.conn.Queued() != 0 {
					t.Errorf("closed with %v, %d bytes queued", p.err, p.conn.Queued())
				}
			})
			_, _ = io.Copy(io.Discard, peer) // an end or a reset
			livesOn(t, r, witness, witnessing)
		})
	}
}
