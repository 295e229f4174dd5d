package proxy

import (
	"testing"
	"time"

	"sluice/codec"
	"sluice/codec/h2"
	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/upstream"
)

// oneStreamNode is a node that takes one stream on a connection. It answers all but the first and those that ask to hang, and says GOAWAY on the first connection once told to.
func oneStreamNode(t *testing.T) (n *node, leave chan struct{}) {
	leave = make(chan struct{})
	n = newNode(t, speakH2(func(c *nodeConn, conn *h2.Conn, s *h2.Stream, req *codec.Request) []byte {
		c.write("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x01") // SETTINGS
		switch {
		case c.n == 1:
			c.await(leave)
			return conn.AppendGoAway(nil, h2.NoError, false)
		case string(req.Path()) == "/hang":
			return nil
		}
		return okH2(conn, s)
	}))
	return n, leave
}

// Whoever makes room for a call may be in the midst of ending others, of the same client too: that there is no connection for it is told later. It is asked for once more then.
func TestACallForWhichThereIsNoConnectionFailsLater(t *testing.T) {
	for name, c := range map[string]struct {
		up   bool
		want string
	}{"the node is there": {true, "3: 200"}, "the node is gone": {false, "3: 502"}} {
		t.Run(name, func(t *testing.T) {
			n, leave := oneStreamNode(t)
			g := newGateway(t, []string{n.addr}, overHTTP2, withAttempts(1), withService(func(c *upstream.Config) { c.Pool.MaxPerNode = 1 }))
			p := g.dialH2(t)
			p.ask("GET", "/", true)
			var client *clientH2
			g.await(t, "the node's bound", func(w *worker) bool {
				if pool := w.onlyPoolH2(); pool != nil {
					client = pool.clients[0]
				}
				return client != nil && client.codec.PeerStreams() == 1
			})
			p.ask("GET", "/", true)
			g.await(t, "the second call to wait", func(*worker) bool { return len(client.pool.waiting) == 1 })
			close(leave)
			g.await(t, "the connection to leave", func(*worker) bool { return client.leaving })
			if !c.up {
				n.listener.Close()
			}
			if told := g.onLoop(func(w *worker) bool {
				w.firstH2().codec.Each(func(s *h2.Stream) {
					if r := s.Owner.(*requestH2); s.ID == 1 {
						r.lost(clientGone(errStreamDone))
					}
				})
				told := true
				w.firstH2().codec.Each(func(s *h2.Stream) { told = told && s.Owner.(*requestH2).x.state != stateTrying })
				return told
			}); told {
				t.Error("the second call was told of its end while the first was ended")
			}
			p.hears(c.want)
		})
	}
}

// A node that says GOAWAY on one of as many connections as it may have is reached by another at once, whatever is still under way on that one.
func TestAConnectionThatLeavesMakesRoomForAnother(t *testing.T) {
	n, leave := oneStreamNode(t)
	g := newGateway(t, []string{n.addr}, overHTTP2)
	for i := range h2ConnsPerNode {
		g.connect(t).send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
		g.await(t, "a connection for each call", func(w *worker) bool {
			pool := w.onlyPoolH2()
			return pool != nil && len(pool.clients) == i+1 && pool.clients[i].calls == 1 && pool.clients[i].codec.PeerStreams() == 1
		})
	}
	b := g.connect(t)
	b.send(get)
	g.await(t, "the last call to wait", func(w *worker) bool { return len(w.onlyPoolH2().waiting) == 1 })
	close(leave)
	b.answer().want(t, 200, "ok")
	if g.onLoop(func(w *worker) bool { return w.onlyPoolH2().conns != h2ConnsPerNode+1 }) {
		t.Error("the call of the connection that leaves was ended")
	}
}

// A node that has said GOAWAY is reached by one more connection, however many calls are still under way on the first, and end one by one.
func TestCallsThatEndOnAConnectionThatLeavesCostNoOthers(t *testing.T) {
	n := newNode(t, speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, req *codec.Request) []byte {
		switch string(req.Path()) {
		case "/hang":
			return nil
		case "/leave":
			return append(okH2(conn, s), conn.AppendGoAway(nil, h2.NoError, false)...)
		}
		return okH2(conn, s)
	}))
	g := newGateway(t, []string{n.addr}, overHTTP2)
	g.connect(t).wantGet("ok")
	p, calls := g.dialH2(t), make([]*h2.Stream, 7)
	for i := range calls {
		calls[i] = p.ask("GET", "/hang", true)
		g.await(t, "the call", func(w *worker) bool { return w.onlyPoolH2().clients[0].calls == i+1 })
	}
	var leaving *clientH2
	g.onLoop(func(w *worker) bool { leaving = w.onlyPoolH2().clients[0]; return true })
	b := g.connect(t)
	b.send("GET /leave HTTP/1.1\r\nHost: a\r\n\r\n")
	b.answer().want(t, 200, "ok")
	g.await(t, "the connection to leave", func(*worker) bool { return leaving.leaving })
	b.wantGet("ok")
	for i, call := range calls {
		p.say(p.codec.AppendReset(nil, call, h2.Cancel))
		g.await(t, "the call to end", func(*worker) bool { return leaving.calls == len(calls)-1-i })
		b.wantGet("ok")
	}
	if opened := n.opened.Load(); opened != 2 {
		t.Errorf("%d connections, want two", opened)
	}
}

// poolGateway is a gateway with a node over HTTP/2 and a pool of that configuration, and asks of it.
func poolGateway(t *testing.T, change func(*upstream.PoolConfig)) (g *gateway, n *node) {
	n = newNode(t, speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte { return okH2(conn, s) }))
	return newGateway(t, []string{n.addr}, overHTTP2, withClock(), withService(func(c *upstream.Config) { change(&c.Pool) })), n
}

// A connection that has served what it may takes no more; its node is told why, and it ends with its last call.
func TestAConnectionOverHTTP2ServesNoMoreRequestsThanItMay(t *testing.T) {
	g, n := poolGateway(t, func(c *upstream.PoolConfig) { c.MaxRequests = 3 })
	b := g.connect(t)
	for range 9 {
		b.wantGet("ok")
	}
	if opened := n.opened.Load(); opened != 3 {
		t.Errorf("%d connections for nine requests, want three", opened)
	}
}

func TestAConnectionOverHTTP2IsUsedForNoLongerThanItMay(t *testing.T) {
	g, n := poolGateway(t, func(c *upstream.PoolConfig) { c.MaxAge = unit.Duration(10 * time.Second) })
	b := g.connect(t)
	for range 9 {
		b.wantGet("ok")
		g.pass(t, 2*time.Second)
	}
	if opened := n.opened.Load(); opened != 2 {
		t.Errorf("%d connections in 18 seconds, want two", opened)
	}
}

// A connection without a call rests as long as the service says, and not at all where it keeps none.
func TestAConnectionOverHTTP2RestsAsLongAsItMay(t *testing.T) {
	g, n := poolGateway(t, func(c *upstream.PoolConfig) { c.IdleTimeout = unit.Duration(5 * time.Second) })
	g.connect(t).wantGet("ok")
	g.runOut(t, 5*time.Second, func(w *worker) bool { return w.onlyPoolH2() != nil })
	testnet.Await(t, "the connection to end", func() bool { return n.open() == 0 })
	none := 0
	g, n = poolGateway(t, func(c *upstream.PoolConfig) { c.MaxIdlePerWorker = &none })
	g.connect(t).wantGet("ok")
	testnet.Await(t, "the connection to end", func() bool { return n.open() == 0 })
}

// A connection that rests when its service says something else rests by that from then on, for longer or less long.
func TestAConnectionOverHTTP2AtRestFollowsItsService(t *testing.T) {
	for name, total := range map[string]time.Duration{"for longer": 12 * time.Second, "less long": 4 * time.Second} {
		t.Run(name, func(t *testing.T) {
			g, n := poolGateway(t, func(c *upstream.PoolConfig) { c.IdleTimeout = unit.Duration(8 * time.Second) })
			g.connect(t).wantGet("ok")
			g.pass(t, 3*time.Second)
			config := upstream.Config{Nodes: []upstream.NodeConfig{{Upstream: n.addr}}, HTTP2: true}
			config.Pool.IdleTimeout = unit.Duration(total)
			g.registry.Update("s", &config, nil)
			g.runOut(t, total-3*time.Second, func(w *worker) bool { return w.onlyPoolH2() != nil })
			testnet.Await(t, "the connection to end", func() bool { return n.open() == 0 })
		})
	}
}

// Where no connection may rest any more, one that does ends at once.
func TestConnectionsOverHTTP2ThatMayNotRestAnyMoreEnd(t *testing.T) {
	g, n := poolGateway(t, func(*upstream.PoolConfig) {})
	g.connect(t).wantGet("ok")
	config, none := upstream.Config{Nodes: []upstream.NodeConfig{{Upstream: n.addr}}, HTTP2: true}, 0
	config.Pool.MaxIdlePerWorker = &none
	g.registry.Update("s", &config, nil)
	testnet.Await(t, "the connection to end", func() bool { return n.open() == 0 })
}

// A connection that is opened before anybody asks rests as any other: as long as the service says, and only while nobody needs its place more.
func TestAConnectionOverHTTP2ThatNobodyHasUsedRests(t *testing.T) {
	g, _ := poolGateway(t, func(c *upstream.PoolConfig) { c.Preconnect, c.IdleTimeout = 1, unit.Duration(5*time.Second) })
	var first *clientH2
	g.await(t, "the connection", func(w *worker) bool {
		if p := w.onlyPoolH2(); p != nil && len(p.clients) == 1 && p.clients[0].codec.Settled() {
			first = p.clients[0]
		}
		return first != nil
	})
	g.runOut(t, 5*time.Second, func(*worker) bool { return !first.gone })
	g.await(t, "its end", func(*worker) bool { return first.gone })

	both := nodeOfBoth(t)
	g = newGateway(t, []string{both}, overHTTP2, withService(func(c *upstream.Config) { c.Pool.Preconnect, c.Pool.MaxPerNode = 1, 1 }))
	g.await(t, "the connection", func(w *worker) bool { p := w.onlyPoolH2(); return p != nil && p.heard })
	b := g.connect(t)
	b.send(askWebSocket)
	if a := b.answer(); a.status != 101 {
		t.Errorf("got %q", a.head)
	}
}

// A call whose node has refused it waits, where there is no place for another connection, for the end of the one that leaves.
func TestACallThatMovesWaitsForAPlace(t *testing.T) {
	leave := make(chan struct{})
	n := newNode(t, speakH2(func(c *nodeConn, conn *h2.Conn, s *h2.Stream, req *codec.Request) []byte {
		switch {
		case c.n == 1 && s.ID == 1:
			return nil
		case c.n == 1:
			c.await(leave)
			out := []byte("\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00") // GOAWAY, the last was 1
			return append(out, "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x02"...)         // RST_STREAM of that
		}
		return okH2(conn, s)
	}))
	g := newGateway(t, []string{n.addr}, overHTTP2, withAttempts(1), withService(func(c *upstream.Config) { c.Pool.MaxPerNode = 1 }))
	first := g.connect(t)
	first.send(get)
	g.await(t, "the first call", func(w *worker) bool { p := w.onlyPoolH2(); return p != nil && p.heard && p.clients[0].calls == 1 })
	second := g.connect(t)
	second.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	g.await(t, "the second call", func(w *worker) bool { return w.onlyPoolH2().clients[0].calls == 2 })
	close(leave)
	first.answer().wantError(t, 502, "upstream_reset")
	second.answer().want(t, 200, "ok")
}

// onlyPoolH2 returns the connections to the only node that has any over HTTP/2, or nil.
func (w *worker) onlyPoolH2() *poolH2 {
	for _, pool := range w.poolsH2 {
		return pool
	}
	return nil
}
