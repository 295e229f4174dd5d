package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sluice/core/observe"
	"sluice/internal/testcert"
	"sluice/internal/testnet"
	"sluice/internal/unit"
)

// As nginx: who speaks HTTP to a port of HTTPS is told so in HTTP.
func TestPlainHTTPOnATLSPortIsAnswered(t *testing.T) {
	ca := testcert.NewAuthority(t)
	g := newGateway(t, nil, withCertificates(certificate("1", ca.Issue("a.test"), "a.test")))
	answer := exchangeRaw(t, g.addr, "GET / HTTP/1.1\r\nHost: a.test\r\nX: "+strings.Repeat("x", 5000)+"\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 400 Bad Request\r\n") || !strings.Contains(answer, "speaks HTTPS") || !strings.Contains(answer, "Connection: close") {
		t.Errorf("%q", answer)
	}
	testnet.Await(t, "it to be counted", func() bool { return g.handshakes(observe.HandshakeNotTLS) == 1 })
}

// Nonsense in place of records ends the connection, is counted, and leaves nothing.
func TestWhatIsNoTLSIsCounted(t *testing.T) {
	ca := testcert.NewAuthority(t)
	g := newGateway(t, nil, withCertificates(certificate("1", ca.Issue("a.test"), "a.test")))
	for _, nonsense := range []string{
		"\x00\x00\x00\x00\x00\x00",
		"\x16\x03\x01\xff\xff" + strings.Repeat("x", 100), // a record longer than any may be
		"\x16\x03\x01\x00\x05hello",
		"\x15\x03\x01\x00\x02\x02\x28", // an alert first
		"\x17\x03\x03\x00\x05hello",    // data first
		"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
	} {
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, nonsense); err != nil {
			t.Fatal(err)
		}
		_ = c.(*net.TCPConn).CloseWrite()
		_ = c.SetDeadline(time.Now().Add(testnet.Patience))
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
	g.awaitNoConnections(t)
	if n := g.handshakes(observe.HandshakeNotTLS) + g.handshakes(observe.HandshakeFailed) + g.handshakes(observe.HandshakeGone); n != 6 {
		t.Errorf("%d were counted", n)
	}
}

// awaitNoConnections waits until the first worker has no client connection.
func (g *gateway) awaitNoConnections(t testing.TB) {
	t.Helper()
	testnet.Await(t, "the connections to end", func() bool {
		return g.onLoop(func(w *worker) bool { return w.countSessions() == 0 })
	})
}

// Handshakes that are begun and left: they are bounded in number, the oldest give way, and who means it still gets in.
func TestTenThousandAbandonedHandshakesAreBounded(t *testing.T) {
	ca := testcert.NewAuthority(t)
	g := newGateway(t, []string{origin(t, tellTLS)}, withCertificates(certificate("1", ca.Issue("a.test"), "a.test")))
	config := &tls.Config{ServerName: "a.test", RootCAs: ca.Pool}
	hello := helloOf(t, config)
	const storm, step = 10_000, 500
	var held []net.Conn
	for begun := 0; begun < storm; begun += step {
		for range step {
			c, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, c)
			if _, err := c.Write(hello[:len(hello)-1-begun%2*40]); err != nil {
				t.Fatal(err)
			}
		}
		most := 0
		g.onLoop(func(w *worker) bool { most = w.greetings.count; return true })
		if most > maxGreetings {
			t.Fatalf("%d are under way", most)
		}
		if len(held) > 2*maxGreetings { // the gateway has closed these
			for _, c := range held[:step] {
				c.Close()
			}
			held = held[step:]
		}
	}
	if status, _, _ := secureGet(t, g.addr, "a.test", config); status != 200 {
		t.Errorf("in the storm: %d", status)
	}
	for _, c := range held {
		c.Close()
	}
	g.awaitNoConnections(t)
	if refused, gone := g.handshakes(observe.HandshakeRefused), g.handshakes(observe.HandshakeGone); refused < storm-maxGreetings || refused+gone != storm {
		t.Errorf("%d refused, %d gone", refused, gone)
	}
}

// helloOf returns the first flight of a client.
func helloOf(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	go func() { _ = tls.Client(client, config).Handshake() }()
	hello := make([]byte, 16<<10)
	n, err := server.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	return hello[:n]
}

// A handshake has the time of a request head.
// A handshake, a PROXY header and a head that are not whole when the process ends are counted or logged, as what is under way then is.
func TestWhatHasJustBegunIsCountedAtTheEndOfTheProcess(t *testing.T) {
	g := newGateway(t, nil, withCertificates(certificate("1", testcert.NewAuthority(t).Issue("a.test"), "a.test")))
	g.connect(t)
	g.await(t, "the handshake to begin", func(w *worker) bool { return w.greetings.count == 1 })
	g.Close()
	if n := g.handshakes(observe.HandshakeStopped); n != 1 {
		t.Errorf("%d handshakes are counted as cut", n)
	}

	g = newGateway(t, nil, withProxyProtocol())
	g.connect(t).send("PROXY ")
	g.await(t, "the header to begin", func(w *worker) bool { return w.greetings.count == 1 })
	g.Close()
	if n := g.stats.Worker(0).ProxyHeadersRefused(); n != 1 {
		t.Errorf("%d headers are counted as refused", n)
	}

	g = newGateway(t, nil, withLog())
	for _, in := range []string{"PRI", "GET /half HTTP/1.1\r\nHost: a"} {
		g.connect(t).send(in)
	}
	g.await(t, "both heads to begin", func(w *worker) bool {
		begun := 0
		for at := w.sessions; at != nil; at = at.next {
			begun += min(1, len(at.session.(*session).conn.Unread()))
		}
		return begun == 2
	})
	g.Close()
	for _, line := range g.logged(t, 2) {
		if line.Flag != "LR" || line.Target != "" && line.Target != "/half" {
			t.Errorf("logged %+v", line)
		}
	}
}

func TestAHandshakeThatTakesTooLongEnds(t *testing.T) {
	ca := testcert.NewAuthority(t)
	g := newGateway(t, nil, withCertificates(certificate("1", ca.Issue("a.test"), "a.test")),
		withTimeouts(func(c *TimeoutsConfig) { c.RequestHeader = unit.Duration(50 * time.Millisecond) }))
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(helloOf(t, &tls.Config{ServerName: "a.test"})); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c) // until the gateway ends it
	testnet.Await(t, "it to be counted", func() bool { return g.handshakes(observe.HandshakeTimeout) == 1 })
}
