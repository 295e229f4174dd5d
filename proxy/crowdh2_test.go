package proxy

import (
	"io"
	"testing"
	"time"

	"sluice/codec"
	"sluice/codec/h2"
	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/upstream"
)

// poolAt returns the connections to the node at an address, or nil.
func (w *worker) poolAt(addr string) *poolH2 {
	for node, pool := range w.poolsH2 {
		if node.Address == addr {
			return pool
		}
	}
	return nil
}

// crowded returns a gateway whose first node takes one call, which is under way and never answered, and whose second answers. The next turn is the second's.
func crowded(t *testing.T, options ...option) (g *gateway, n, other *node) {
	t.Helper()
	other = newNodeAt(t, "127.0.0.2:0", speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte { return okH2(conn, s) }))
	g, n = crowdedBeside(t, other, options...)
	return g, n, other
}

// crowdedBeside is crowded with that second node.
func crowdedBeside(t *testing.T, other *node, options ...option) (g *gateway, n *node) {
	t.Helper()
	n, _ = oneStreamNode(t)
	one := withService(func(c *upstream.Config) { c.Pool.MaxPerNode = 1 })
	g = newGateway(t, []string{n.addr, other.addr}, append([]option{overHTTP2, ejecting, one, withClock(), withAttempts(1)}, options...)...)
	g.connect(t).send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n") // of which the node has not all, so that it owes nothing
	g.await(t, "the node's bound", func(w *worker) bool {
		p := w.poolAt(n.addr)
		return p != nil && p.streams == 1 && p.clients[0].calls == 1
	})
	return g, n
}

// waitsAt returns the question whether that many calls wait for a stream at the node.
func waitsAt(n *node, calls int) func(w *worker) bool {
	return func(w *worker) bool { return len(w.poolAt(n.addr).waiting) == calls }
}

// RFC 9113 §5.1.2: a node says how many streams it takes. Whoever waits in vain for one that others have tells nothing of its health.
func TestACallThatGetsNoStreamSaysNothingOfItsNode(t *testing.T) {
	for name, timeout := range map[string]upstream.TimeoutConfig{
		"connect": {Connect: unit.Duration(time.Second)}, "per try": {PerTry: unit.Duration(time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			g, n, other := crowded(t, withService(func(s *upstream.Config) { s.Timeout = timeout }))
			b, waiting := g.connect(t), g.connect(t)
			for range 4 {
				b.wantGet("ok")
				waiting.send(get)
				g.await(t, "the call to wait", waitsAt(n, 1))
				g.pass(t, time.Second-grain)
				if g.onLoop(func(w *worker) bool { return w.poolAt(n.addr).waiting[0].x.owed() > 0 }) {
					t.Error("the node is held to owe something")
				}
				g.pass(t, 2*grain)
				waiting.answer().wantError(t, 503, "overloaded")
			}
			g.wantWell(t, n)
			g.wantWell(t, other)
		})
	}
}

// One that has to wait because its node does not say how many streams it takes waits for the node.
func TestANodeThatDoesNotSpeakIsToBlameForThoseWhoWait(t *testing.T) {
	mute := newNode(t, func(c *nodeConn) { _, _ = io.Copy(io.Discard, c.r) })
	other := newNodeAt(t, "127.0.0.2:0", speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte { return okH2(conn, s) }))
	g := newGateway(t, []string{mute.addr, other.addr}, overHTTP2, ejecting, withClock(), withAttempts(1))
	p := g.dialH2(t)
	for range 2 * h2StreamsUntold { // calls that the node owes nothing yet
		p.ask("POST", "/", false)
	}
	g.await(t, "the connection to be full", func(w *worker) bool {
		p := w.poolAt(mute.addr)
		return p != nil && p.clients[0].calls == h2StreamsUntold
	})
	b, waiting := g.connect(t), g.connect(t)
	for range 3 {
		waiting.send(get)
		g.await(t, "the call to wait", waitsAt(mute, 1))
		g.pass(t, 3*time.Second+2*grain)
		waiting.answer().wantError(t, 504, "upstream_timeout")
		b.wantGet("ok")
	}
	testnet.Await(t, "the ejection", func() bool { return g.states()[mute.addr] == "ejected" })
}

// Calls that wait for a stream are among those that breaker.max_pending bounds.
func TestCallsThatWaitForAStreamAreBounded(t *testing.T) {
	g, n, _ := crowded(t, withBreaker(upstream.BreakerConfig{MaxPending: 1}))
	b, first, second := g.connect(t), g.connect(t), g.connect(t)
	b.wantGet("ok")
	first.send(get)
	g.await(t, "one to wait", waitsAt(n, 1))
	b.wantGet("ok")
	second.send(get)
	second.answer().wantError(t, 503, "overloaded")
	g.pass(t, 3*time.Second+2*grain)
	first.answer().wantError(t, 503, "overloaded")
	b.wantGet("ok")
	first.send(get) // there is room in the line again
	g.await(t, "one to wait", waitsAt(n, 1))
}

// A node at its bound is no reason to give up what another could answer.
func TestACallThatGetsNoStreamIsMadeElsewhere(t *testing.T) {
	g, n, _ := crowded(t, withAttempts(2))
	b := g.connect(t)
	b.wantGet("ok")
	b.send(get)
	g.await(t, "the call to wait", waitsAt(n, 1))
	g.pass(t, 3*time.Second+2*grain)
	b.answer().want(t, 200, "ok")
	g.wantWell(t, n)
}

// A second call that would have to wait for a stream is not made: it would not be quicker than the first.
func TestAHedgeDoesNotWaitForAStream(t *testing.T) {
	n, leave := oneStreamNode(t)
	slow := newNodeAt(t, "127.0.0.2:0", speakH2(func(c *nodeConn, conn *h2.Conn, s *h2.Stream, req *codec.Request) []byte {
		if string(req.Path()) == "/slow" {
			c.await(leave)
		}
		return okH2(conn, s)
	}))
	g := newGateway(t, []string{n.addr, slow.addr}, overHTTP2, withClock(), withService(func(c *upstream.Config) { c.Pool.MaxPerNode = 1 }), withService(withHedge))
	g.connect(t).send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
	g.await(t, "the node's bound", func(w *worker) bool { p := w.poolAt(n.addr); return p != nil && p.streams == 1 })
	b := g.connect(t)
	b.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	g.await(t, "the call", func(w *worker) bool {
		p := w.poolAt(slow.addr)
		return p != nil && p.clients[0].calls == 1 && w.first().request.waiting == waitHead
	})
	g.pass(t, hedgeDelay+grain)
	if !g.onLoop(func(w *worker) bool { return len(w.poolAt(n.addr).waiting) == 0 && w.first().request.second == nil }) {
		t.Error("it waits")
	}
	close(leave)
	b.answer().want(t, 200, "ok")
}

// A call that its node has refused, and that waits for another stream, waits as long as for a connection and not as long as for an answer.
func TestACallThatMovesDoesNotWaitForAnAnswer(t *testing.T) {
	n := newNode(t, speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte {
		if s.ID == 1 {
			return nil
		}
		return append([]byte("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x01"), conn.AppendReset(nil, s, h2.RefusedStream)...) // SETTINGS
	}))
	g := newGateway(t, []string{n.addr}, overHTTP2, withClock(), withAttempts(1), withService(func(c *upstream.Config) { c.Pool.MaxPerNode = 1 }))
	g.connect(t).send(get)
	g.await(t, "the first call", func(w *worker) bool { p := w.onlyPoolH2(); return p != nil && p.heard && p.clients[0].calls == 1 })
	b := g.connect(t)
	b.send(get)
	g.await(t, "the call to wait", waitsAt(n, 1))
	g.runOut(t, 3*time.Second, waitsAt(n, 1))
	b.answer().wantError(t, 503, "overloaded")
}
