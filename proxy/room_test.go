package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/upstream"
)

func withBreaker(b upstream.BreakerConfig) option {
	return withService(func(c *upstream.Config) { c.Breaker = b })
}

// gated is a node whose answers wait until the test lets one go.
func gated(t *testing.T) (n *node, asked <-chan string, answer func()) {
	heads, gate := make(chan string, 100), make(chan struct{}, 100)
	n = newNode(t, func(c *nodeConn) {
		for {
			head := c.head()
			if head == "" {
				return
			}
			heads <- head
			select {
			case <-gate:
			case <-c.quit:
				return
			}
			c.write(ok)
		}
	})
	return n, heads, func() { gate <- struct{}{} }
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// Beyond max_requests the answer is overloaded, and at once.
func TestMoreRequestsThanAServiceMayHaveAreAnsweredAtOnce(t *testing.T) {
	n, asked, answer := gated(t)
	for name, b := range map[string]upstream.BreakerConfig{
		"service": {MaxRequests: 2},
		"node":    {PerNode: upstream.NodeBreaker{MaxRequests: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, []string{n.addr}, withBreaker(b), withWorkers(2), withClock())
			first, second, third := g.connect(t), g.connect(t), g.connect(t)
			first.send(get)
			second.send(get)
			testnet.Receive(t, "the first request", asked)
			testnet.Receive(t, "the second request", asked)
			third.send(get)
			third.answer().wantError(t, 503, "overloaded")
			answer()
			answer()
			first.answer().want(t, 200, "ok")
			second.answer().want(t, 200, "ok")
			testnet.Await(t, "both to be counted out", func() bool { return g.Snapshot().Services[0].Busy() == 0 }) // over HTTP/2 a node ends its answer behind the last byte of it
			third.send(get)
			testnet.Receive(t, "the third request", asked)
			answer()
			third.answer().want(t, 200, "ok")
		})
	}
}

// A node that has all it may have is passed over for one that has not.
func TestAFullNodeIsPassedOver(t *testing.T) {
	slow, asked, answer := gated(t)
	quick := newNodeAt(t, "127.0.0.2:0", answering(ok)) // asked second: nodes are in the order of their addresses
	g := newGateway(t, []string{slow.addr, quick.addr}, withBreaker(upstream.BreakerConfig{PerNode: upstream.NodeBreaker{MaxRequests: 1}}))
	b := g.connect(t)
	b.send(get)
	testnet.Receive(t, "the slow node's request", asked)
	other := g.connect(t)
	for range 10 {
		other.wantGet("ok")
	}
	answer()
	b.answer().want(t, 200, "ok")
}

// With queue_timeout a request waits for room, in its turn, also one on another worker, with a body that comes meanwhile.
func TestARequestWaitsForRoomAsLongAsTheServiceSays(t *testing.T) {
	n, asked, answer := gated(t)
	g := newGateway(t, []string{n.addr}, withWorkers(2), withClock(), withLog(), withBreaker(upstream.BreakerConfig{
		PerNode: upstream.NodeBreaker{MaxRequests: 1}, QueueTimeout: unit.Duration(2 * time.Second), MaxPending: 5,
	}))
	var clients []*browser
	for i := range 6 {
		b := g.connect(t)
		b.send(fmt.Sprintf("PUT /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n", i))
		clients = append(clients, b)
		if i == 0 { // whose connection, while it is made, is waited for too
			testnet.Receive(t, "the first request", asked)
		}
	}
	g.awaitWaiting(t, 5)
	late := g.connect(t)
	late.send(get)
	late.answer().wantError(t, 503, "overloaded") // max_pending
	for _, b := range clients {
		b.send("body")
	}
	for i := range 3 {
		answer()
		if i < 2 {
			testnet.Receive(t, "the next request", asked)
		}
	}
	testnet.Receive(t, "the fourth request", asked)
	g.awaitWaiting(t, 2)
	g.pass(t, 2*time.Second+grain)
	g.awaitWaiting(t, 0)
	answer()
	served, refused := 0, 0
	for _, b := range clients {
		switch a := b.answer(); a.status {
		case 200:
			served++
		case 503:
			refused++
		}
	}
	if served != 4 || refused != 2 {
		t.Errorf("%d served and %d refused, want 4 and 2", served, refused)
	}
}

// awaitWaiting waits until that many exchanges of all workers wait for room.
func (g *gateway) awaitWaiting(t *testing.T, n int) {
	t.Helper()
	testnet.Await(t, fmt.Sprintf("%d to wait", n), func() bool {
		waiting := 0
		for _, w := range g.workers {
			done := make(chan int)
			w.loop.Post(func() {
				n := 0
				for x := range w.exchanges() {
					if x.waiting == waitRoom {
						n++
					}
				}
				done <- n
			})
			waiting += <-done
		}
		return waiting == n
	})
}

func TestAClientThatLeavesTheQueueIsForgotten(t *testing.T) {
	n, asked, answer := gated(t)
	g := newGateway(t, []string{n.addr}, withBreaker(upstream.BreakerConfig{
		PerNode: upstream.NodeBreaker{MaxRequests: 1}, QueueTimeout: unit.Duration(time.Hour),
	}))
	first, second, third := g.connect(t), g.connect(t), g.connect(t)
	first.send(get)
	testnet.Receive(t, "the first request", asked)
	second.send(get)
	g.awaitWaiting(t, 1)
	third.send(get)
	g.awaitWaiting(t, 2)
	second.reset()
	g.awaitWaiting(t, 1)
	answer()
	first.answer().want(t, 200, "ok")
	testnet.Receive(t, "the third request", asked)
	answer()
	third.answer().want(t, 200, "ok")
}

// max_per_node bounds the connections of all workers together: with one for four workers and many clients, every request is served, one after the other.
func TestConnectionsToANodeAreBoundedOverAllWorkers(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withWorkers(4), withService(func(c *upstream.Config) { c.Pool.MaxPerNode = 1 }))
	var clients []*browser
	for range 12 {
		clients = append(clients, g.connect(t))
	}
	for range 5 {
		for _, b := range clients {
			b.send(get)
		}
		if most := n.open(); most > 2 { // one may be on its way out at the node
			t.Errorf("%d connections", most)
		}
		for _, b := range clients {
			b.answer().want(t, 200, "ok")
		}
	}
}

func TestAConnectionServesNoMoreRequestsThanItMay(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withService(func(c *upstream.Config) { c.Pool.MaxRequests = 3 }))
	b := g.connect(t)
	for range 9 {
		b.wantGet("ok")
	}
	if opened := n.opened.Load(); opened != 3 {
		t.Errorf("%d connections for nine requests, want three", opened)
	}
}

func TestAConnectionIsUsedForNoLongerThanItMay(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withClock(), withService(func(c *upstream.Config) { c.Pool.MaxAge = unit.Duration(10 * time.Second) }))
	b := g.connect(t)
	for range 9 {
		b.wantGet("ok")
		g.pass(t, 2*time.Second)
	}
	// The request at 10 s still finds its connection, and is its last.
	if opened := n.opened.Load(); opened != 2 {
		t.Errorf("%d connections in 18 seconds, want two", opened)
	}
}

// Retries in flight are bounded apart from their budget.
func TestRetriesInFlightAreBounded(t *testing.T) {
	for name, b := range map[string]upstream.BreakerConfig{"service": {MaxRetries: 1}, "node": {PerNode: upstream.NodeBreaker{MaxRetries: 1}}} {
		t.Run(name, func(t *testing.T) { retriesInFlight(t, b) })
	}
}

func retriesInFlight(t *testing.T, breaker upstream.BreakerConfig) {
	heads, gate := make(chan string, 10), make(chan struct{})
	n := newNodeAt(t, "127.0.0.2:0", func(c *nodeConn) { // behind the closed port in the order of addresses
		for head := c.head(); head != ""; head = c.head() {
			heads <- head
			c.await(gate)
			c.write(ok)
		}
	})
	g := newGateway(t, []string{testnet.Reserve(t), n.addr}, withBreaker(breaker))
	first, second := g.connect(t), g.connect(t)
	first.send(get)
	testnet.Receive(t, "the retry of the first request", heads)
	second.send(get)
	second.answer().wantError(t, 502, "upstream_connect")
	close(gate)
	first.answer().want(t, 200, "ok")
	second.send(get) // the port's turn again: after it, the retry may be made
	second.answer().want(t, 200, "ok")
}

// While nobody is asked, the body is kept for when somebody is, as far as that goes.
func TestABodyWaitsWithItsRequest(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		for {
			head := c.head()
			if head == "" {
				return
			}
			body := ""
			if strings.HasPrefix(head, "PUT") {
				body = c.take(40_000)
			}
			c.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n%05d", len(body)))
		}
	})
	slow, asked, answer := gated(t)
	g := newGateway(t, []string{slow.addr}, withBreaker(upstream.BreakerConfig{
		PerNode: upstream.NodeBreaker{MaxRequests: 1}, QueueTimeout: unit.Duration(time.Hour),
	}))
	first, second := g.connect(t), g.connect(t)
	first.send(get)
	testnet.Receive(t, "the first request", asked)
	second.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n" + strings.Repeat("x", 40_000))
	g.awaitWaiting(t, 1)
	// Another node comes in, and with the next one who leaves there is room.
	g.registry.Update("s", &upstream.Config{Breaker: upstream.BreakerConfig{PerNode: upstream.NodeBreaker{MaxRequests: 1}}},
		[]upstream.NodeSpec{{Upstream: n.addr, Weight: 1}})
	answer()
	first.answer().want(t, 200, "ok")
	second.answer().want(t, 200, "40000")
}
