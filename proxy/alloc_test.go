package proxy

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"sluice/codec/h2"
	"sluice/internal/testcert"
	"sluice/plugin"
	"sluice/plugin/proxyrewrite"
	"sluice/plugin/requestid"
)

// pingPong is a client on one connection that allocates nothing: it writes a request and reads an answer of a known length.
type pingPong struct {
	conn    net.Conn
	request []byte
	answer  []byte // room for it
}

func newPingPong(t testing.TB, g *gateway, request string) *pingPong {
	t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if g.config.Listeners[0].TLS {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	n := 0
	for !bytes.HasSuffix(buf[:n], []byte("ok")) {
		m, err := c.Read(buf[n:])
		if err != nil {
			t.Fatalf("%v after %q", err, buf[:n])
		}
		n += m
	}
	if !bytes.HasPrefix(buf, []byte("HTTP/1.1 200 OK\r\n")) {
		t.Fatalf("got %q", buf[:n])
	}
	return &pingPong{c, []byte(request), buf[:n]}
}

func (p *pingPong) do() error {
	if _, err := p.conn.Write(p.request); err != nil {
		return err
	}
	_, err := io.ReadFull(p.conn, p.answer)
	return err
}

// quietNode answers every request with ok and allocates nothing: its own loop over one buffer, for requests that come one at a time and end with mark.
func quietNode(t testing.TB, mark string) *node {
	return newNode(t, func(c *nodeConn) {
		buf := make([]byte, 64<<10)
		answer, end := []byte(ok), []byte(mark)
		for n := 0; ; {
			m, err := c.TCPConn.Read(buf[n:])
			if err != nil {
				return
			}
			if n += m; !bytes.HasSuffix(buf[:n], end) {
				continue
			}
			n = 0
			if _, err := c.TCPConn.Write(answer); err != nil {
				return
			}
		}
	})
}

const browserFields = "Host: shop.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,application/xhtml+xml\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef\r\n"

// withRequestID adds the request-id plugin with its defaults.
func withRequestID(t testing.TB) option {
	t.Helper()
	return withKind(t, &requestid.Kind, "{}")
}

// fivePlugins are those that a request passes without being refused or answered by one.
func fivePlugins(t testing.TB) []option {
	t.Helper()
	return []option{
		withRequestID(t),
		withCORS(t, `{"allow_origins":"https://a.test,https://b.test","allow_methods":"GET,PUT","allow_headers":"Content-Type","allow_credential":true}`),
		restricted(t, `{"blacklist":["10.0.0.0/8","192.0.2.0/24","2001:db8::/32"]}`),
		withKind(t, &proxyrewrite.Kind, `{"regex_uri":["^/index","/home"],"headers":{"set":{"X-From":"edge"},"remove":["X-Internal"]}}`),
		withRewrite(t, `{"headers":{"set":{"X-Content-Type-Options":"nosniff"},"remove":["X-Powered-By"]}}`),
	}
}

// withKind adds a plugin as it is built for a route.
func withKind(t testing.TB, kind *plugin.Kind, config string) option {
	t.Helper()
	filter, err := kind.Build(kind.Name, []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return func(s *setup) {
		s.plugins = append(s.plugins, plugin.Instance{Name: kind.Name, Priority: kind.Priority, Filter: filter})
	}
}

// A request on kept connections, with a request id, forwarded fields and the access log, allocates nothing. The whole process is measured, so the client
// and the node here allocate nothing either.
func TestARequestAllocatesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		request, mark string
		options       []option
	}{
		"get":                     {"GET /index.html?q=1 HTTP/1.1\r\n" + browserFields + "\r\n", "\r\n\r\n", nil},
		"get with plugin and log": {"GET /index.html?q=1 HTTP/1.1\r\n" + browserFields + "\r\n", "\r\n\r\n", []option{withRequestID(t), withLog()}},
		"get with five plugins":   {"GET /index.html?q=1 HTTP/1.1\r\n" + browserFields + "Origin: https://a.test\r\n\r\n", "\r\n\r\n", fivePlugins(t)},
		"get with another answer": {"GET / HTTP/1.1\r\n" + browserFields + "\r\n", "\r\n\r\n", []option{withRewrite(t, `{"status_code":200,"body":"also ok","headers":{"set":{"X-A":"b"},"remove":["X-C"]}}`)}},
		"post":                    {"POST /form HTTP/1.1\r\n" + browserFields + "Content-Length: 1000\r\n\r\n" + strings.Repeat("x", 996) + "\r\n\r\n", "x\r\n\r\n", nil},
		"post in chunks": {"POST /form HTTP/1.1\r\n" + browserFields + "Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + strings.Repeat("x", 1000) + "\r\n0\r\n\r\n",
			"\r\n0\r\n\r\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if raceDetector && strings.Contains(name, "five plugins") {
				t.Skip("the race detector makes sync.Pool, from which regexp has its machines, drop what it is given; tools/test counts without it")
			}
			n := quietNode(t, c.mark)
			g := newGateway(t, []string{n.addr}, c.options...)
			p := newPingPong(t, g, c.request)
			if per := allocations(t, p); per >= 0.05 {
				t.Errorf("%.3f allocations per request", per)
			}
		})
	}
}

// Over TLS there is what crypto/tls allocates itself for the records that it reads, one at each end, and nothing beside.
func TestARequestOverTLSAllocatesWhatCryptoTLSDoes(t *testing.T) {
	if raceDetector {
		t.Skip("crypto/tls allocates more under the race detector; tools/test counts without it")
	}
	n := quietNode(t, "\r\n\r\n")
	g := newGateway(t, []string{n.addr}, withCertificates(certificate("1", testcert.NewAuthority(t).Issue("a.test"), "*")))
	if per := allocations(t, newPingPong(t, g, "GET /index.html?q=1 HTTP/1.1\r\n"+browserFields+"\r\n")); per >= 2.05 {
		t.Errorf("%.3f allocations per request", per)
	}
}

// quietNodeH2 is quietNode over HTTP/2. Requests have no body, and their heads come in one frame.
func quietNodeH2(t testing.TB) *node {
	return newNode(t, func(c *nodeConn) {
		buf := make([]byte, 64<<10)
		answer := []byte("\x00\x00\x05\x01\x04\x00\x00\x00\x00\x88\x0f\x0d\x012" + "\x00\x00\x02\x00\x01\x00\x00\x00\x00ok") // HEADERS: 200, content-length 2; DATA
		c.write("\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x00\x04\x01\x00\x00\x00\x00")                             // SETTINGS, and an acknowledgement
		begun := false
		for n := 0; ; {
			m, err := c.TCPConn.Read(buf[n:])
			if err != nil {
				return
			}
			in := buf[:n+m]
			if !begun && len(in) >= len(h2.Preface) {
				begun, in = true, in[len(h2.Preface):]
			}
			for begun && len(in) >= 9 {
				size := 9 + int(binary.BigEndian.Uint32(in)>>8)
				if len(in) < size {
					break
				}
				if in[3] == 1 {
					copy(answer[5:9], in[5:9])
					copy(answer[19:23], in[5:9])
					if _, err := c.TCPConn.Write(answer); err != nil {
						return
					}
				}
				in = in[size:]
			}
			n = copy(buf, in)
		}
	})
}

// A request to a node over HTTP/2 allocates nothing either.
func TestARequestToANodeOverHTTP2AllocatesNothing(t *testing.T) {
	g := newGateway(t, []string{quietNodeH2(t).addr}, overHTTP2, withRequestID(t), withLog())
	if per := allocations(t, newPingPong(t, g, "GET /index.html?q=1 HTTP/1.1\r\n"+browserFields+"\r\n")); per >= 0.05 {
		t.Errorf("%.3f allocations per request", per)
	}
}

// allocations returns how many the whole process makes for a request.
func allocations(t testing.TB, p *pingPong) float64 {
	t.Helper()
	const warm, requests = 500, 5000
	var before, after runtime.MemStats
	for i := range warm + requests {
		if i == warm {
			runtime.ReadMemStats(&before)
		}
		if err := p.do(); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / requests
}

func BenchmarkKeepAliveGet(b *testing.B) {
	for name, options := range map[string][]option{"request id": {withRequestID(b)}, "five plugins": fivePlugins(b)} {
		b.Run(name, func(b *testing.B) {
			n := quietNode(b, "\r\n\r\n")
			g := newGateway(b, []string{n.addr}, options...)
			p := newPingPong(b, g, "GET /index.html?q=1 HTTP/1.1\r\n"+browserFields+"Origin: https://a.test\r\n\r\n")
			b.ReportAllocs()
			for b.Loop() {
				if err := p.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
