package proxy

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"sluice/internal/testcert"
	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/upstream"
)

func withPreconnect(n int) option {
	return withService(func(c *upstream.Config) { c.Pool.Preconnect = n })
}

// idles reports how many idle connections the first worker has to the first node.
func (g *gateway) awaitConns(t *testing.T, n *node, opened, open int) {
	t.Helper()
	testnet.Await(t, "the connections", func() bool { return int(n.opened.Load()) == opened && n.open() == open })
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
		g.pass(t, grain)
		g.awaitConns(t, n, 4+i, 4+i)
		clients = append(clients, b)
	}
	for _, b := range clients {
		answer()
		_ = b
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
		g.pass(t, grain)
	}
	g.awaitConns(t, n, 7, 7)
}

// A node that closes idle connections is given new ones, as are those that were idle for too long.
func TestConnectionsThatEndAreOpenedAnew(t *testing.T) {
	for name, over := range map[string]option{"HTTP/1.1": nil, "HTTP/2": overHTTP2} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, func(c *nodeConn) { c.until("never") })
			options := []option{withClock(), withPreconnect(1)}
			if over != nil {
				options = append(options, over)
			}
			g := newGateway(t, []string{n.addr}, options...)
			g.awaitConns(t, n, 1, 1)
			g.pass(t, 2*time.Second)
			n.closeAll()
			testnet.Await(t, "the end", func() bool { return n.open() == 0 && g.conns1() == 0 })
			g.pass(t, grain)
			g.awaitConns(t, n, 2, 1)
			testnet.Await(t, "it to be there", func() bool { return g.conns1() == 1 })
			g.pass(t, upstream.DefaultIdleTimeout+grain)
			g.pass(t, grain)
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
			var well atomicBool
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
			if first, third := opened[0], opened[2]-opened[1]; first < 3 || first > 12*warmBurst || third < 1 || third > 4*warmBurst {
				t.Errorf("%v connections after one, two and three minutes", opened)
			}
			well.Store(true)
			g.pass(t, 30*time.Second)
			want := 8
			if name == "HTTP/2" {
				want = 1
			}
			testnet.Await(t, "all of them", func() bool { return n.open() == want })
		})
	}
}
