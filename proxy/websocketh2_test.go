package proxy

import (
	"io"
	"strings"
	"testing"

	"sluice/codec/h2"
	"sluice/internal/testnet"
)

// RFC 8441.
func TestWebSocketOverHTTP2IsATunnel(t *testing.T) {
	asked := make(chan string, 1)
	n := newNode(t, func(c *nodeConn) {
		asked <- c.head()
		c.write(switched + "hello")
		_, _ = io.Copy(c.TCPConn, c.r)
	})
	g := newGateway(t, []string{n.addr})
	p := g.dialH2(t)
	s := p.askWebSocket()
	p.hears("1: 200")
	p.data(s, " echo", false)
	p.until("the echo", func() bool { return p.body[1] != nil && p.body[1].String() == "hello echo" })
	if got := <-asked; !strings.HasPrefix(got, "GET /chat HTTP/1.1\r\n") || !strings.Contains(got, "\r\nUpgrade: websocket\r\n") || !strings.Contains(got, "\r\nSec-WebSocket-Key: ") {
		t.Errorf("the node was asked %q", got)
	}
	p.data(s, "", true) // our end reaches the node, whose own then reaches us
	p.answered(s)
	if strings.Contains(p.heard.String(), "reset") {
		t.Error(p.heard.String())
	}
}

// askWebSocket asks for a WebSocket at /chat, on the connection's first stream.
func (p *peerH2) askWebSocket() *h2.Stream {
	p.t.Helper()
	s := new(h2.Stream)
	p.codec.OpenNext(s)
	head := []byte("\x02\x07CONNECT\x00\x09:protocol\x09websocket\x86\x04\x05/chat\x01\x0bexample.com\x00\x15sec-websocket-version\x0213")
	p.say(append([]byte{0, 0, byte(len(head)), 1, 4, 0, 0, 0, 1}, head...))
	return s
}

// sayEarly sends data of a WebSocket, and returns once the gateway has them.
func (p *peerH2) sayEarly(s *h2.Stream, b string, end bool) {
	p.t.Helper()
	p.data(s, b, end)
	p.answered(p.ask("GET", "/behind", true))
}

// slowSwitch is a node's script that answers a request for a WebSocket once release is closed, and any other at once, on connections that end with it.
func slowSwitch(release <-chan struct{}, script func(c *nodeConn)) func(c *nodeConn) {
	return func(c *nodeConn) {
		if !strings.HasPrefix(c.head(), "GET /chat ") {
			c.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			return
		}
		c.await(release)
		script(c)
	}
}

// RFC 9110 §7.8: a node that does not switch would take what follows the head for a request, which has passed no route.
func TestBytesBehindAnUpgradeThatIsRefusedReachNobody(t *testing.T) {
	for _, end := range []bool{false, true} {
		release, next := make(chan struct{}), make(chan string, 1)
		n := newNode(t, slowSwitch(release, func(c *nodeConn) {
			c.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
			next <- c.head()
			c.write(ok)
		}))
		p := newGateway(t, []string{n.addr}).dialH2(t)
		s := p.askWebSocket()
		p.sayEarly(s, "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n", end)
		close(release)
		p.hears("1: 403")
		p.answered(s)
		p.answered(p.ask("GET", "/next", true))
		if got := testnet.Receive(t, "the next request", next); !strings.HasPrefix(got, "GET /next HTTP/1.1\r\n") {
			t.Errorf("end %v: the node was sent %q", end, got)
		}
	}
}

// RFC 8441 §5: a client need not wait for the answer. What it sends before, and that it has ended, the node hears once it has switched; the window opens again.
func TestBytesBehindAnUpgradeWaitForTheNodeToSwitch(t *testing.T) {
	early := strings.Repeat("early", 30<<10)
	for _, end := range []bool{false, true} {
		release := make(chan struct{})
		n := newNode(t, slowSwitch(release, func(c *nodeConn) {
			c.write(switched)
			_, _ = io.Copy(c.TCPConn, c.r)
		}))
		p := newGateway(t, []string{n.addr}).dialH2(t)
		s := p.askWebSocket()
		p.sayEarly(s, early, end)
		close(release)
		p.hears("1: 200")
		want := early
		if !end {
			p.until("the window", func() bool { return p.codec.Room(s) >= len(early) })
			p.data(s, early, true)
			want += early
		}
		if got := p.answered(s); got != want {
			t.Errorf("end %v: %d bytes of %d came back", end, len(got), len(want))
		}
	}
}

// RFC 8441 §5: to a client of HTTP/2 any 2xx is a tunnel, so that the answer of a node that has not switched must not be one.
func TestAnAnswerInPlaceOfATunnelIsAnError(t *testing.T) {
	n := newNode(t, answering(ok))
	p := newGateway(t, []string{n.addr}).dialH2(t)
	s := p.askWebSocket()
	p.hears("1: 502")
	if body := p.answered(s); !strings.Contains(body, "upstream_protocol") {
		t.Error(body)
	}
}

// The second line of defence: no call sends bytes behind a head that announces none.
func TestACallOfARequestWithoutABodySendsNone(t *testing.T) {
	k := h1Call{bodiless: true} // without a connection, to which it would write
	k.sendBody([]byte("GET /admin HTTP/1.1\r\n\r\n"))
}
