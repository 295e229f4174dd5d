package event

import (
	"errors"
	"io"
	"net"
	"testing"
)

// fakeLayer lets everything through as it is. Its handshake takes as many steps as a test wants, and each says Wake for the next.
type fakeLayer struct {
	wire    *Wire
	steps   int
	fail    error
	answer  int // bytes written for every read, as a layer may
	onStep  func()
	stopped int
	ended   int
}

func (f *fakeLayer) Handshake() (bool, error) {
	perhaps(f.onStep)
	if f.steps--; f.steps > 0 {
		f.wire.Wake()
		return false, nil
	}
	return f.fail == nil, f.fail
}

func perhaps(f func()) {
	if f != nil {
		f()
	}
}

func (f *fakeLayer) Read(p []byte) (int, error) {
	n, err := f.wire.Read(p[:1])
	if n > 0 && f.answer > 0 {
		f.wire.Write(make([]byte, f.answer))
	}
	return n, err
}

func (f *fakeLayer) Write(p, q []byte) error {
	f.wire.Write(p)
	f.wire.Write(q)
	return nil
}

func (f *fakeLayer) CloseWrite() { f.ended++; f.wire.Write([]byte("bye")) }
func (f *fakeLayer) Stop()       { f.stopped++ }

// layered returns connections of the loop with a layer each, and their peers.
func (r *running) layered(n int, make func(c *Conn) (*fakeLayer, Handler)) (peers []*net.TCPConn) {
	r.t.Helper()
	accepted := 0
	addr := r.listen(func(c *Conn, err error) Handler {
		accepted++
		layer, h := make(c)
		layer.wire = c.Wire()
		c.SetLayer(layer, false)
		return h
	})
	for range n {
		peers = append(peers, connect(r.t, addr))
	}
	r.await("the connections", func() bool { return accepted == n })
	return peers
}

// Handshakes are work: however many could go on at once, the others wait for a few steps of them at most.
func TestHandshakesShareATurnInSmallPortions(t *testing.T) {
	const conns, steps = 20, 10
	turn, inTurn, most, opened := int64(0), 0, 0, 0
	now := int64(1)
	r := start(t, Options{Now: func() int64 { now++; return now }}) // every turn has a time of its own
	peers := r.layered(conns, func(*Conn) (*fakeLayer, Handler) {
		return &fakeLayer{steps: steps, onStep: func() {
			if r.Now() != turn {
				turn, inTurn = r.Now(), 0
			}
			inTurn++
			most = max(most, inTurn)
		}}, &probe{onOpened: func(*Conn) { opened++ }}
	})
	proceed := r.halt()
	for _, peer := range peers {
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	proceed()
	r.await("all handshakes", func() bool { return opened == conns })
	r.do(func() {
		if most > handshakesPerTurn {
			t.Errorf("%d steps in one turn", most)
		}
	})
}

// A handshake that fails leaves a plain connection to a handler that wants it, and ends any other.
func TestAFailedHandshakeIsToldOnce(t *testing.T) {
	r, p, why := start(t, Options{}), &probe{}, errors.New("no")
	layer := &fakeLayer{fail: why, steps: 1}
	peers := r.layered(1, func(*Conn) (*fakeLayer, Handler) { return layer, p })
	if _, err := peers[0].Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	r.await("the end", func() bool { return p.closed == 1 })
	r.do(func() {
		if !errors.Is(p.err, why) || p.opened > 0 || layer.stopped != 1 || layer.ended != 0 {
			t.Errorf("%v, opened %d, stopped %d, ended %d times", p.err, p.opened, layer.stopped, layer.ended)
		}
	})

	teller := &teller{}
	peers = r.layered(1, func(*Conn) (*fakeLayer, Handler) { return &fakeLayer{fail: why, steps: 1}, teller })
	if _, err := peers[0].Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := hearEnd(t, peers[0]); string(got) != "sorry" {
		t.Errorf("the peer heard %q", got)
	}
}

// teller says why.
type teller struct{ probe }

func (*teller) HandshakeFailed(c *Conn, err error) {
	c.Write([]byte("sorry"))
	c.Shutdown()
	c.Resume() // what the peer has sent is read, or closing would reset the connection and take the answer with it
}

func (*teller) EOF(c *Conn) { c.Close() }

// What a handler writes before the handshake is done waits for it; the layer ends our side before the socket does.
func TestALayerEndsBeforeTheSocket(t *testing.T) {
	r := start(t, Options{})
	layer := &fakeLayer{steps: 3}
	peers := r.layered(1, func(c *Conn) (*fakeLayer, Handler) {
		return layer, &probe{onOpened: func(c *Conn) {
			c.Write([]byte("hello, "))
			c.Shutdown()
		}}
	})
	if _, err := peers[0].Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := hearEnd(t, peers[0]); string(got) != "hello, bye" {
		t.Errorf("the peer heard %q", got)
	}
	r.do(func() {
		if layer.ended != 1 {
			t.Errorf("ended %d times", layer.ended)
		}
	})
}

// What is written and not sent is lost with a Close. The layer's end in order behind the rest of it would tell the peer that it has everything.
func TestACloseWithSomethingUnsentIsNoEndInOrder(t *testing.T) {
	r := start(t, Options{})
	layer := &fakeLayer{}
	peers := r.layered(1, func(c *Conn) (*fakeLayer, Handler) {
		return layer, &probe{onOpened: func(c *Conn) {
			c.Commit(append(c.Buffer(), "the beginning of"...))
			c.Close()
		}}
	})
	if _, err := peers[0].Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(peers[0]); len(got) > 0 {
		t.Errorf("the peer heard %q", got)
	}
	r.do(func() {
		if layer.ended != 0 || layer.stopped != 1 {
			t.Errorf("ended %d times, stopped %d times", layer.ended, layer.stopped)
		}
	})
}

// A handler that has written much before the handshake was done is told when it may go on.
func TestWhatCongestsAHandshakeDrainsBehindIt(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peers := r.layered(1, func(c *Conn) (*fakeLayer, Handler) {
		p.conn = c
		return &fakeLayer{steps: 1}, p
	})
	r.do(func() {
		p.conn.Write(make([]byte, highWater))
		p.conn.Write([]byte("x"))
		if !p.conn.Congested() || p.conn.Sent() > 0 {
			t.Error("it is not congested, or has sent what must wait")
		}
	})
	if _, err := peers[0].Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, peers[0]) // ends with the connection
	r.await("the word that it is drained", func() bool { return p.drained == 1 })
	r.do(func() { p.conn.Close() })
}

// A layer that writes because of what it reads ("KeyUpdate, KeyUpdate, …") is not read while the peer takes nothing, and is again when it does.
func TestALayerIsNotReadWhileItsAnswersPileUp(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peers := r.layered(1, func(c *Conn) (*fakeLayer, Handler) {
		p.conn = c
		return &fakeLayer{steps: 1, answer: 64 << 10}, p
	})
	const asks = 1000
	if _, err := peers[0].Write(make([]byte, asks)); err != nil {
		t.Fatal(err)
	}
	r.await("the bound", func() bool { return p.conn.Queued() > layerBound })
	r.turns()
	r.do(func() {
		if q := p.conn.Queued(); q > layerBound+64<<10 {
			t.Errorf("%d bytes are queued", q)
		}
	})
	go func() { // ends with the connection
		buf := make([]byte, 1<<20)
		for {
			if _, err := peers[0].Read(buf); err != nil {
				return
			}
		}
	}()
	r.await("everything to be read", func() bool { return len(p.got) == asks })
	r.do(func() { p.conn.Close() })
}
