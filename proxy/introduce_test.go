package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/testcert"
	"sluice/internal/testnet"
	"sluice/internal/unit"
)

func withProxyProtocol() option { return func(s *setup) { s.config.Listeners[0].ProxyProtocol = true } }

// tellSource answers with where the request is said to come from.
func tellSource(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "xff=%s real=%s", r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Real-Ip"))
}

const simpleGet = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

// The client is whom the balancer names; the request may stand behind the header in the same segment or come later.
func TestAPROXYHeaderNamesTheClient(t *testing.T) {
	g := newGateway(t, []string{origin(t, tellSource)}, withProxyProtocol(), withLog())
	binary := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\xdc\x04\x01\xbb"
	for _, c := range []struct{ header, want string }{
		{"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "192.0.2.7"},
		{binary, "192.0.2.7"},
		{"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", "2001:db8::7"},
		{"PROXY UNKNOWN\r\n", "127.0.0.1"},
		{"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "127.0.0.1"},
	} {
		if answer := exchangeRaw(t, g.addr, c.header+simpleGet); !strings.Contains(answer, "xff="+c.want+" real="+c.want) {
			t.Errorf("%q: %q", c.header, answer)
		}
		conn, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.header {
			if _, err := io.WriteString(conn, c.header[i:i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.WriteString(conn, simpleGet); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), "xff="+c.want) {
			t.Errorf("byte by byte: %q: %q, %v", c.header, answer, err)
		}
		conn.Close()
	}
	if log := g.logged(t, 10); log[0].Client != "192.0.2.7" {
		t.Errorf("%+v", log[0])
	}
}

// A connection without the header, with a bad one, from a peer that may not send one, or that is slow with it, ends without an answer and is counted.
func TestConnectionsWithoutAPROXYHeaderAreRefused(t *testing.T) {
	g := newGateway(t, nil, withProxyProtocol())
	for _, in := range []string{simpleGet, "PROXY TCP4 1.2.3.4\r\n" + simpleGet, "\x16\x03\x01"} {
		refused(t, g, in)
	}
	refused(t, newGateway(t, nil, withProxyProtocol(), withTrusted("192.0.2.0/24")), "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"+simpleGet)
	refused(t, newGateway(t, nil, withProxyProtocol(), withTimeouts(func(c *TimeoutsConfig) { c.RequestHeader = unit.Duration(50 * time.Millisecond) })), "PROXY TCP4 ")
}

func refused(t *testing.T, g *gateway, in string) {
	t.Helper()
	before := g.stats.Worker(0).ProxyHeadersRefused()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, in); err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(testnet.Patience))
	if answer, _ := io.ReadAll(c); len(answer) > 0 {
		t.Errorf("%q: %q", in, answer)
	}
	testnet.Await(t, "the refusal to be counted", func() bool { return g.stats.Worker(0).ProxyHeadersRefused() == before+1 })
}

// The header stands before TLS; the first bytes of the handshake may come with it.
func TestAPROXYHeaderStandsBeforeTLS(t *testing.T) {
	ca := testcert.NewAuthority(t)
	g := newGateway(t, []string{origin(t, tellSource)}, withProxyProtocol(), withCertificates(certificate("1", ca.Issue("a.test"), "a.test")))
	for _, together := range []bool{false, true} {
		raw, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		header := "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"
		if !together {
			if _, err := io.WriteString(raw, header); err != nil {
				t.Fatal(err)
			}
			header = ""
		}
		c := tls.Client(&prefixed{raw, header}, &tls.Config{ServerName: "a.test", RootCAs: ca.Pool})
		if status, body := getOn(t, c, "a.test"); status != 200 || body != "xff=192.0.2.7 real=192.0.2.7" {
			t.Errorf("together %v: %d %s", together, status, body)
		}
		c.Close()
	}
}

// prefixed puts something in front of the first write.
type prefixed struct {
	net.Conn
	prefix string
}

func (p *prefixed) Write(b []byte) (int, error) {
	if p.prefix == "" {
		return p.Conn.Write(b)
	}
	all := append([]byte(p.prefix), b...)
	p.prefix = ""
	_, err := p.Conn.Write(all)
	return len(b), err
}

// A listener that only sends to HTTPS keeps method, host and target; an authority's question is answered before.
func TestAListenerMaySendItsClientsToHTTPS(t *testing.T) {
	g := newGateway(t, nil, func(s *setup) { s.config.Listeners[0].RedirectHTTPS = 443 })
	other := newGateway(t, nil, func(s *setup) { s.config.Listeners[0].RedirectHTTPS = 8443 })
	snap := *g.Snapshot()
	snap.Challenges = &Challenges{Tokens: map[string][]byte{"tok": []byte("tok.thumb")}}
	g.Publish(&snap)
	for _, c := range []struct {
		g             *gateway
		request, want string
	}{
		{g, "GET /a?b HTTP/1.1\r\nHost: a.test:80\r\n", "HTTP/1.1 301 Moved Permanently\r\n|Location: https://a.test/a?b\r\n"},
		{g, "POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n", "HTTP/1.1 308 Permanent Redirect\r\n|Location: https://a.test/a\r\n"},
		{other, "GET / HTTP/1.1\r\nHost: [::1]:80\r\n", "301|Location: https://[::1]:8443/\r\n"},
		{g, "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n", "308|Location: https://a.test/\r\n"},
		{g, "GET / HTTP/1.0\r\n", "400"},
		{g, "GET /.well-known/acme-challenge/tok HTTP/1.1\r\nHost: a.test\r\n", "HTTP/1.1 200 OK\r\n|\r\n\r\ntok.thumb"},
		{g, "GET /.well-known/acme-challenge/no HTTP/1.1\r\nHost: a.test\r\n", "301"},
	} {
		answer := exchangeRaw(t, c.g.addr, c.request+"Connection: close\r\n\r\n")
		for part := range strings.SplitSeq(c.want, "|") {
			if !strings.Contains(answer, part) {
				t.Errorf("%q: %q", c.request, answer)
			}
		}
	}
}
