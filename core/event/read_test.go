package event

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testnet"
)

// say writes to the loop's side of a connection.
func say(t testing.TB, peer interface{ Write([]byte) (int, error) }, what []byte) {
	t.Helper()
	if _, err := peer.Write(what); err != nil {
		t.Fatal(err)
	}
}

// The socket is watched for edges: one that comes while nobody wants to read is not repeated, and must be remembered.
func TestAPausedConnectionKeepsItsBytesAndItsEndForResume(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peer := r.pair(p)
	r.do(func() { p.conn.Pause() })
	data := pattern(32 << 10)
	say(t, peer, data)
	r.await("the bytes", func() bool { return arrived(p.conn) == len(data) })
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r.await("the end to be dispatched", func() bool { return p.conn.PeerShut() })
	r.do(func() {
		if p.calls+p.eofs+p.closed > 0 {
			t.Errorf("while paused: %d times data, %d ends, %d closes", p.calls, p.eofs, p.closed)
		}
		p.conn.Resume()
		if p.calls > 0 {
			t.Error("Data was called from within Resume")
		}
	})
	r.await("the end", func() bool { return p.eofs == 1 })
	r.do(func() {
		if !bytes.Equal(p.got, data) {
			t.Errorf("%d bytes came, want the %d that were sent", len(p.got), len(data))
		}
	})
}

// What a handler leaves is told again by Resume, though nothing new comes.
func TestEachResumeTellsWhatIsUnread(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	p.onData = func(c *Conn) {
		n := min(7, len(c.Unread()))
		p.got = append(p.got, c.Unread()[:n]...)
		c.Consume(n)
		c.Pause()
	}
	peer := r.pair(p)
	data := pattern(70)
	say(t, peer, data)
	for call := 1; call <= 10; call++ {
		r.await("the next bytes", func() bool { return p.calls == call })
		r.turns()
		r.do(func() {
			if p.calls != call || !p.conn.IsPaused() {
				t.Errorf("%d calls after %d resumes", p.calls, call-1)
			}
			p.conn.Resume()
		})
	}
	r.do(func() {
		if !bytes.Equal(p.got, data) {
			t.Errorf("got %q", p.got)
		}
	})
}

func TestAnEndIsToldAfterTheBytesThatWerePutOff(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	p.onData = func(c *Conn) {
		p.got = append(p.got, c.Unread()[0])
		if c.Consume(1); len(c.Unread()) > 0 {
			c.Yield()
		}
	}
	before := -1
	p.onEOF = func(*Conn) { before = len(p.got) }
	peer := r.pair(p)
	proceed := r.halt()
	say(t, peer, pattern(100))
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	proceed()
	r.await("the end", func() bool { return p.eofs == 1 })
	r.do(func() {
		if before != 100 || !bytes.Equal(p.got, pattern(100)) {
			t.Errorf("%d bytes before the end, want 100: %q", before, p.got)
		}
	})
}

func TestAHandlerThatConsumesNothingHoldsOneMebibyte(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	p.onData = func(*Conn) {}
	peer := r.pair(p)
	data := pattern(4 << 20)
	sent := make(chan error, 1)
	go func() { _, err := peer.Write(data); sent <- err }()
	r.await("the bound", func() bool { return len(p.conn.Unread()) == maxUnread })
	r.turns()
	r.do(func() {
		if n := len(p.conn.Unread()); n != maxUnread {
			t.Errorf("%d bytes unread", n)
		}
		p.onData = nil
		p.conn.Resume()
	})
	r.await("all bytes", func() bool { return len(p.got) == len(data) })
	if err := testnet.Receive(t, "the sender", sent); err != nil {
		t.Error(err)
	}
	r.do(func() {
		if !bytes.Equal(p.got, data) {
			t.Error("the bytes are not those that were sent")
		}
	})
}

// Without FailOnHangup a reader that pauses loses nothing that came before the reset.
func TestAResetWhilePausedIsToldAfterTheBytesBeforeIt(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peer := r.pair(p)
	r.do(func() { p.conn.Pause() })
	say(t, peer, []byte("last words"))
	r.await("the bytes", func() bool { return arrived(p.conn) == len("last words") })
	reset(t, peer)
	r.await("the reset to be dispatched", func() bool { return hungUp(p.conn) && p.conn.PeerShut() })
	r.turns()
	r.do(func() {
		if p.closed > 0 || p.calls > 0 {
			t.Errorf("while paused: %d closes, %d times data", p.closed, p.calls)
		}
		p.conn.Resume()
	})
	r.await("the failure", func() bool { return p.closed == 1 })
	r.do(func() {
		if string(p.got) != "last words" || p.eofs != 0 || !errors.Is(p.err, unix.ECONNRESET) {
			t.Errorf("got %q, %d ends, %v", p.got, p.eofs, p.err)
		}
	})
}

func TestAResetFailsAPausedConnectionThatAsksForIt(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peer := r.pair(p)
	r.do(func() { p.conn.Pause(); p.conn.FailOnHangup(true) })
	reset(t, peer)
	r.await("the failure", func() bool { return p.closed == 1 })
	r.do(func() {
		if !errors.Is(p.err, unix.ECONNRESET) || p.eofs != 0 || !p.conn.IsClosed() || r.Conns() != 0 {
			t.Errorf("%v, %d ends, closed %v, %d connections", p.err, p.eofs, p.conn.IsClosed(), r.Conns())
		}
	})
}

// Bytes and reset are one event here. An answer whose sender is gone is an answer all the same.
func TestBytesThatAResetFollowsAreDelivered(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peer := r.pair(p)
	data := pattern(20_000)
	proceed := r.halt()
	say(t, peer, data)
	testnet.Await(t, "the bytes", func() bool { return arrived(p.conn) == len(data) })
	reset(t, peer)
	testnet.Await(t, "the reset", func() bool { return hungUp(p.conn) })
	proceed()
	r.await("the failure", func() bool { return p.closed == 1 })
	r.do(func() {
		if !bytes.Equal(p.got, data) || p.eofs != 0 || !errors.Is(p.err, unix.ECONNRESET) {
			t.Errorf("%d bytes of %d, %d ends, %v", len(p.got), len(data), p.eofs, p.err)
		}
	})
}

// The fast peer sends again whenever it is read from, so there is never a moment at which its connection has been emptied.
func TestAFastSenderDoesNotStarveOthers(t *testing.T) {
	r, fast, slow := start(t, Options{}), &probe{}, &probe{}
	fastPeer, slowPeer := r.pair(fast), r.pair(slow)
	raw, err := fastPeer.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	chunk := pattern(256 << 10)
	refill := func() { // never blocks: what the kernel does not take is left
		_ = raw.Write(func(fd uintptr) bool { _, _ = unix.Write(int(fd), chunk); return true })
	}
	heard := -1 // calls of the fast one before the slow one was heard
	slow.onData = func(c *Conn) { heard = fast.calls; slow.take(c) }
	fast.onData = func(c *Conn) {
		c.Consume(len(c.Unread()))
		if heard < 0 && fast.calls < 1000 {
			refill()
		}
	}
	proceed := r.halt()
	// Room for more than one read, or each would empty the socket and be the last of its turn by that alone.
	if err := unix.SetsockoptInt(fast.conn.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20); err != nil {
		t.Fatal(err)
	}
	testnet.Await(t, "two reads of the fast one", func() bool { refill(); return arrived(fast.conn) >= 2*readSize })
	say(t, slowPeer, []byte("!"))
	testnet.Await(t, "the one byte", func() bool { return arrived(slow.conn) == 1 })
	proceed()
	r.await("the slow one to be heard", func() bool { return heard >= 0 })
	r.do(func() {
		if heard > readsPerTurn {
			t.Errorf("the slow one was heard after %d reads of the fast one, want at most %d", heard, readsPerTurn)
		}
	})
}

func TestAnIdleConnectionOwnsNoBuffer(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peer := r.pair(p)
	say(t, peer, pattern(5000))
	r.await("the bytes", func() bool { return len(p.got) == 5000 })
	r.do(func() { p.conn.Write(pattern(5000)) })
	r.do(func() {
		if c := p.conn; c.in != nil || c.out != nil || c.queue != nil {
			t.Errorf("in %d, out %d, queue %v", cap(c.in), cap(c.out), c.queue)
		}
	})
}

// A head that comes slowly must not hold a buffer of the size of a read.
func TestAFewUnreadBytesHoldTheSmallestBuffer(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	p.onData = func(*Conn) {}
	peer := r.pair(p)
	say(t, peer, []byte("GET / HT"))
	r.await("the bytes", func() bool { return p.calls == 1 })
	r.do(func() {
		if cap(p.conn.in) != 1<<smallest || string(p.conn.Unread()) != "GET / HT" {
			t.Errorf("%q in a buffer of %d bytes, want %d", p.conn.Unread(), cap(p.conn.in), 1<<smallest)
		}
	})
}
