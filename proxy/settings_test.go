package proxy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/internal/testnet"
	"sluice/internal/unit"
)

// apply changes the settings of a gateway that runs.
func (g *gateway) apply(change func(*Settings)) {
	c := Settings{TrustedProxies: g.config.TrustedProxies, Limits: g.config.Limits, Timeouts: g.config.Timeouts}
	change(&c)
	g.Apply(c)
}

// An exchange works with the settings that it began with; the next one on the same connection has the new ones.
func TestSettingsChangeForTheNextRequest(t *testing.T) {
	half := make(chan struct{})
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.take(5)
		close(half)
		c.take(5)
		c.write(ok)
		c.hold()
	})
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
	testnet.Receive(t, "half of the body to arrive", half)
	g.apply(func(c *Settings) { c.Limits.Body = 4 })
	b.send("56789")
	b.answer().want(t, 200, "ok")
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n01234")
	b.answer().wantError(t, 413, "too_large")
}

func TestALowerLimitOfHeadersHoldsOnAnOpenConnection(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	b.wantGet("ok")
	g.apply(func(c *Settings) { c.Limits.HeaderCount = 2 })
	b.send("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n")
	b.answer().wantError(t, 431, "headers_too_large")
}

// The new keep-alive time holds from the next request on.
func TestANewKeepAliveTimeHoldsAfterTheNextRequest(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withClock())
	b := g.connect(t)
	b.wantGet("ok")
	g.apply(func(c *Settings) { c.Timeouts.KeepAlive = unit.Duration(5 * time.Second) })
	g.pass(t, 30*time.Second)
	b.wantGet("ok")
	g.await(t, "the connection to be idle", in(phaseIdle))
	g.runOut(t, 5*time.Second, in(phaseIdle))
	b.wantEnd()
}

// A limit may be set while connections are open that nobody had to count.
func TestALimitOfConnectionsCountsThoseThatWereThereBefore(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withWorkers(2))
	first := g.connect(t)
	first.wantGet("ok")
	g.apply(func(c *Settings) { c.Limits.Connections = 1 })
	g.connect(t).wantEnd()
	first.wantGet("ok") // it closes none that is open
	g.apply(func(*Settings) {})
	g.connect(t).wantGet("ok")
}

func TestATrustedProxyIsBelievedFromItsNextConnectionOn(t *testing.T) {
	var heads = make(chan string, 2)
	n := newNode(t, func(c *nodeConn) {
		for head := c.head(); head != ""; head = c.head() {
			heads <- head
			c.write(ok)
		}
	})
	g := newGateway(t, []string{n.addr})
	for _, want := range []string{"X-Forwarded-For: 127.0.0.1\r\n", "X-Forwarded-For: 192.0.2.7, 127.0.0.1\r\n"} {
		b := g.connect(t)
		b.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n")
		b.answer().want(t, 200, "ok")
		if head := testnet.Receive(t, "the request", heads); !strings.Contains(head, want) {
			t.Errorf("no %q in %q", want, head)
		}
		g.apply(func(c *Settings) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	}
}
