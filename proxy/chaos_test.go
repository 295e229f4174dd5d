package proxy

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/upstream"
)

// chaos is a gateway among nodes that die, reset, delay and answer garbage, and clients that abort, pipeline, trickle, read slowly and smuggle. Every request has an id in
// its path and its fields, and a checksum of its body; every answer has the id and a body and a trailer that follow from it. So an answer to another request, bytes that
// got lost on the way, and requests that nobody has sent show. In the end nothing may be left of any of them.
type chaos struct {
	t       *testing.T
	seed    uint64
	bounded bool // the gateway may say that it has enough
	changes bool // the service and its nodes change all the time
	stops   bool // the gateway ends in the midst of it
	ids     atomic.Int64
	posts   sync.Map // id of each POST that a node has read → true

	right, refused, cut, gone, malformed atomic.Int64

	stopping atomic.Bool // the gateway ends, or has ended
}

func TestChaos(t *testing.T) {
	length := 8 * time.Second
	if testing.Short() {
		length = 2 * time.Second
	}
	(&chaos{t: t, seed: chaosSeed(t)}).run(length, withService(func(c *upstream.Config) {
		c.Breaker.MaxRequests = 4 * chaosClients // an exchange that is not counted out would close it in the end
	}))
}

// The same with all that bounds requests, makes them wait, or asks two nodes at once: each counts something that must be counted out on every way on which an exchange can end.
func TestChaosWithinBounds(t *testing.T) {
	length := 4 * time.Second
	if testing.Short() {
		length = 2 * time.Second
	}
	(&chaos{t: t, seed: chaosSeed(t), bounded: true}).run(length, withService(func(c *upstream.Config) {
		bound(c, 0)
		c.Pool.MaxRequests = 20
	}))
}

// The same while nodes come and go, and what bounds requests does too: what an exchange was counted by when it began, it is counted out by.
func TestChaosWhileTheServiceChanges(t *testing.T) {
	(&chaos{t: t, seed: chaosSeed(t), bounded: true, changes: true}).run(2*time.Second, withService(func(c *upstream.Config) { bound(c, 0) }))
}

// The same, ended by the end of the gateway.
func TestChaosThatTheGatewayEndsIn(t *testing.T) {
	(&chaos{t: t, seed: chaosSeed(t), bounded: true, changes: true, stops: true}).run(testnet.Patience, withService(func(c *upstream.Config) { bound(c, 0) }))
}

// bound gives a service the bounds of that number; of 0, they are those of the others together.
func bound(c *upstream.Config, n int) {
	c.Balancer.Type = [...]string{"least_conn", "roundrobin", "ewma", "chash", "random"}[n%5]
	c.Breaker = upstream.BreakerConfig{QueueTimeout: unit.Duration(50 * time.Millisecond)}
	set := func(bit int, to *int, value int) {
		if *to = 0; n == 0 || n&(1<<bit) != 0 {
			*to = value
		}
	}
	set(0, &c.Breaker.MaxRequests, chaosClients)
	set(1, &c.Breaker.MaxPending, 6)
	set(2, &c.Breaker.MaxConnections, 12)
	set(3, &c.Breaker.MaxRetries, 4)
	set(4, &c.Breaker.PerNode.MaxRequests, 3)
	set(5, &c.Breaker.PerNode.MaxPending, 2)
	set(6, &c.Breaker.PerNode.MaxRetries, 2)
	set(7, &c.Pool.MaxPerNode, 4)
	set(8, &c.Pool.Preconnect, 1)
	c.Retry.Hedge, c.Breaker.Adaptive, c.Health = nil, nil, nil
	if n%2 == 0 {
		c.Retry.Hedge = &upstream.HedgeConfig{Delay: unit.Duration(20 * time.Millisecond)}
	}
	if n%3 == 0 {
		c.Breaker.Adaptive = &upstream.AdaptiveConfig{MinLimit: 4}
	}
	if n%4 == 0 {
		c.Health = &upstream.HealthConfig{Passive: &upstream.PassiveHealth{Ejection: unit.Duration(100 * time.Millisecond)}}
	}
	c.Timeout.PerTry, c.Timeout.Total = unit.Duration(100*time.Millisecond), unit.Duration(300*time.Millisecond)
	c.SetDefaults()
}

// The chaos in every pair of protocols, in plain text and over TLS.
func TestChaosInEveryMode(t *testing.T) {
	inEveryMode(t, func(t *testing.T) {
		(&chaos{t: t, seed: chaosSeed(t)}).run(800*time.Millisecond, withService(func(*upstream.Config) {}))
	})
}

func (x *chaos) run(length time.Duration, bounds option) {
	t := x.t
	t.Logf("seed %d", x.seed)
	nodes, stop := x.startNodes()
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.addr)
	}
	g := newGateway(t, addrs, withWorkers(2), withAttempts(3), withTimeouts(func(c *TimeoutsConfig) {
		c.Connect, c.ResponseHeader, c.ResponseBody = unit.Duration(300*time.Millisecond), unit.Duration(200*time.Millisecond), unit.Duration(200*time.Millisecond)
	}), withService(func(c *upstream.Config) {
		c.Retry.On = []string{"connect", "reset", "503"}
	}), bounds)
	var clients sync.WaitGroup
	begun := time.Now()
	calm := func() []*upstream.Service { return g.Snapshot().Services }
	if x.changes {
		calm = x.changeAllTheTime(g, addrs)
	}
	for i := range chaosClients {
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(x.seed, 1<<48|uint64(i)))
			for !t.Failed() && !x.stopping.Load() && (time.Since(begun) < length || !x.enough() && time.Since(begun) < testnet.Patience) {
				x.client(g.addr, rnd)
			}
		})
	}
	if x.stops {
		testnet.Await(t, "the midst of it", func() bool { return x.right.Load()+x.refused.Load() >= 30 })
		x.stopping.Store(true)
		g.Close()
	}
	clients.Wait()
	stop()
	views := calm()
	t.Logf("%d answers right, %d refused, %d cut, %d connections given up, %d malformed requests", x.right.Load(), x.refused.Load(), x.cut.Load(), x.gone.Load(), x.malformed.Load())
	if x.stops {
		wantCountedOut(t, views)
		return
	}
	if !x.enough() {
		t.Error("not enough has happened")
	}
	wantCountedOut(t, views)
	wantClosed(t, views)
	g.wantEventually(t, "/calm")
	g.wantNothingLeft(t, nodes)
}

// changeAllTheTime gives the service other bounds and other nodes, again and again, until it is told to calm down: to what it was in the beginning. That tells all the service has been.
func (x *chaos) changeAllTheTime(g *gateway, addrs []string) (calm func() []*upstream.Service) {
	views := slices.Clone(g.Snapshot().Services)
	change := func(n int, addrs []string) {
		var c upstream.Config
		for _, a := range addrs {
			c.Nodes = append(c.Nodes, upstream.NodeConfig{Upstream: a})
		}
		attempts, all, many := 3, 100, 1_000_000
		c.Retry.Attempts, c.Retry.On, c.Retry.BudgetPercent, c.Retry.MinPerSecond = &attempts, []string{"connect", "reset", "503"}, &all, &many
		bound(&c, n)
		snap := *g.Snapshot()
		snap.Services = []*upstream.Service{g.registry.Update("s", &c, nil)}
		g.Publish(&snap)
		views = append(views, snap.Services[0])
	}
	var quit atomic.Bool
	var changer sync.WaitGroup
	changer.Go(func() {
		rnd := rand.New(rand.NewPCG(x.seed, 1<<50))
		beat := time.NewTicker(20 * time.Millisecond)
		defer beat.Stop()
		for !quit.Load() {
			<-beat.C
			gone := rnd.IntN(2 * len(addrs)) // or none
			change(rnd.IntN(1<<9), slices.DeleteFunc(slices.Clone(addrs), func(a string) bool { return gone < len(addrs) && a == addrs[gone] }))
		}
	})
	return func() []*upstream.Service {
		quit.Store(true)
		changer.Wait()
		change(0, addrs)
		return views
	}
}

// wantCountedOut fails the test where something stays counted in what a service has been.
func wantCountedOut(t *testing.T, views []*upstream.Service) {
	t.Helper()
	for _, v := range views {
		testnet.Await(t, "everything to be counted out", func() bool { return v.Busy() == 0 })
	}
}

// wantClosed fails the test where a connection stays open to a node that the latest of those views does not have.
func wantClosed(t *testing.T, views []*upstream.Service) {
	t.Helper()
	has := views[len(views)-1].Nodes()
	for _, v := range views {
		for _, n := range v.Nodes() {
			if !slices.Contains(has, n) {
				testnet.Await(t, "the connections of a node that has gone to end", func() bool { return n.Conns() == 0 })
			}
		}
	}
}

// enough reports whether everything has happened that is to happen.
func (x *chaos) enough() bool {
	return x.right.Load() >= 100 && x.refused.Load() > 0 && x.cut.Load() > 0 && x.gone.Load() > 0 && x.malformed.Load() > 0
}

const chaosClients = 12

// startNodes starts the nodes. The first dies now and then, with all its connections, and comes back; stop ends that.
func (x *chaos) startNodes() (nodes []*node, stop func()) {
	for i := range 4 {
		var streams atomic.Uint64
		script := func(c *nodeConn) { x.node(c, rand.New(rand.NewPCG(x.seed, uint64(i)<<32|streams.Add(1)))) }
		addr := fmt.Sprintf("127.0.0.%d:0", 10+i)
		if i == 0 {
			n := startNode(x.t, addr, script)
			nodes, stop = append(nodes, n), killNowAndThen(x.t, n, script)
			continue
		}
		nodes = append(nodes, newNodeAt(x.t, addr, script))
	}
	return nodes, stop
}

// killNowAndThen stops a node and starts it again at its address until it is told to stop, when it is dead.
func killNowAndThen(t *testing.T, n *node, script func(*nodeConn)) (stop func()) {
	var enough atomic.Bool
	var killer sync.WaitGroup
	killer.Go(func() {
		beat := time.NewTicker(150 * time.Millisecond)
		defer beat.Stop()
		for dead := false; !enough.Load() || dead; dead = !dead {
			<-beat.C
			if !dead {
				n.stop()
			} else {
				n = startNode(t, n.addr, script)
			}
		}
		n.stop()
	})
	return func() {
		enough.Store(true)
		killer.Wait()
	}
}

// wantNothingLeft fails the test where the gateway comes not back to what it was without requests: no session, no buffer, nothing that is counted, and no connection to a
// node but those that the node has too.
func (g *gateway) wantNothingLeft(t *testing.T, nodes []*node) {
	t.Helper()
	if !mode.down.http2 { // whose connection is the shim's
		testnet.Await(t, "the sessions to end", func() bool { return g.openConns() == 0 })
	}
	for i, n := range g.Snapshot().Services[0].Nodes() {
		if !mode.up.http2 {
			testnet.Await(t, "the connections to be the node's", func() bool { return n.Conns() == nodes[i].open() })
		}
	}
	g.wantGivenBack(t)
}

// wantGivenBack fails the test where something stays counted, or lent, that was a request's.
func (g *gateway) wantGivenBack(t *testing.T) {
	t.Helper()
	testnet.Await(t, "everything to be counted out", func() bool { return g.Snapshot().Services[0].Busy() == 0 })
	g.wantNoStreams(t)
	for _, w := range g.workers {
		lent := make(chan int)
		testnet.Await(t, "the buffers to come back", func() bool {
			w.loop.Post(func() { lent <- w.loop.Lent() })
			return <-lent == 0
		})
	}
}

// wantNoStreams fails the test where something is left of a request on a connection of HTTP/2, of either side.
func (g *gateway) wantNoStreams(t *testing.T) {
	t.Helper()
	for _, w := range g.workers {
		testnet.Await(t, "the streams to be gone", func() bool {
			clean := make(chan bool)
			w.loop.Post(func() {
				ok := true
				for at := w.sessions; at != nil; at = at.next {
					if s, is := at.session.(*sessionH2); is && (s.requests > 0 || s.codec.Streams() > 0 || s.behind > 0) {
						ok = false
					}
				}
				for _, p := range w.poolsH2 {
					ok = ok && len(p.waiting)+len(p.asking) == 0 && p.conns == len(p.clients)
					for _, c := range p.clients {
						ok = ok && c.calls == 0 && c.codec.Streams() == 0 && c.behind == 0
					}
				}
				clean <- ok
			})
			return <-clean
		})
	}
}

// chaosSeed returns the seed of SLUICE_CHAOS_SEED, or one that never changes.
func chaosSeed(t *testing.T) uint64 {
	text := os.Getenv("SLUICE_CHAOS_SEED")
	if text == "" {
		return 1
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return seed
}

// wantEventually waits until the gateway serves: eight right answers in a row. The first node may still be dead, and is passed over then; on a machine that is busy with something else a node may
// be late for the bounds of the chaos.
func (g *gateway) wantEventually(t *testing.T, path string) {
	t.Helper()
	testnet.Await(t, "the gateway to serve", func() bool {
		c := g.connect(t)
		defer c.Close()
		for range 8 {
			c.send("GET " + path + " HTTP/1.1\r\nHost: a\r\nX-Id: calm\r\n\r\n")
			switch a := c.answer(); {
			case a.status >= 502:
				return false
			case a.status != 200 || a.body != chaosBody("calm"):
				t.Fatalf("the gateway does not serve any more: %+v", a)
			}
		}
		return true
	})
}

// chaosBody is the body of the answer to the request with that id.
func chaosBody(id string) string {
	n, _ := strconv.Atoi(id)
	sizes := [...]int{0, 1, 10, 1000, 5000, 70000, 200000}
	return strings.Repeat(fmt.Sprintf("<%s>", id), sizes[n%len(sizes)]/(len(id)+2))
}
