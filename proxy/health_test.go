package proxy

import (
	"testing"
	"time"

	"sluice/codec"
	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/upstream"
)

// states returns the health of the gateway's nodes by address.
func (g *gateway) states() map[string]string {
	all := map[string]string{}
	for _, n := range g.registry.Status() {
		all[nodeOf(n.Upstream)] = n.Health
	}
	return all
}

// After five failures in a row nobody asks the node any more, though every request still has its answer from the other.
func TestANodeThatFailsRequestsIsNotAskedForATime(t *testing.T) {
	bad := newNode(t, func(c *nodeConn) { c.head(); c.reset() })
	good := newNode(t, answering(ok))
	g := newGateway(t, []string{bad.addr, good.addr}, withWorkers(2), withService(func(c *upstream.Config) {
		c.Health = &upstream.HealthConfig{Passive: &upstream.PassiveHealth{}}
		c.Health.SetDefaults()
	}))
	for range 20 {
		g.connect(t).wantGet("ok")
	}
	if n := bad.opened.Load(); n != 5 {
		t.Errorf("the bad node was asked %d times, want 5", n)
	}
	testnet.Await(t, "the ejection to show", func() bool { return g.states()[bad.addr] == "ejected" })
}

// A 5xx is the node's answer and passed on, and counts as a failure all the same.
func TestANodeThatAnswersWithErrorsIsNotAskedForATime(t *testing.T) {
	bad := newNode(t, answering("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"))
	good := newNode(t, answering(ok))
	g := newGateway(t, []string{bad.addr, good.addr}, withService(func(c *upstream.Config) {
		c.Health = &upstream.HealthConfig{Passive: &upstream.PassiveHealth{ConsecutiveFailures: 3}}
		c.Health.SetDefaults()
	}))
	b := g.connect(t)
	errors := 0
	for range 20 {
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if b.answer().status == 500 {
			errors++
		}
	}
	if errors != 3 {
		t.Errorf("%d clients saw the error, want 3", errors)
	}
}

func TestANodeWhoseProbesFailIsNotAsked(t *testing.T) {
	dead := testnet.Reserve(t)
	good := newNode(t, answering(ok))
	g := newGateway(t, []string{dead, good.addr}, withLog(), withService(func(c *upstream.Config) {
		c.Health = &upstream.HealthConfig{Active: &upstream.ActiveHealth{Interval: unit.Duration(100 * time.Millisecond)}}
		c.Health.SetDefaults()
	}))
	testnet.Await(t, "the first probe", func() bool { return g.states()[dead] == "unhealthy" })
	b := g.connect(t)
	for range 10 {
		b.wantGet("ok")
	}
	for _, line := range g.logged(t, 10) {
		if line.Retries > 0 {
			t.Errorf("logged %+v", line)
		}
	}
	// Somebody listens there again.
	again := newNodeAt(t, dead, answering(ok))
	testnet.Await(t, "the node to be in again", func() bool { return g.states()[dead] == "healthy" })
	for range 2 {
		b.wantGet("ok")
	}
	if again.opened.Load() == 0 {
		t.Error("it is not asked")
	}
}

// Streams on which there is nothing to say end with the idle timeout, and their node is as well as before.
func TestAQuietStreamIsNoFailureOfItsNode(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		for c.head() != "" {
			c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
		}
	})
	other := newNodeAt(t, "127.0.0.2:0", answering(ok))
	g := newGateway(t, []string{n.addr, other.addr}, withClock(), ejecting, withLog(), withService(func(c *upstream.Config) { c.Timeout.Idle = unit.Duration(time.Second) }))
	for range 4 {
		b := g.connect(t)
		b.send(get)
		g.await(t, "the exchange to wait", func(w *worker) bool {
			return waitingFor(waitBody)(w) && w.exchange().bytesOut == 2 && w.exchange().resp.Framing.Kind == codec.BodyStream
		})
		g.pass(t, time.Second+grain)
		if a := b.answer(); a.status != 200 || a.cut == nil {
			t.Errorf("%+v", a)
		}
		g.connect(t).wantGet("ok")
	}
	if got := g.states()[n.addr]; got != "healthy" {
		t.Errorf("the node is %s", got)
	}
	if line := g.logged(t, 8)[0]; line.Flag != "UT" {
		t.Errorf("logged %+v", line)
	}
}
