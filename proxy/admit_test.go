package proxy

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"sluice/internal/testnet"
)

// connectFrom opens a connection from an address of this machine.
func (g *gateway) connectFrom(t testing.TB, ip string) *browser {
	t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0))}
	return g.connectWith(t, &d)
}

func TestConnectionsOverTheLimitAreClosed(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withWorkers(2), withLimits(func(c *LimitsConfig) { c.Connections = 2 }))
	first, second := g.connect(t), g.connect(t)
	first.wantGet("ok")
	second.wantGet("ok")
	third := g.connect(t)
	third.wantEnd()
	first.wantGet("ok")
	second.Close()
	testnet.Await(t, "the place to be free", func() bool { return g.conns.Load() == 1 })
	g.connect(t).wantGet("ok")
	if n := g.metric(t, "sluice_connections_refused_total{limit=connections}"); n != 1 {
		t.Errorf("%v are counted as refused", n)
	}
}

// One client cannot take the places of all others, whichever workers its connections fall to.
func TestConnectionsOfOneClientOverItsLimitAreClosed(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withWorkers(2), withLimits(func(c *LimitsConfig) { c.ConnectionsPerClient = 3 }))
	var greedy []*browser
	for range 3 {
		b := g.connectFrom(t, "127.0.0.1")
		b.wantGet("ok")
		greedy = append(greedy, b)
	}
	for range 5 {
		g.connectFrom(t, "127.0.0.1").wantEnd()
	}
	if n := g.metric(t, "sluice_connections_refused_total{limit=connections_per_client}"); n != 5 {
		t.Errorf("%v are counted as refused", n)
	}
	for _, ip := range []string{"127.0.0.2", "127.0.0.3"} {
		g.connectFrom(t, ip).wantGet("ok")
	}
	greedy[0].wantGet("ok")
	greedy[0].Close()
	testnet.Await(t, "the place to be free", func() bool { return g.conns.Load() == 4 })
	g.connectFrom(t, "127.0.0.1").wantGet("ok")
	g.connectFrom(t, "127.0.0.1").wantEnd()
}

// The connections of a load balancer in front are those of many clients.
func TestTheConnectionsOfATrustedProxyAreNotThoseOfOneClient(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withTrusted("127.0.0.2/32"), withLimits(func(c *LimitsConfig) { c.ConnectionsPerClient = 1 }))
	for range 3 {
		g.connectFrom(t, "127.0.0.2").wantGet("ok")
	}
	g.connectFrom(t, "127.0.0.1").wantGet("ok")
	g.connectFrom(t, "127.0.0.1").wantEnd()
}

// Behind a balancer the client is whom its header names.
func TestTheClientThatIsCountedIsTheOneThatAPROXYHeaderNames(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withProxyProtocol(), withLimits(func(c *LimitsConfig) { c.ConnectionsPerClient = 1 }))
	from := func(ip string) *browser {
		b := g.connect(t)
		b.send("PROXY TCP4 " + ip + " 198.51.100.1 56324 443\r\n")
		return b
	}
	first := from("192.0.2.7")
	first.wantGet("ok")
	from("192.0.2.8").wantGet("ok")
	from("192.0.2.7").wantEnd()
	first.Close()
	testnet.Await(t, "the place to be free", func() bool { return g.conns.Load() == 1 })
	from("192.0.2.7").wantGet("ok")
}

// A bound that is set in the middle of a flood counts the connections that are there.
func TestALimitForEachClientCountsConnectionsThatWereThereBefore(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withWorkers(2))
	first, second := g.connect(t), g.connect(t)
	first.wantGet("ok")
	second.wantGet("ok")
	g.apply(func(c *Settings) { c.Limits.ConnectionsPerClient = 2 })
	for range 2 { // the workers count in their next turn
		first.wantGet("ok")
		second.wantGet("ok")
	}
	g.connect(t).wantEnd()
	first.wantGet("ok") // it closes none that is open
	g.apply(func(*Settings) {})
	g.connect(t).wantGet("ok")
}

// The bound holds at every moment, however the workers come upon each other, and nothing is left of clients that have gone.
func TestCountsOfClientsAreExactUnderContention(t *testing.T) {
	const clients, bound, workers = 5, 3, 8
	counts := newClientCounts()
	var open [clients]atomic.Int64
	var running sync.WaitGroup
	for seed := range uint64(workers) {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, 1))
			type held struct {
				client int
				count  *clientCount
			}
			var holding []held
			for range 20_000 {
				if len(holding) > 0 && random.IntN(2) == 0 {
					i := random.IntN(len(holding))
					h := holding[i]
					holding[i] = holding[len(holding)-1]
					holding = holding[:len(holding)-1]
					open[h.client].Add(-1)
					counts.leave(h.count)
					continue
				}
				client := random.IntN(clients)
				if count := counts.enter(netip.AddrFrom4([4]byte{10, 0, 0, byte(client)}), bound); count != nil {
					holding = append(holding, held{client, count})
					if n := open[client].Add(1); n > bound {
						t.Errorf("%d connections of one client", n)
					}
				}
			}
			for _, h := range holding {
				open[h.client].Add(-1)
				counts.leave(h.count)
			}
		})
	}
	running.Wait()
	for i := range counts.buckets {
		if counts.buckets[i].Load() != nil {
			t.Fatal("a client that has gone has a place in the table")
		}
	}
}

// Who commands one IPv6 address commands its whole /64.
func TestAnIPv6ClientIsItsNetwork(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"fe80::1%1", "fe80::2%2", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "::c000:201", false},
	} {
		counts := newClientCounts()
		counts.enter(netip.MustParseAddr(c.a), 1)
		if same := counts.enter(netip.MustParseAddr(c.b), 1) == nil; same != c.same {
			t.Errorf("%s and %s: one client %v, want %v", c.a, c.b, same, c.same)
		}
	}
}
