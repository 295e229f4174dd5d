package proxy

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"sluice/internal/testnet"
	"sluice/plugin"
)

// earlyNode answers as soon as it has seen a head, whatever is to follow.
func earlyNode(t *testing.T) *node {
	return newNode(t, func(c *nodeConn) {
		for strings.HasPrefix(c.head(), "GET /again") {
			c.write(ok)
		}
		c.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
		c.hold()
	})
}

func TestAnEarlyAnswerBeforeASmallBodyKeepsTheConnection(t *testing.T) {
	n := earlyNode(t)
	g := newGateway(t, []string{n.addr})
	for _, framing := range []string{"Content-Length: 10\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"} {
		b := g.connect(t)
		b.send("POST / HTTP/1.1\r\nHost: a\r\n" + framing)
		a := b.answer()
		a.want(t, 403, "no")
		if a.get("Connection") != "" {
			t.Errorf("%q", a.head)
		}
		if strings.Contains(framing, "chunked") {
			b.send("5\r\nhello\r\n0\r\nX: y\r\n\r\n")
		} else {
			b.send("0123456789")
		}
		b.wantGet("ok")
	}
}

// What follows the body that nobody wants is the next request, and no part of the body may be taken for one.
func TestARequestBehindABodyThatWasAnsweredEarlyIsServed(t *testing.T) {
	n := earlyNode(t)
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	inside := "GET /again HTTP/1.1\r\nHost: inside\r\n\r\n"
	b.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(inside)))
	b.answer().want(t, 403, "no")
	b.send(inside + "GET /again HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	b.answer().want(t, 200, "ok")
	b.wantEnd()
}

func TestAnEarlyAnswerBeforeALargeBodyClosesTheConnection(t *testing.T) {
	n := earlyNode(t)
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
	a := b.answer()
	a.want(t, 403, "no")
	if a.get("Connection") != "close" {
		t.Errorf("%q", a.head)
	}
	b.send(strings.Repeat("x", 100<<10)) // it is read, so that no reset takes the answer away
	b.wantEnd()
}

// A chunk that has begun tells how much comes at least: a client is not told that its connection goes on where it will not.
func TestAnEarlyAnswerWithinALargeChunkSaysThatTheConnectionCloses(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		c.until("some")
		c.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
		c.hold()
	})
	g := newGateway(t, []string{n.addr})
	for size, want := range map[int]string{lingerBytes + len("some"): "", lingerBytes + len("some") + 1: "close"} {
		b := g.connect(t)
		b.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\nsome", size))
		a := b.answer()
		a.want(t, 403, "no")
		if a.get("Connection") != want {
			t.Errorf("a chunk of %d: %q", size, a.head)
		}
	}
}

// A chunked body that turns out to be large ends the connection after all.
func TestABodyThatIsDrainedForTooLongClosesTheConnection(t *testing.T) {
	n := earlyNode(t)
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	b.answer().want(t, 403, "no")
	chunk := "10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n"
	for range 2 * lingerBytes >> 16 {
		if _, err := io.WriteString(b, chunk); err != nil {
			break
		}
	}
	b.wantEnd()
	g.await(t, "the rest of the body to be thrown away", in(phaseLinger))
}

// A client that reads its answer only once it has sent everything, as many do, must not lose it to a reset (RFC 9112 §9.6).
func TestAClientThatSendsItsLargeBodyToTheEndHasItsAnswer(t *testing.T) {
	n := earlyNode(t)
	g := newGateway(t, []string{n.addr})
	const size = 16 << 20
	b := g.connect(t)
	b.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size))
	b.send(strings.Repeat("x", size))
	b.answer().want(t, 403, "no")
	b.wantEnd()
}

// The answer streams while the body does: neither waits for the other's end.
func TestBothBodiesStreamAtOnce(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range 10 {
			c.write("1\r\n" + c.take(1) + "\r\n")
		}
		c.write("0\r\n\r\n")
		c.hold()
	})
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
	for {
		line, err := b.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			break
		}
	}
	for i := range 10 {
		digit := fmt.Sprint(i)
		b.send(digit)
		got := make([]byte, len("1\r\nx\r\n"))
		if _, err := io.ReadFull(b.r, got); err != nil || string(got) != "1\r\n"+digit+"\r\n" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	rest := make([]byte, len("0\r\n\r\n"))
	if _, err := io.ReadFull(b.r, rest); err != nil || string(rest) != "0\r\n\r\n" {
		t.Fatalf("%q, %v", rest, err)
	}
	b.r.Reset(b.TCPConn)
}

func TestABodyOverTheLimitIs413(t *testing.T) {
	closed := make(chan struct{}, 2)
	n := newNode(t, func(c *nodeConn) {
		c.hold()
		closed <- struct{}{}
	})
	limit := withLimits(func(c *LimitsConfig) { c.Body = 100 })
	g := newGateway(t, []string{n.addr}, limit, withLog())
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n")
	b.answer().wantError(t, 413, "too_large")
	b.wantEnd()
	if n.opened.Load() != 0 {
		t.Error("the node was asked")
	}
	b = g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + strings.Repeat("x", 100) + "\r\n")
	testnet.Await(t, "the node to be asked", func() bool { return n.opened.Load() == 1 })
	b.send("1\r\ny\r\n")
	b.answer().wantError(t, 413, "too_large")
	b.wantEnd()
	testnet.Receive(t, "the node's connection to close", closed)
	for _, line := range g.logged(t, 2) {
		if line.Status != 413 || line.Code != "too_large" {
			t.Errorf("logged %+v", line)
		}
	}
}

// RFC 9110 §10.1.1: the node decides whether the body is wanted.
func TestExpectContinueIsTheNodesToAnswer(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		for head := c.head(); strings.Contains(head, "\r\nExpect: 100-continue\r\n"); head = c.head() {
			if strings.HasPrefix(head, "POST /no") {
				c.write("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
				c.hold()
				return
			}
			c.write("HTTP/1.1 100 Continue\r\n\r\n")
			if c.take(4) == "body" {
				c.write(ok)
			}
		}
	})
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	const expect = " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
	b.send("POST /yes" + expect)
	b.answer().want(t, 100, "")
	b.send("body")
	b.answer().want(t, 200, "ok")
	b.send("POST /no" + expect)
	a := b.answer()
	a.want(t, 417, "")
	if a.get("Connection") != "close" { // the body may or may not follow
		t.Errorf("%q", a.head)
	}
	b.wantEnd()
}

// An answer that the gateway gives in place of 100 (Continue) ends the connection too.
func TestAnExpectationThatNoNodeHearsClosesTheConnection(t *testing.T) {
	g := newGateway(t, nil)
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	a := b.answer()
	a.wantError(t, 503, "no_healthy_node")
	if a.get("Connection") != "close" {
		t.Errorf("%q", a.head)
	}
	b.wantEnd()
}

// responder answers every request, and writes over the scratch memory when it sees a response.
type responder struct{ reply *plugin.Reply }

func (r *responder) RequestHead(plugin.Exchange) plugin.Verdict {
	if r.reply == nil {
		return plugin.Verdict{}
	}
	return plugin.Verdict{Action: plugin.Respond, Reply: r.reply}
}

func (r *responder) ResponseHead(x plugin.Exchange) {
	b := append(x.Scratch(), strings.Repeat("scribble", 100)...)
	x.Response().Header.Set("X-Seen", b[:8])
}

func TestAPluginAnswersInPlaceOfANode(t *testing.T) {
	n := newNode(t, answering(ok))
	reply := &plugin.Reply{Status: 429, Headers: []plugin.ReplyHeader{{Name: "X-Limit", Value: "1"}}, Body: []byte("slow down")}
	g := newGateway(t, []string{n.addr}, withPlugin(0, &responder{reply}), withLog())
	b := g.connect(t)
	b.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
	for i, method := range []string{"GET", "HEAD", "GET"} {
		a := b.answerTo(method)
		want := "slow down"
		if method == "HEAD" {
			want = ""
		}
		a.want(t, 429, want)
		if a.get("X-Limit") != "1" || a.get("X-Seen") != "scribble" || a.get("Content-Length") != "9" || a.get("Server") != "sluice" {
			t.Errorf("answer %d: %q", i, a.head)
		}
	}
	if n.opened.Load() != 0 {
		t.Error("the node was asked")
	}
	if line := g.logged(t, 3)[0]; line.Status != 429 || line.Route != "all" || line.BytesOut != len("slow down") {
		t.Errorf("logged %+v", line)
	}
}

// A plugin that sees the head of an error's answer may use the scratch memory; the body must not be in it.
func TestAPluginDoesNotSpoilTheBodyOfAnError(t *testing.T) {
	g := newGateway(t, nil, withPlugin(0, &responder{}))
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	a := b.answer()
	a.wantError(t, 503, "no_healthy_node")
	if a.get("X-Seen") != "scribble" {
		t.Errorf("%q", a.head)
	}
}

// setter sets a field and the host, as an authentication and a rewriting plugin do.
type setter struct{}

func (setter) RequestHead(x plugin.Exchange) plugin.Verdict {
	x.Request().Header.Set("X-User", []byte("alice"))
	x.Request().SetHost([]byte("inner"))
	return plugin.Verdict{}
}

// "Connection: x-user" must not take away what a plugin has set behind it, nor may the client's own X-User pass. X-Forwarded-Host is the host that the client
// asked for, and so is the one in the log.
func TestWhatAPluginSetsIsNotTheClientsToRemove(t *testing.T) {
	heads := make(chan string, 1)
	n := newNode(t, func(c *nodeConn) { heads <- c.head(); c.write(ok) })
	g := newGateway(t, []string{n.addr}, withPlugin(0, setter{}), withLog())
	b := g.connect(t)
	b.send("GET /t HTTP/1.1\r\nHost: outer\r\nX-User: mallory\r\nConnection: X-User\r\n\r\n")
	b.answer().want(t, 200, "ok")
	head := testnet.Receive(t, "the request", heads)
	for _, want := range []string{"\r\nX-User: alice\r\n", "\r\nHost: inner\r\n", "\r\nX-Forwarded-Host: outer\r\n"} {
		if !strings.Contains(head, want) {
			t.Errorf("no %q in %q", want, head)
		}
	}
	if strings.Contains(head, "mallory") {
		t.Errorf("the client's own field passed: %q", head)
	}
	if line := g.logged(t, 1)[0]; line.Host != "outer" || line.Target != "/t" {
		t.Errorf("logged %+v", line)
	}
}
