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

// layeredVariable puts a layer beneath every connection that the tests make with pair.
const layeredVariable = "EVENT_TEST_LAYERED"

// passLayer lets everything through as it is, and reads until there is no more, as TLS does.
type passLayer struct {
	wire *Wire
	end  *error // how reading ended
}

func newPassLayer(c *Conn) passLayer { return passLayer{c.Wire(), new(error)} }

func (passLayer) Handshake() (bool, error) { return true, nil }

func (l passLayer) Read(p []byte) (n int, err error) {
	err = *l.end
	for n < len(p) && err == nil {
		var m int
		m, err = l.wire.Read(p[n:min(len(p), n+100)]) // in small pieces, so that what was read ahead is taken in many
		n += m
	}
	if err != ErrWouldBlock {
		*l.end = err
	}
	return n, err
}

func (l passLayer) Write(p, q []byte) error {
	l.wire.Write(p)
	l.wire.Write(q)
	return nil
}

func (passLayer) CloseWrite() {}
func (passLayer) Stop()       {}

// maybeLayered gives c a layer in a run where all have one.
func maybeLayered(c *Conn) {
	if os.Getenv(layeredVariable) != "" {
		c.SetLayer(newPassLayer(c), true)
	}
}

// Whatever holds of batches holds where there is a layer, as TLS is one: its reads and writes go through the ring like any other.
func TestWhatHoldsOfABatchHoldsWithALayer(t *testing.T) {
	needRing(t)
	cmd := exec.Command(os.Args[0], "-test.run=WhatWasRead|WhatAnEarlier|AResetThat|TheRing|ARingThat|InABatch|ReadAhead")
	cmd.Env = append(os.Environ(), layeredVariable+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// What was read ahead of a layer whose connection is paused meanwhile is held in the loop's memory, counts as said, and is told behind Resume; so is an end.
func TestWhatWasReadAheadOfALayerIsKeptUntilItIsAskedFor(t *testing.T) {
	if os.Getenv(layeredVariable) == "" {
		t.Skip("runs with a layer, within TestWhatHoldsOfABatchHoldsWithALayer")
	}
	r, p, peers := both(t, func(other *probe) { other.conn.Pause() })
	r.do(func() {
		if b := p.conn.beneath; p.calls > 0 || b.w-b.r != 1 || p.conn.Quiet() || p.conn.Silent() || r.Lent() != 1 {
			t.Errorf("%d calls, %d bytes ahead, quiet %v, silent %v, %d buffers are out", p.calls, b.w-b.r, p.conn.Quiet(), p.conn.Silent(), r.Lent())
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
		if !bytes.HasSuffix(p.got, []byte("second")) || p.closed > 0 || r.Lent() != 0 {
			t.Errorf("%q, closed %d times, %d buffers are out", p.got, p.closed, r.Lent())
		}
	})
}

// A large transfer passes whole through buffers that are filled ahead, whatever the layer takes at a time.
func TestWhatIsReadAheadPassesWhole(t *testing.T) {
	if os.Getenv(layeredVariable) == "" {
		t.Skip("runs with a layer, within TestWhatHoldsOfABatchHoldsWithALayer")
	}
	r := start(t, Options{})
	const crowd = 3
	sent := pattern(3 << 20)
	var probes [crowd]*probe
	for i := range crowd {
		probes[i] = &probe{}
		peer := r.pair(probes[i])
		go func(peer *net.TCPConn) { // ends with the transfer, or with the test's connections
			if _, err := peer.Write(sent); err == nil {
				_ = peer.CloseWrite()
			}
		}(peer)
	}
	for _, p := range probes {
		r.await("the end", func() bool { return p.eofs+p.closed > 0 })
		r.do(func() {
			if !bytes.Equal(p.got, sent) {
				t.Errorf("%d bytes of %d, %v", len(p.got), len(sent), p.err)
			}
		})
	}
}

// brokenLayer panics when it is written to.
type brokenLayer struct{ passLayer }

func (brokenLayer) Write(p, q []byte) error { panic("alas") }

// A layer that panics in the middle of a batch costs its own connection: no call that was prepared before is forgotten, and none is made twice.
func TestALayerThatPanicsInABatchCostsOneConnection(t *testing.T) {
	needRing(t)
	panics := 0
	r := start(t, Options{OnPanic: func() { panics++ }})
	const crowd = 8
	var probes [crowd]*probe
	var peers [crowd]*net.TCPConn
	for i := range crowd {
		p := &probe{}
		p.onData = func(c *Conn) { p.take(c); c.Write([]byte{byte('a' + i)}) }
		probes[i], peers[i] = p, r.pair(p)
	}
	r.do(func() { probes[3].conn.SetLayer(brokenLayer{newPassLayer(probes[3].conn)}, true) })
	r.turns()
	proceed := r.halt()
	for i, peer := range peers {
		say(t, peer, []byte("x"))
		testnet.Await(t, "the byte", func() bool { return arrived(probes[i].conn) == 1 })
	}
	proceed()
	r.await("the panic", func() bool { return panics == 1 && probes[3].closed == 1 })
	for i, peer := range peers {
		if i == 3 {
			continue
		}
		say(t, peer, []byte("y"))
		if got := hear(t, peer, 2); !bytes.Equal(got, []byte{byte('a' + i), byte('a' + i)}) {
			t.Errorf("%d heard %q", i, got)
		}
	}
	r.do(func() {
		if panics != 1 || r.Lent() != 0 || len(r.calls) > 0 || r.ring.prepared > 0 {
			t.Errorf("%d panics, %d buffers are out, %d calls and %d entries are left", panics, r.Lent(), len(r.calls), r.ring.prepared)
		}
	})
}

// A reset that was read ahead of a layer is told as one, once the layer has read so far.
func TestAResetThatWasReadAheadOfALayerIsToldAsOne(t *testing.T) {
	if os.Getenv(layeredVariable) == "" {
		t.Skip("runs with a layer, within TestWhatHoldsOfABatchHoldsWithALayer")
	}
	r, p, peers := both(t, func(other *probe) { other.conn.Pause() })
	reset(t, peers[1])
	testnet.Await(t, "the reset", func() bool { return hungUp(p.conn) })
	r.do(func() { p.conn.Resume() })
	r.await("the reset", func() bool { return p.closed == 1 })
	r.do(func() {
		if !errors.Is(p.err, unix.ECONNRESET) || p.eofs > 0 {
			t.Errorf("%v, %d ends", p.err, p.eofs)
		}
	})
}

// Whoever is told that its connection has panicked may write to others, whose writes were prepared before: those are made first, and nothing overtakes them.
func TestWhatIsPreparedComesBeforeWhatFollowsAPanic(t *testing.T) {
	needRing(t)
	r, a, b := start(t, Options{}), &probe{}, &probe{}
	a.onData = func(c *Conn) { a.take(c); c.Write([]byte("first")) }
	b.onData = func(c *Conn) { b.take(c); c.Write([]byte("b")) }
	aPeer, bPeer := r.pair(a), r.pair(b)
	then := pattern(outSize + 1)
	b.onClosed = func(*Conn) { a.conn.Write(then) }
	r.do(func() { b.conn.SetLayer(brokenLayer{newPassLayer(b.conn)}, true) })
	r.turns()
	proceed := r.halt()
	say(t, aPeer, []byte("x"))
	testnet.Await(t, "a's byte", func() bool { return arrived(a.conn) == 1 })
	say(t, bPeer, []byte("x"))
	testnet.Await(t, "b's byte", func() bool { return arrived(b.conn) == 1 })
	proceed()
	if got := hear(t, aPeer, len("first")+len(then)); string(got) != "first"+string(then) {
		t.Errorf("it begins with %q", got[:5])
	}
}
