package event

import (
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testnet"
)

// A read that is alone in its batch is made without the ring; when it fails, the connection is as it was.
func TestALoneReadThatFailsLeavesTheConnectionInOrder(t *testing.T) {
	needRing(t)
	panics := 0
	r, b, x := start(t, Options{OnPanic: func() { panics++ }}), &probe{}, &probe{}
	peer := r.pair(b)
	addr := r.listen(func(c *Conn, _ error) Handler { // the event before, which is no read
		x.conn = c
		if b.conn.w != 0 {
			t.Errorf("%d bytes have come", b.conn.w)
		}
		b.conn.Pause()
		return x
	})
	proceed := r.halt()
	connect(t, addr)
	reset(t, peer)
	testnet.Await(t, "the reset", func() bool { return hungUp(b.conn) })
	proceed()
	r.await("the new connection", func() bool { return x.conn != nil })
	r.turns()
	r.do(func() {
		if r.Lent() != 0 {
			t.Errorf("%d buffers are out", r.Lent())
		}
		b.conn.Resume()
	})
	r.await("the end", func() bool { return b.closed == 1 })
	r.do(func() {
		if panics > 0 {
			t.Errorf("%d panics", panics)
		}
	})
}

// sealing is a layer that sends something else than it is given.
type sealing struct{ fakeLayer }

func (s *sealing) Write(_, _ []byte) error {
	s.wire.Write([]byte("sealed"))
	return nil
}

// What was written for a layer to pass on never goes without it, however the connection ends.
func TestAResetSendsNothingPastTheLayer(t *testing.T) {
	for name, gather := range map[string]bool{"at the end of the batch": false, "at the end of the turn": true} {
		t.Run(name, func(t *testing.T) {
			r, a, b, other := start(t, Options{}), &probe{}, &probe{}, &probe{}
			peer, layer := r.pair(a), &sealing{}
			addr := r.listen(func(c *Conn, _ error) Handler {
				b.conn, layer.wire = c, c.Wire()
				c.SetLayer(layer, true)
				if gather {
					c.GatherTurn()
				}
				return b
			})
			bPeer, otherPeer := connect(t, addr), r.pair(other)
			r.await("the handshake", func() bool { return b.opened == 1 })
			a.onData = func(c *Conn) {
				a.take(c)
				b.conn.Write([]byte("secret"))
				r.Post(func() { b.conn.Reset() })
			}
			other.onData = func(c *Conn) { other.take(c); b.conn.Reset() }
			proceed := r.halt()
			say(t, peer, []byte("x"))
			testnet.Await(t, "the first byte", func() bool { return arrived(a.conn) == 1 })
			say(t, otherPeer, []byte("x"))
			testnet.Await(t, "the second", func() bool { return arrived(other.conn) == 1 })
			proceed()
			patiently(t, bPeer)
			if got, _ := io.ReadAll(bPeer); strings.Contains(string(got), "secret") {
				t.Errorf("in the clear: %q", got)
			}
		})
	}
}

// Whoever has been told that nothing was sent, and gives the connection up, can do it all over again elsewhere.
func TestAnAbandonedConnectionSendsNothingMore(t *testing.T) {
	needRing(t)
	r, a, b := start(t, Options{}), &probe{}, &probe{}
	aPeer, bPeer := r.pair(a), r.pair(b)
	a.onData = func(c *Conn) { a.take(c); b.conn.Write([]byte("POST")) }
	b.onEOF = func(c *Conn) {
		if c.Sent() != 0 {
			t.Errorf("%d bytes were sent", c.Sent())
		}
		c.Abandon()
	}
	proceed := r.halt()
	say(t, aPeer, []byte("x"))
	testnet.Await(t, "the byte", func() bool { return arrived(a.conn) == 1 })
	if err := bPeer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	testnet.Await(t, "the end", func() bool { n, errno := sysPeek(b.conn.fd); return n == 0 && errno == 0 })
	proceed()
	if got := hearEnd(t, bPeer); len(got) > 0 {
		t.Errorf("the peer heard %q", got)
	}
}

// A handler that is told of a close writes to others: behind what those still have to send, and without anything else having to happen.
func TestWhatFollowsAWriteIsInOrderAndIsSent(t *testing.T) {
	for name, spoil := range map[string]bool{"ring": false, "ring that has failed": true} {
		t.Run(name, func(t *testing.T) {
			needRing(t)
			r, a, b := start(t, Options{}), &probe{}, &probe{}
			aPeer, bPeer := r.pair(a), r.pair(b)
			large := pattern(20_000)
			r.do(func() {
				if spoil {
					spoilRing(t, r.Loop)
				}
				a.conn.GatherTurn()
				a.onData = func(c *Conn) { a.take(c); c.Write([]byte("bye")); c.CloseWhenSent(); b.conn.Write([]byte("first")) }
				a.onClosed = func(*Conn) { b.conn.Write(large); b.conn.Write([]byte("last")); b.conn.Shutdown() }
			})
			say(t, aPeer, []byte("x"))
			if got := hearEnd(t, bPeer); string(got) != "first"+string(large)+"last" {
				t.Errorf("%d bytes came, or in another order", len(got))
			}
		})
	}
}

// spoilRing makes every further use of the ring fail.
func spoilRing(t *testing.T, l *Loop) {
	t.Helper()
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Dup3(null, l.ring.fd, unix.O_CLOEXEC)
		_ = unix.Close(null)
	}
	if err != nil {
		t.Error(err)
	}
}

// stubborn is a layer that panics whenever something is to be written.
type stubborn struct{ fakeLayer }

func (*stubborn) Write(_, _ []byte) error { panic("alas") }

func TestAPanicOfALayerCostsItsOwnConnection(t *testing.T) {
	panics := 0
	r, a, b := start(t, Options{OnPanic: func() { panics++ }}), &probe{}, &probe{}
	peer, layer := r.pair(a), &stubborn{}
	addr := r.listen(func(c *Conn, _ error) Handler {
		b.conn, layer.wire = c, c.Wire()
		c.SetLayer(layer, true)
		return b
	})
	connect(t, addr)
	r.await("the handshake", func() bool { return b.opened == 1 })
	r.do(func() { a.onData = func(c *Conn) { a.take(c); b.conn.Write([]byte("x")) } })
	say(t, peer, []byte("x"))
	r.await("the close", func() bool { return b.conn.IsClosed() })
	r.turns()
	r.do(func() {
		if panics != 1 || a.closed > 0 || a.conn.IsClosed() {
			t.Errorf("%d panics; the other is closed: %v", panics, a.conn.IsClosed())
		}
	})
}
