package event

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testnet"
)

// plainVariable makes the loops of the tests work without a ring.
const plainVariable = "EVENT_TEST_PLAIN"

// Whatever holds with a ring holds without one: on an older kernel, and in a container that does not permit it.
func TestEverythingHoldsWithoutARing(t *testing.T) {
	if os.Getenv(plainVariable) != "" {
		return
	}
	cmd := exec.Command(os.Args[0], "-test.shuffle=on")
	cmd.Env = append(os.Environ(), plainVariable+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// needRing skips a test where the kernel permits no ring.
func needRing(t *testing.T) {
	t.Helper()
	if os.Getenv(plainVariable) != "" {
		t.Skip("the loops of this run have no ring")
	}
	r, err := newRing()
	if err != nil {
		t.Skipf("this kernel permits no io_uring: %v", err)
	}
	r.close()
}

// both returns two connections of a loop whose bytes come in one batch: what the first of them to be told does to the other is told by meddle, once.
func both(t *testing.T, meddle func(other *probe)) (r *running, met *probe, peers [2]*net.TCPConn) {
	t.Helper()
	needRing(t)
	r = start(t, Options{})
	a, b := &probe{}, &probe{}
	peers = [2]*net.TCPConn{r.pair(a), r.pair(b)}
	first := func(other *probe, others *net.TCPConn) func(c *Conn) {
		return func(c *Conn) {
			a.onData, b.onData = nil, nil
			a.take(c) // into one that both share is as good as into its own
			if other.conn.fetched == fetchedNothing {
				t.Error("the other was not read for")
			}
			met = other
			peers[1] = others
			meddle(other)
		}
	}
	a.onData, b.onData = first(b, peers[1]), first(a, peers[0])
	proceed := r.halt()
	say(t, peers[0], []byte("a"))
	say(t, peers[1], []byte("b"))
	testnet.Await(t, "both bytes", func() bool { return arrived(a.conn) == 1 && arrived(b.conn) == 1 })
	proceed()
	r.await("the first of them", func() bool { return met != nil })
	r.turns()
	return r, met, peers
}

func TestWhatWasReadForAConnectionThatIsPausedMeanwhileWaitsForResume(t *testing.T) {
	if os.Getenv(layeredVariable) != "" {
		t.Skip("with a layer it waits elsewhere: TestWhatWasReadAheadOfALayerIsKeptUntilItIsAskedFor")
	}
	r, p, peers := both(t, func(other *probe) { other.conn.Pause() })
	r.do(func() {
		if p.calls > 0 || len(p.conn.Unread()) != 1 || cap(p.conn.in) > 1<<smallest {
			t.Errorf("%d calls, %d bytes unread in a buffer of %d", p.calls, len(p.conn.Unread()), cap(p.conn.in))
		}
	})
	say(t, peers[1], []byte("second"))
	if err := peers[1].CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r.turns()
	r.do(func() { p.conn.Resume() })
	r.await("the end", func() bool { return p.eofs == 1 })
	r.do(func() {
		if string(p.got[1:]) != "second" || p.closed > 0 {
			t.Errorf("%q", p.got)
		}
	})
}

func TestWhatWasReadForAConnectionThatIsClosedMeanwhileIsNobodys(t *testing.T) {
	r, p, _ := both(t, func(other *probe) { other.conn.Close() })
	r.do(func() {
		if p.calls+p.eofs+p.closed > 0 || r.Lent() != 0 {
			t.Errorf("%d calls, %d buffers are out", p.calls, r.Lent())
		}
	})
}

// The first handler resumes the other, as one that passes bytes on does: what was read before it is told once.
func TestWhatWasReadForAConnectionThatIsResumedMeanwhileIsToldOnce(t *testing.T) {
	r, p, _ := both(t, func(other *probe) { other.conn.Resume(); other.conn.Yield() })
	r.do(func() {
		if p.calls != 1 || len(p.conn.Unread()) > 0 {
			t.Errorf("%d calls, %d bytes unread", p.calls, len(p.conn.Unread()))
		}
	})
}

// Close loses what its own step has written, and not what an earlier event has: without a batch that would have been sent before.
func TestWhatAnEarlierEventHasWrittenIsSentBeforeALaterOneCloses(t *testing.T) {
	var r *running
	var p *probe
	var peers [2]*net.TCPConn
	r, p, peers = both(t, func(other *probe) {
		other.conn.Write([]byte("an answer"))
		other.onData = func(c *Conn) { c.Write([]byte(" and more")); c.Close() }
	})
	if got := hearEnd(t, peers[1]); string(got) != "an answer and more" {
		t.Errorf("the peer heard %q", got)
	}
	r.do(func() {
		if !p.conn.IsClosed() || r.Lent() != 0 {
			t.Errorf("closed %v, %d buffers are out", p.conn.IsClosed(), r.Lent())
		}
	})
}

// Reading a reset takes the error from the socket: it is told all the same, however late.
func TestAResetThatWasReadForAPausedConnectionIsNotLost(t *testing.T) {
	needRing(t)
	r, a, b := start(t, Options{}), &probe{}, &probe{}
	aPeer, bPeer := r.pair(a), r.pair(b)
	a.onData = func(c *Conn) { a.take(c); b.conn.Pause() }
	proceed := r.halt()
	say(t, aPeer, []byte("a"))
	testnet.Await(t, "the byte", func() bool { return arrived(a.conn) == 1 })
	reset(t, bPeer) // which is the later event
	testnet.Await(t, "the reset", func() bool { return hungUp(b.conn) })
	proceed()
	r.await("the byte to be told", func() bool { return a.calls == 1 })
	r.turns()
	r.do(func() {
		if b.closed > 0 || !b.conn.PeerShut() {
			t.Errorf("while paused: closed %d times, shut %v", b.closed, b.conn.PeerShut())
		}
		b.conn.Resume()
	})
	r.await("the reset", func() bool { return b.closed == 1 })
	r.do(func() {
		if !errors.Is(b.err, unix.ECONNRESET) || b.eofs > 0 {
			t.Errorf("%v, %d ends", b.err, b.eofs)
		}
	})
}

// One event may make more connections write than the ring has room for.
func TestMoreWritesThanTheRingHasRoomForAreAllMade(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	const crowd = ringSize + batchSize + 1
	probes, peers := make([]*probe, crowd), make([]*net.TCPConn, crowd)
	for i := range crowd {
		probes[i] = &probe{}
		peers[i] = r.pair(probes[i])
	}
	p.onData = func(c *Conn) {
		p.take(c)
		for i, other := range probes {
			other.conn.Write([]byte{byte(i), 'x'})
			if i%3 == 0 {
				other.conn.CloseWhenSent()
			}
		}
	}
	say(t, r.pair(p), []byte("go"))
	for i, peer := range peers {
		if got := hear(t, peer, 2); !bytes.Equal(got, []byte{byte(i), 'x'}) {
			t.Errorf("%d heard %q", i, got)
		}
		if i%3 == 0 {
			if rest := hearEnd(t, peer); len(rest) > 0 {
				t.Errorf("%d heard %q behind it", i, rest)
			}
		}
	}
	r.do(func() {
		if r.Lent() != 0 || len(r.calls) > 0 || len(r.dirty) > 0 {
			t.Errorf("%d buffers, %d calls and %d flushes are left", r.Lent(), len(r.calls), len(r.dirty))
		}
	})
}

// A socket that takes a part of a write keeps the rest for when it takes more.
func TestAWriteThroughTheRingThatTheKernelTakesInPartIsFinishedLater(t *testing.T) {
	r, a, b := start(t, Options{}), &probe{}, &probe{}
	aPeer, bPeer := r.pair(a), r.pair(b)
	one := pattern(outSize)
	sent := 0
	answer := func(p *probe) func(c *Conn) {
		return func(c *Conn) {
			p.take(c)
			for _, other := range []*probe{a, b} {
				other.conn.Write(one)
			}
			sent++
		}
	}
	a.onData, b.onData = answer(a), answer(b)
	full := func() (is bool) {
		r.do(func() { is = a.conn.Queued() > 0 && b.conn.Queued() > 0 })
		return is
	}
	for round := 0; !full() && round < 10_000; round++ {
		proceed := r.halt()
		say(t, aPeer, []byte("?"))
		say(t, bPeer, []byte("?"))
		proceed()
		r.turns()
	}
	total := 0
	r.do(func() { total = sent * len(one) })
	for _, peer := range []*net.TCPConn{aPeer, bPeer} {
		if got := hear(t, peer, total); !bytes.Equal(got, bytes.Repeat(one, total/len(one))) {
			t.Error("what came is not what was written")
		}
	}
}

// A ring that fails is given up, and nobody notices: what it had not done is done without.
func TestARingThatFailsIsGivenUp(t *testing.T) {
	needRing(t)
	r, a, b := start(t, Options{}), &probe{}, &probe{}
	aPeer, bPeer := r.pair(a), r.pair(b)
	echo := func(p *probe) func(c *Conn) { return func(c *Conn) { c.Write(c.Unread()); p.take(c) } }
	a.onData, b.onData = echo(a), echo(b)
	r.do(func() { spoilRing(t, r.Loop) }) // enter is EOPNOTSUPP from now on
	for range 2 {
		proceed := r.halt()
		say(t, aPeer, []byte("a"))
		say(t, bPeer, []byte("b"))
		testnet.Await(t, "both bytes", func() bool { return arrived(a.conn) == 1 && arrived(b.conn) == 1 })
		proceed()
		if got := string(hear(t, aPeer, 1)) + string(hear(t, bPeer, 1)); got != "ab" {
			t.Errorf("heard %q", got)
		}
	}
	r.do(func() {
		if r.ring != nil || r.Lent() != 0 {
			t.Errorf("ring %v, %d buffers are out", r.ring, r.Lent())
		}
	})
}

// A handler that panics in the middle of a batch costs its own connection; the others have their events and their writes.
func TestAPanicInABatchCostsOneConnection(t *testing.T) {
	panics := 0
	r := start(t, Options{OnPanic: func() { panics++ }})
	const crowd = 8
	var probes [crowd]*probe
	var peers [crowd]*net.TCPConn
	told := 0
	for i := range crowd {
		p := &probe{}
		p.onData = func(c *Conn) {
			p.take(c)
			c.Write([]byte("!"))
			if told++; told == crowd/2 {
				panic("alas")
			}
		}
		probes[i], peers[i] = p, r.pair(p)
	}
	proceed := r.halt()
	for i, peer := range peers {
		say(t, peer, []byte("x"))
		testnet.Await(t, "the byte", func() bool { return arrived(probes[i].conn) == 1 })
	}
	proceed()
	r.await("all of them", func() bool { return told == crowd })
	r.turns()
	lost := 0
	for i, peer := range peers {
		if probes[i].closed > 0 {
			lost++
			continue
		}
		if got := hear(t, peer, 1); string(got) != "!" {
			t.Errorf("%d heard %q", i, got)
		}
	}
	r.do(func() {
		if panics != 1 || lost != 1 || r.Lent() != 0 {
			t.Errorf("%d panics, %d connections lost, %d buffers are out", panics, lost, r.Lent())
		}
	})
}
