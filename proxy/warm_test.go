package proxy

import (
	"crypto/tls"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/testcert"
	"sluice/internal/testnet"
	"sluice/upstream"
)

// warming is longer than the pause in which what was taken may come back, and so short that no node seems to have an idle timeout.
const warming = 24 * time.Millisecond

func withPreconnect(n int) option {
	return withService(func(c *upstream.Config) { c.Pool.Preconnect = n })
}

// awaitConns waits until a node has seen so many connections, and has so many.
func (g *gateway) awaitConns(t *testing.T, n *node, opened, open int) {
	t.Helper()
	testnet.Await(t, "the connections", func() bool {
		return int(n.opened.Load()) == opened && n.open() == open
	})
}

func TestConnectionsAreOpenedBeforeTheFirstRequest(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withWorkers(2), withClock(), withPreconnect(3))
	g.awaitConns(t, n, 6, 6)
	testnet.Await(t, "them to be idle", func() bool {
		return g.onLoop(func(w *worker) bool { return g.Snapshot().Services[0].Nodes()[0].Idle(0) })
	})
	g.connect(t).wantGet("ok")
	g.awaitConns(t, n, 6, 6)
}

// What requests have taken is opened anew, so that the next ones find as many, and what comes back is kept beside it.
func TestConnectionsThatAreTakenAreOpenedAnew(t *testing.T) {
	n, asked, answer := gated(t)
	g := newGateway(t, []string{n.addr}, withClock(), withPreconnect(3))
	g.awaitConns(t, n, 3, 3)
	var clients []*browser
	for i := range 4 {
		b := g.connect(t)
		b.send(get)
		testnet.Receive(t, "the request", asked)
		g.pass(t, warming)
		g.awaitConns(t, n, 4+i, 4+i)
		clients = append(clients, b)
	}
	for range clients {
		answer()
	}
	for _, b := range clients {
		b.answer().want(t, 200, "ok")
	}
	b := g.connect(t)
	for range 3 {
		b.send(get)
		testnet.Receive(t, "the request", asked)
		answer()
		b.answer().want(t, 200, "ok")
		g.pass(t, warming)
	}
	g.awaitConns(t, n, 7, 7)
}

// A node that closes idle connections is given new ones, as are those that were idle for too long.
func TestConnectionsThatEndAreOpenedAnew(t *testing.T) {
	for name, over := range map[string]option{"HTTP/1.1": withPreconnect(1), "HTTP/2": overHTTP2} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, func(c *nodeConn) { c.until("never") })
			g := newGateway(t, []string{n.addr}, withClock(), withPreconnect(1), over)
			g.awaitConns(t, n, 1, 1)
			g.pass(t, 2*time.Second)
			n.closeAll()
			testnet.Await(t, "the end", func() bool { return n.open() == 0 && g.conns1() == 0 })
			g.pass(t, warming)
			g.awaitConns(t, n, 2, 1)
			testnet.Await(t, "it to be there", func() bool { return g.conns1() == 1 })
			g.pass(t, upstream.DefaultIdleTimeout+warming)
			g.pass(t, warming)
			g.awaitConns(t, n, 3, 1)
		})
	}
}

// closeAll ends every connection of a node.
func (n *node) closeAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		c.Close()
	}
}

// conns1 returns how many connections there are to the first node.
func (g *gateway) conns1() int { return g.Snapshot().Services[0].Nodes()[0].Conns() }

// A node that closes what is opened to it is asked less and less often, and as often as ever once it is well.
func TestANodeThatRefusesWarmConnectionsIsLeftAloneForLonger(t *testing.T) {
	for name, over := range map[string]option{"HTTP/1.1": withPreconnect(8), "HTTP/2": overHTTP2} {
		t.Run(name, func(t *testing.T) {
			var well atomic.Bool
			n := newNode(t, func(c *nodeConn) {
				if well.Load() {
					c.until("never")
				}
			})
			g := newGateway(t, []string{n.addr}, withClock(), withPreconnect(8), over)
			quiet := func() bool { return n.open() == 0 && g.conns1() == 0 }
			opened := []int32{}
			for range 3 {
				for range 60 {
					testnet.Await(t, "the ends", quiet)
					g.pass(t, time.Second)
				}
				testnet.Await(t, "the ends", quiet)
				opened = append(opened, n.opened.Load())
			}
			if first, third := opened[0], opened[2]-opened[1]; first < 8 || first > 25 || third < 2 || third > 8 {
				t.Errorf("%v connections after one, two and three minutes", opened)
			}
			well.Store(true)
			g.pass(t, 30*time.Second)
			testnet.Await(t, "the first", func() bool { return n.open() == 1 })
			if name == "HTTP/1.1" {
				g.pass(t, 2*time.Second)
				testnet.Await(t, "all of them", func() bool { return n.open() == 8 })
			}
		})
	}
}

// What is kept follows the service's configuration, and ends with the weight of the node: one that drains gets no new connections.
func TestWhatIsKeptFollowsTheService(t *testing.T) {
	n := newNode(t, func(c *nodeConn) { c.until("never") })
	g := newGateway(t, []string{n.addr}, withClock())
	keep := func(preconnect, weight int) {
		g.registry.Update("s", &upstream.Config{Pool: upstream.PoolConfig{Preconnect: preconnect}}, []upstream.NodeSpec{{Upstream: n.addr, Weight: weight}})
		g.pass(t, 0)
		g.pass(t, warming)
	}
	keep(5, 1)
	g.awaitConns(t, n, 5, 5)
	keep(6, 1)
	g.awaitConns(t, n, 6, 6)
	for i, left := range []struct{ preconnect, weight int }{{6, 0}, {0, 1}} {
		keep(left.preconnect, left.weight)
		n.closeAll()
		testnet.Await(t, "the end", func() bool { return n.open() == 0 && g.conns1() == 0 })
		g.pass(t, time.Minute)
		g.pass(t, warming)
		g.awaitConns(t, n, 6*(i+1), 0)
		keep(6, 1)
		g.awaitConns(t, n, 6*(i+2), 6)
	}
}

// Connections that are bounded are not kept from those who wait for one, on any worker.
func TestWarmConnectionsGiveWayToRequests(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withWorkers(3), withService(func(c *upstream.Config) { c.Pool.Preconnect, c.Pool.MaxPerNode = 4, 2 }))
	testnet.Await(t, "the connections", func() bool { return n.opened.Load() == 2 })
	for range 6 {
		b := g.connect(t)
		for range 3 {
			b.wantGet("ok")
		}
	}
	if most := g.conns1(); most > 2 {
		t.Errorf("%d connections", most)
	}
}

// Over TLS they are kept once the node has shown who it is.
func TestConnectionsOverTLSAreOpenedInAdvance(t *testing.T) {
	ca := testcert.NewAuthority(t)
	for name, c := range map[string]struct {
		over   option
		proto  string
		opened int
	}{"HTTP/1.1": {withPreconnect(2), "http/1.1", 2}, "HTTP/2": {overHTTP2, "h2", 1}} {
		t.Run(name, func(t *testing.T) {
			config := &tls.Config{Certificates: []tls.Certificate{ca.Issue("127.0.0.1").Certificate}, NextProtos: []string{c.proto}}
			var shaken atomic.Int32
			n := newNode(t, func(c *nodeConn) {
				s := tls.Server(c.TCPConn, config)
				if s.Handshake() == nil {
					shaken.Add(1)
				}
				_, _ = io.Copy(io.Discard, s)
			})
			g := newGateway(t, []string{n.addr}, withClock(), withPreconnect(2), c.over, withTLS(upstream.TLSConfig{CA: ca.PEM}))
			testnet.Await(t, "the handshakes", func() bool { return int(shaken.Load()) == c.opened })
			g.await(t, "them to be idle", func(*worker) bool { return g.Snapshot().Services[0].Nodes()[0].Idle(0) })
			g.awaitConns(t, n, c.opened, c.opened)
		})
	}
}
