package proxy

import (
	"strings"
	"testing"
	"time"

	"sluice/codec"
	"sluice/codec/h2"
	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/upstream"
)

// wantWell shows that a node is not out. Other nodes must be there, or none would be taken out.
func (g *gateway) wantWell(t *testing.T, n *node) {
	t.Helper()
	if got := g.states()[n.addr]; got != "healthy" {
		t.Errorf("the node is %s", got)
	}
}

// RFC 9110 §7.8: a node may ignore the wish for another protocol, and answer. That a client of HTTP/2 cannot be told is none of its faults.
func TestANodeThatAnswersInPlaceOfATunnelIsNotToBlame(t *testing.T) {
	n := newNode(t, answering(ok))
	other := newNodeAt(t, "127.0.0.2:0", answering(ok))
	g := newGateway(t, []string{n.addr, other.addr}, ejecting)
	for range 10 {
		p := g.dialH2(t)
		s := p.askWebSocket()
		p.hears("1: 502")
		p.answered(s)
	}
	g.wantWell(t, n)
	g.wantWell(t, other)
	if n.opened.Load() == 0 {
		t.Error("it was not asked")
	}
}

// What a node that speaks HTTP/2 alone does with HTTP/1.1, which only a client's wish for another protocol gets to it, says nothing of it.
func TestANodeOfHTTP2AloneIsNotToBlameForAnUpgrade(t *testing.T) {
	script := func(c *nodeConn) {
		if first, _ := c.r.Peek(3); string(first) == "PRI" {
			speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte { return okH2(conn, s) })(c)
		}
	}
	n, other := newNode(t, script), newNodeAt(t, "127.0.0.2:0", script)
	for name, over := range map[string]option{"http2": overHTTP2, "grpc": forGRPC()} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, []string{n.addr, other.addr}, over, ejecting, withAttempts(1))
			for range 10 {
				for _, protocol := range []string{"websocket", "other"} {
					b := g.connect(t)
					b.send(strings.Replace(askWebSocket, "Upgrade: websocket", "Upgrade: "+protocol, 1))
					b.answer().wantError(t, 502, "upstream_reset")
				}
			}
			g.wantWell(t, n)
			g.wantWell(t, other)
		})
	}
}

// A client that takes its time to send a body is not waited for by the node's fault, whichever bound ends it; one that has sent all, and is not answered for most of the time, is.
func TestOnlyTheTimeThatANodeOwesSomethingIsHeldAgainstIt(t *testing.T) {
	for name, timeout := range map[string]upstream.TimeoutConfig{
		"total": {Total: unit.Duration(time.Second)}, "per try": {PerTry: unit.Duration(time.Second)},
	} {
		for _, c := range []struct {
			client, node time.Duration
			want         string
		}{{900 * time.Millisecond, 100 * time.Millisecond, "healthy"}, {100 * time.Millisecond, 900 * time.Millisecond, "ejected"}} {
			t.Run(name+" "+c.want, func(t *testing.T) {
				hung, asked, _ := silent(t)
				other := newNodeAt(t, "127.0.0.2:0", answering(ok))
				g := newGateway(t, []string{hung.addr, other.addr}, withClock(), ejecting, withAttempts(1), withService(func(s *upstream.Config) { s.Timeout = timeout }))
				b := g.connect(t)
				for range 3 { // the turns of both
					b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
					testnet.Receive(t, "the request", asked)
					g.await(t, "the node to owe nothing", waitingFor(waitNothing))
					g.pass(t, c.client)
					b.send("ab")
					g.await(t, "the exchange to wait", waitingFor(waitHead))
					g.pass(t, c.node+2*grain)
					b.answer().wantError(t, 504, "upstream_timeout")
					b = g.connect(t)
					b.wantGet("ok")
				}
				if c.want == "ejected" {
					testnet.Await(t, "the ejection", func() bool { return g.states()[hung.addr] == c.want })
				} else {
					g.wantWell(t, hung)
				}
			})
		}
	}
}
