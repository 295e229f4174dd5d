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

// oneRetry is a service whose budget has one retry in all seconds together: the clock of these tests stands within one.
func oneRetry(c *upstream.Config) {
	none, one := 0, 1
	c.Retry.BudgetPercent, c.Retry.MinPerSecond = &none, &one
}

// wantOneRetry fails the test where the budget does not have one retry left, or the service counts an exchange as on one.
func (g *gateway) wantOneRetry(t *testing.T) {
	t.Helper()
	g.onLoop(func(w *worker) bool {
		s := g.Snapshot().Services[0]
		if !s.EnterRetry() {
			t.Error("an exchange is counted as on a retry")
		} else {
			s.LeaveRetry()
		}
		grant, ok := s.AllowRetry(0, w.loop.Now())
		if !ok {
			t.Error("the retry was spent and not made")
		}
		if _, more := s.AllowRetry(0, w.loop.Now()); more {
			t.Error("it was given back twice")
		}
		grant.Return(w.loop.Now())
		return true
	})
}

// A second try that is not made, since no connection to its node can be had, costs nothing of the budget.
func TestAHedgeThatFindsNoConnectionIsPaidBack(t *testing.T) {
	slow, asked, answer := gated(t)
	full := newNodeAt(t, "127.0.0.2:0", answering(ok))
	g := newGateway(t, []string{slow.addr, full.addr}, withClock(), withoutPortsTo(full.addr), withService(withHedge), withService(oneRetry),
		withService(func(c *upstream.Config) { c.Breaker.MaxRetries, c.Breaker.PerNode.MaxRetries = 1, 1 }))
	b := g.connect(t)
	b.send(get)
	testnet.Receive(t, "the request", asked)
	g.await(t, "the exchange to wait", waitingFor(waitHead))
	g.pass(t, hedgeDelay+grain)
	g.wantOneRetry(t)
	answer()
	b.answer().want(t, 200, "ok")
	g.wantOneRetry(t)
}

// The same over HTTP/2, where its node has all the streams in use that it takes.
func TestAHedgeThatFindsNoStreamIsPaidBack(t *testing.T) {
	asked, more := make(chan struct{}, 10), make(chan struct{})
	slow := newNodeAt(t, "127.0.0.2:0", speakH2(func(c *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte {
		asked <- struct{}{}
		c.await(more)
		return okH2(conn, s)
	}))
	g, n := crowdedBeside(t, slow, withAttempts(2), withService(withHedge), withService(oneRetry))
	b := g.connect(t)
	b.send(get)
	testnet.Receive(t, "the request", asked)
	g.await(t, "the exchange to wait", waitingFor(waitHead))
	g.pass(t, hedgeDelay+grain)
	if !g.onLoop(waitsAt(n, 0)) {
		t.Error("the second try waits for a stream")
	}
	g.wantOneRetry(t)
	close(more)
	b.answer().want(t, 200, "ok")
}

// A retry that waits to hear whether its node takes tunnels, and then finds no place for one over HTTP/1.1, was not made.
func TestARetryThatFindsNoPlaceForATunnelIsNotCounted(t *testing.T) {
	settle := make(chan struct{})
	n := newNode(t, func(c *nodeConn) {
		c.await(settle)
		speakH2(func(*nodeConn, *h2.Conn, *h2.Stream, *codec.Request) []byte { return nil })(c)
	})
	g := newGateway(t, []string{testnet.Reserve(t), n.addr}, overHTTP2, withClock(), withAttempts(2), withService(func(c *upstream.Config) { c.Pool.MaxPerNode = 1 }))
	g.connect(t).send(get)
	g.await(t, "the only connection to be in use", func(w *worker) bool {
		p := w.onlyPoolH2()
		return p != nil && len(p.clients) == 1 && p.clients[0].open && p.clients[0].calls == 1
	})
	made := g.metric(t, "sluice_retries_total")
	clients, retries := make([]*browser, 2), 0 // of which one is sent to the other node first
	for i := range clients {
		clients[i] = g.connect(t)
		clients[i].send(askWebSocket)
		g.await(t, "the tunnel to be asked for", func(w *worker) bool { p := w.onlyPoolH2(); return p != nil && len(p.asking) == i+1 })
	}
	g.onLoop(func(w *worker) bool {
		for _, k := range w.onlyPoolH2().asking {
			retries += k.x.tries - 1
		}
		return true
	})
	if retries == 0 {
		t.Fatal("no call is a retry")
	}
	close(settle)
	for _, b := range clients {
		b.answer().wantError(t, 503, "overloaded")
	}
	if more := g.metric(t, "sluice_retries_total") - made; more != 0 {
		t.Errorf("%v retries are counted, though none was made", more)
	}
}

// A retry whose exchange ends in the pause before it was not made: its client has left, or its time is over.
func TestARetryThatIsNotWaitedForIsPaidBack(t *testing.T) {
	for name, end := range map[string]func(g *gateway, b *browser){
		"the client leaves": func(_ *gateway, b *browser) { b.reset() },
		"the time is over":  func(g *gateway, _ *browser) { g.pass(t, 2*time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, []string{testnet.Reserve(t), testnet.Reserve(t), testnet.Reserve(t)}, withClock(), withAttempts(3), withService(func(c *upstream.Config) {
				none, two := 0, 2
				c.Retry.BudgetPercent, c.Retry.MinPerSecond = &none, &two
				c.Retry.Backoff, c.Retry.MaxBackoff = unit.Duration(10*time.Second), unit.Duration(10*time.Second)
				c.Timeout.Total, c.Breaker.MaxRetries = unit.Duration(time.Second), 1
			}))
			second := g.clock.ns.Load()
			b := g.connect(t)
			b.send(get)
			g.await(t, "the pause", waitingFor(waitBackoff))
			end(g, b)
			g.await(t, "the exchange to end", func(w *worker) bool { return w.exchange() == nil })
			g.clock.ns.Store(second)
			g.wantOneRetry(t)
			if n := g.metric(t, "sluice_retries_total"); n != 1 {
				t.Errorf("%v retries are counted, though one was made", n)
			}
		})
	}
}
