package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/codec"
	"sluice/codec/h2"
	"sluice/internal/testnet"
	"sluice/plugin/responserewrite"
)

func withRewrite(t testing.TB, config string) option {
	t.Helper()
	return withKind(t, &responserewrite.Kind, config)
}

// RFC 9112 §6: a length that is not the body's, or chunks that are none, would make of the rest of an answer the next one. The node's own body is read to its end, so that its connection
// serves on.
func TestAnotherBodyThanTheNodesIsFramedByItsOwnLength(t *testing.T) {
	for name, from := range map[string]string{
		"length":  "Content-Length: 10\r\n\r\n0123456789",
		"chunked": "Transfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\na\r\n0123456789\r\n0\r\nX-End: yes\r\n\r\n",
		"empty":   "Content-Length: 0\r\n\r\n",
	} {
		for _, body := range []string{"", "hello", strings.Repeat("x", 40<<10)} {
			n := newNode(t, func(c *nodeConn) {
				for head := c.head(); head != ""; head = c.head() {
					answer := "HTTP/1.1 404 Never Mind\r\nETag: \"1\"\r\n" + from
					if strings.HasPrefix(head, "HEAD ") {
						answer = answer[:strings.Index(answer, "\r\n\r\n")+4]
					}
					c.write(answer)
				}
			})
			g := newGateway(t, []string{n.addr}, withRewrite(t, fmt.Sprintf(`{"status_code":200,"body":%q}`, body)), withLog())
			b := g.connect(t)
			for i, method := range []string{"GET", "HEAD", "POST", "GET"} {
				b.send(method + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
				a := b.answerTo(method)
				want := body
				if method == "HEAD" {
					want = ""
				}
				a.want(t, 200, want)
				if a.get("Content-Length") != fmt.Sprint(len(body)) || a.get("ETag") != "" || a.trailer != "" || strings.Contains(a.head, "Never Mind") {
					t.Errorf("%s, %d bytes, answer %d: %q", name, len(body), i, a.head)
				}
			}
			if opened := n.opened.Load(); opened != 1 && !mode.up.http2 { // there it is behind a shim
				t.Errorf("%s, %d bytes: the node had %d connections", name, len(body), opened)
			}
			for _, line := range g.logged(t, 4) { // over HTTP/2 not always in the order of the requests
				want := len(body)
				if line.Method == "HEAD" {
					want = 0
				}
				if line.Status != 200 || line.BytesOut != want {
					t.Errorf("logged %+v", line)
				}
			}
		}
	}
}

// RFC 9110 §15.3.5, §15.3.6, §15.4.5.
func TestAStatusThatHasNoBodyLosesItAndOneThatHasIsEmpty(t *testing.T) {
	const found, none, same = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"1\"\r\n\r\n"
	for _, c := range []struct {
		node, config string
		status       int
		body, length string
	}{
		{found, `{"status_code":204}`, 204, "", ""},
		{found, `{"status_code":204,"body":"never"}`, 204, "", ""},
		{found, `{"status_code":205}`, 205, "", "0"},
		{found, `{"status_code":205,"body":"never"}`, 205, "", "0"},
		{found, `{"status_code":304}`, 304, "", ""},
		{found, `{"status_code":299}`, 299, "hello", "5"},
		{none, `{"status_code":200}`, 200, "", "0"},
		{none, `{"status_code":200,"body":"there is"}`, 200, "there is", "8"},
		{none, `{"body":"never"}`, 204, "", ""},
		{none, `{"status_code":304}`, 304, "", ""},
		{same, `{"status_code":200}`, 200, "", "0"},
		{same, `{"status_code":503,"body":"there is"}`, 503, "there is", "8"},
		{same, `{"body":"never"}`, 304, "", ""},
	} {
		n := newNode(t, answering(c.node))
		g := newGateway(t, []string{n.addr}, withRewrite(t, c.config))
		b := g.connect(t)
		for range 2 { // the second is there to be answered
			b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			a := b.answer()
			a.want(t, c.status, c.body)
			if a.get("Content-Length") != c.length || a.get("Transfer-Encoding") != "" {
				t.Errorf("%.20q with %s: %q", c.node, c.config, a.head)
			}
		}
	}
}

// RFC 9110 §6.6.2: Trailer announces what follows a body. Nothing follows another, nor is anything said of the one before: its coding, digests, ranges, and what validates it.
func TestNothingTellsOfABodyThatIsNotSent(t *testing.T) {
	const end = "Content-MD5: 1\r\nDigest: 1\r\nContent-Digest: 1\r\nRepr-Digest: 1\r\nETag: \"1\"\r\nLast-Modified: Thu, 26 Nov 2026 00:00:00 GMT\r\n" +
		"Accept-Ranges: bytes\r\nContent-Encoding: gzip\r\nTrailer: X-End\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-End: yes\r\n\r\n"
	ofIt := []string{"Content-MD5", "Digest", "Content-Digest", "Repr-Digest", "Accept-Ranges", "Content-Encoding", "Content-Range", "Trailer", "Transfer-Encoding"}
	for _, c := range []struct {
		node, config string
		status       int
		body         string
		validators   bool
	}{
		{"HTTP/1.1 200 OK\r\n", `{"body":"other"}`, 200, "other", false},
		{"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\n", `{"body":"other"}`, 200, "other", false},
		{"HTTP/1.1 200 OK\r\n", `{"status_code":205}`, 205, "", false},
		{"HTTP/1.1 200 OK\r\n", `{"status_code":204}`, 204, "", true},
		{"HTTP/1.1 200 OK\r\n", `{"status_code":304}`, 304, "", true},
	} {
		n := newNode(t, answering(c.node+end))
		b := newGateway(t, []string{n.addr}, withRewrite(t, c.config)).connect(t)
		for range 2 {
			b.send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
			a := b.answer()
			a.want(t, c.status, c.body)
			for _, name := range ofIt {
				if a.get(name) != "" {
					t.Errorf("%.14q with %s: %s", c.node, c.config, a.head)
				}
			}
			if v := a.get("ETag") != "" && a.get("Last-Modified") != ""; v != c.validators || a.trailer != "" {
				t.Errorf("%.14q with %s: %q, trailer %q", c.node, c.config, a.head, a.trailer)
			}
		}
	}
}

// A body that nobody gets is not worth more than its connection: neither one that is long, nor one that has no end, nor one that does not come.
func TestANodeThatSendsMuchOrLongIsNotWaitedForWhereNobodyGetsIt(t *testing.T) {
	for name, script := range map[string]func(c *nodeConn){
		"long": func(c *nodeConn) { c.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n") },
		"endless": func(c *nodeConn) {
			c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			for range 100 {
				c.write("2000\r\n" + strings.Repeat("x", 0x2000) + "\r\n")
			}
		},
		"stalled":       func(c *nodeConn) { c.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234") },
		"until the end": func(c *nodeConn) { c.write("HTTP/1.1 200 OK\r\n\r\n01234") },
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{}, 2)
			n := newNode(t, func(c *nodeConn) {
				if c.head() == "" {
					return
				}
				script(c)
				c.hold()
				ended <- struct{}{}
			})
			g := newGateway(t, []string{n.addr}, withRewrite(t, `{"body":"hello"}`), withLog())
			b := g.connect(t)
			b.wantGet("hello")
			testnet.Receive(t, "the end of the node's connection", ended)
			b.wantGet("hello")
			for _, line := range g.logged(t, 2) {
				if line.Status != 200 || line.Flag != "" {
					t.Errorf("logged %+v", line)
				}
			}
		})
	}
}

// It is no fault of a node's that nobody reads on, or that it has no more to say.
func TestANodeWhoseBodyNobodyGetsIsNotToBlame(t *testing.T) {
	stalling := func(c *nodeConn) {
		if c.head() != "" {
			c.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n01234")
			c.hold()
		}
	}
	n, other := newNode(t, stalling), newNodeAt(t, "127.0.0.2:0", stalling)
	g := newGateway(t, []string{n.addr, other.addr}, ejecting, withRewrite(t, `{"body":"hello"}`))
	b := g.connect(t)
	for range 20 {
		b.wantGet("hello")
	}
	g.wantWell(t, n)
	g.wantWell(t, other)
}

// A node that breaks off a body which nobody gets does no harm to the client, which has its answer.
func TestANodeThatFailsBehindItsHeadDoesNotSpoilAnotherBody(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		if c.head() != "" {
			c.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
		}
	})
	g := newGateway(t, []string{n.addr}, withRewrite(t, `{"body":"hello"}`))
	b := g.connect(t)
	for range 3 {
		b.wantGet("hello")
	}
}

// A node that answers early has answered: what comes of the request goes nowhere.
func TestAnotherBodyIsSentBeforeTheRequestIsWhole(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		for c.head() != "" {
			c.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
			c.hold()
		}
	})
	g := newGateway(t, []string{n.addr}, withRewrite(t, `{"body":"hello"}`))
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
	b.answer().want(t, 403, "hello")
	b.send("56789GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	b.answer().want(t, 403, "hello")
}

// What APISIX rewrites are all answers, its own too.
func TestTheGatewaysOwnAnswersAreRewrittenToo(t *testing.T) {
	g := newGateway(t, nil, withRewrite(t, `{"status_code":200,"body":"back soon","headers":{"set":{"Content-Type":"text/plain"}}}`), withLog())
	b := g.connect(t)
	for _, method := range []string{"GET", "HEAD", "GET"} {
		b.send(method + " / HTTP/1.1\r\nHost: a\r\n\r\n")
		a := b.answerTo(method)
		want := "back soon"
		if method == "HEAD" {
			want = ""
		}
		a.want(t, 200, want)
		if a.get("Content-Type") != "text/plain" || a.get("Content-Length") != "9" || a.get("Server") != "sluice" {
			t.Errorf("%q", a.head)
		}
	}
	if line := g.logged(t, 3)[0]; line.Status != 200 || line.Flag != "UH" {
		t.Errorf("logged %+v", line)
	}
	g = newGateway(t, nil, withRewrite(t, `{"status_code":204}`))
	b = g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	b.answer().want(t, 204, "")
	b.answer().want(t, 204, "")
}

// The body in the place of the node's is what the client is meant to get, and has the length that was told.
func TestTransformersDoNotSeeTheBodyInThePlaceOfTheNodes(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withPlugin(1, &shouting{"<a>"}), withRewrite(t, `{"body":"hello"}`))
	b := g.connect(t)
	for range 2 {
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		a := b.answer()
		a.want(t, 200, "hello")
		if a.get("X-Mark") != "<a>" || a.get("Content-Length") != "5" {
			t.Errorf("%q", a.head)
		}
	}
}

// RFC 9110 §15.2.2: client and node have agreed.
func TestATunnelIsNotRewritten(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write(switched)
		c.write(c.take(5))
	})
	g := newGateway(t, []string{n.addr}, withPlugin(0, meddler{}), withRewrite(t, `{"status_code":200,"body":"hello"}`))
	c, r := openTunnel(t, g.addr)
	if _, err := c.Write([]byte("bytes")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []byte("bytes") {
		if b, err := r.ReadByte(); err != nil || b != want {
			t.Fatalf("%q, %v", b, err)
		}
	}
}

// A client of HTTP/1.0 has no chunks, and one that keeps its connection needs a length.
func TestAnotherBodyHasALengthForHTTP10(t *testing.T) {
	n := newNode(t, answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n0\r\n0\r\n\r\n"))
	g := newGateway(t, []string{n.addr}, withRewrite(t, `{"body":"hello"}`))
	b := g.connect(t)
	for range 2 {
		b.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		a := b.answer()
		a.want(t, 200, "hello")
		if a.get("Content-Length") != "5" || a.get("Connection") != "keep-alive" {
			t.Errorf("%q", a.head)
		}
	}
}

// RFC 9113 §8.1.1: content-length is the sum of the DATA frames, and the stream ends with the body, whatever the node has to say yet; a trailer of its body is none of ours.
func TestOverHTTP2AnotherBodyEndsTheStreamWithItsLength(t *testing.T) {
	n := newNode(t, speakH2(func(c *nodeConn, conn *h2.Conn, s *h2.Stream, req *codec.Request) []byte {
		var resp codec.Response
		resp.Reset(nil)
		resp.Status, resp.Version, resp.Framing = 200, codec.HTTP2, codec.Framing{Kind: codec.BodyStream}
		var end codec.Header
		end.Add("x-end", []byte("yes"))
		out := conn.AppendResponseHead(nil, s, &resp, false)
		out = conn.AppendData(out, s, []byte("0123456789"), false)
		return conn.AppendTrailer(out, s, &end)
	}))
	g := newGateway(t, []string{n.addr}, overHTTP2, withRewrite(t, `{"body":"hello","headers":{"set":{"X-A":"b"}}}`))
	p := g.dialH2(t)
	for range 3 {
		s := p.ask("GET", "/", true)
		if body := p.answered(s); body != "hello" {
			t.Errorf("body %q", body)
		}
	}
	if heard := p.heard.String(); strings.Count(heard, ": 200 ") != 3 || strings.Count(heard, "content-length=5") != 3 || strings.Count(heard, "x-a=b") != 3 || strings.Contains(heard, "reset") {
		t.Errorf("heard %q", heard)
	}
	if opened := n.opened.Load(); opened != 1 {
		t.Errorf("%d connections to the node", opened)
	}
}

// The next request on a connection of HTTP/1.1 waits for the end of a body that nobody gets, but not for long.
func TestABodyThatNobodyGetsIsWaitedForAMoment(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		if c.head() != "" {
			c.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
			c.hold()
		}
	})
	g := newGateway(t, []string{n.addr}, withClock(), withRewrite(t, `{"body":"hello"}`))
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	b.answer().want(t, 200, "hello")
	dropping := func(w *worker) bool { r := w.first().request; return r != nil && r.state == stateDropping }
	g.await(t, "the rest to be waited for", dropping)
	g.pass(t, restTime-10*time.Millisecond)
	if !g.onLoop(dropping) {
		t.Fatal("it was given up too early")
	}
	g.pass(t, 30*time.Millisecond)
	g.await(t, "the end of the wait", func(w *worker) bool { return w.first().phase == phaseIdle })
}
