package proxy

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"sluice/internal/testnet"
	"sluice/router"
	"sluice/upstream"
)

func TestAServiceWithoutNodesIs503(t *testing.T) {
	g := newGateway(t, nil, withLog())
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	b.answer().wantError(t, 503, "no_healthy_node")
	// A route whose service is unknown to the snapshot.
	snap := *g.Snapshot()
	snap.Services = []*upstream.Service{nil}
	g.Publish(&snap)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	b.answer().wantError(t, 503, "no_healthy_node")
	for _, line := range g.logged(t, 2) {
		if line.Flag != "UH" || line.Route != "all" {
			t.Errorf("logged %+v", line)
		}
	}
}

func TestNoRouteIs404(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withLog(), withRoute(router.Rule[*Route]{ID: "one", Hosts: []string{"here"}, Paths: []string{"/a/*"}}))
	b := g.connect(t)
	for _, request := range []string{"GET /a/x HTTP/1.1\r\nHost: there", "GET /b HTTP/1.1\r\nHost: here"} {
		b.send(request + "\r\n\r\n")
		b.answer().wantError(t, 404, "no_route")
	}
	b.send("GET /%61/x HTTP/1.1\r\nHost: HERE:80\r\n\r\n")
	b.answer().want(t, 200, "ok")
	if line := g.logged(t, 3)[0]; line.Route != "" || line.Flag != "NR" || line.Status != 404 || line.Target != "/a/x" {
		t.Errorf("logged %+v", line)
	}
}

func TestABreakerRefusesWhatIsOverItsLimit(t *testing.T) {
	asked, answer := make(chan struct{}, 2), make(chan struct{})
	n := newNode(t, func(c *nodeConn) {
		for c.head() != "" {
			asked <- struct{}{}
			c.await(answer)
			c.write(ok)
		}
	})
	g := newGateway(t, []string{n.addr}, withService(func(c *upstream.Config) { c.Breaker.MaxRequests = 1 }), withLog())
	first, second := g.connect(t), g.connect(t)
	first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	testnet.Receive(t, "the first request", asked)
	second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	a := second.answer()
	a.wantError(t, 503, "overloaded")
	if a.get("Retry-After") == "" {
		t.Errorf("%q", a.head)
	}
	close(answer)
	first.answer().want(t, 200, "ok")
	lines := 2
	testnet.Await(t, "the place to be free", func() bool { // which over HTTP/2 may be a moment after the last byte
		lines++
		second.send(get)
		return second.answer().status == 200
	})
	if line := g.logged(t, lines)[0]; line.Flag != "UO" {
		t.Errorf("logged %+v", line)
	}
}

func TestABreakersPlaceIsFreedHoweverAnExchangeEnds(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		switch head := c.head(); {
		case strings.HasPrefix(head, "GET /reset"):
			c.reset()
		case strings.HasPrefix(head, "GET /garbage"):
			c.write("garbage\r\n")
		case strings.HasPrefix(head, "GET /cut"):
			c.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
		case strings.HasPrefix(head, "GET /hold"):
			c.hold()
		default:
			c.write(ok)
		}
	})
	g := newGateway(t, []string{n.addr}, withService(func(c *upstream.Config) { c.Breaker.MaxRequests = 1 }), withLog())
	for i, path := range []string{"/reset", "/garbage", "/cut", "/hold", "/"} {
		b := g.connect(t)
		b.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
		if path == "/hold" {
			testnet.Await(t, "the node to be asked", func() bool { return n.open() == 1 })
			b.reset()
		} else if a := b.answer(); a.status == 503 {
			t.Fatalf("%s: %q", path, a.body)
		}
		g.logged(t, i+1)
	}
}

// A client that sends requests and reads no answers is held, before its answers fill the memory: those of the gateway itself, which wait for nobody.
func TestAPipelineWhoseAnswersNobodyReadsIsHeld(t *testing.T) {
	g := newGateway(t, nil, withRoute(router.Rule[*Route]{ID: "none", Paths: []string{"/none"}}))
	b := g.connect(t)
	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	batch := strings.Repeat(request, 2000)
	sent := make(chan int, 1)
	go func() {
		n := 0
		for ; n < 200; n++ { // 400,000 answers of 280 bytes: a hundred megabytes
			if _, err := io.WriteString(b, batch); err != nil {
				break
			}
		}
		sent <- n
	}()
	queued := func() (q int) {
		g.onLoop(func(w *worker) bool { q = w.first().conn.Queued(); return true })
		return q
	}
	testnet.Await(t, "the queue to fill", func() bool {
		return g.onLoop(func(w *worker) bool {
			return w.sessions != nil && w.first().conn.IsPaused() && w.first().conn.Queued() > 16<<10
		})
	})
	for range 100 {
		if q := queued(); q > 192<<10 {
			t.Fatalf("%d bytes are queued", q)
		}
	}
	// Once it reads, everything is answered.
	for i := range 20_000 {
		a, err := readAnswer(b.r, "GET")
		if err != nil || a.status != 404 {
			t.Fatalf("answer %d: %v, %v", i, a, err)
		}
	}
	b.Close()
	testnet.Receive(t, "the writer", sent)
}

// The 64 KiB of one read hold no head that limits.headers allows: it grows beyond.
func TestAHeadBeyondOneReadIsTaken(t *testing.T) {
	n := newNode(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: "+strings.Repeat("y", 100<<10)+"\r\n\r\nok"))
	g := newGateway(t, []string{n.addr}, withLimits(func(c *LimitsConfig) { c.Headers = 256 << 10 }))
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 200<<10) + "\r\n\r\n")
	a := b.answer()
	a.want(t, 200, "ok")
	if len(a.get("X")) != 100<<10 {
		t.Errorf("a field of %d bytes", len(a.get("X")))
	}
	b.wantGet("ok")
}

// limits.headers means the same number of bytes in both versions, and 431 over HTTP/2 is a matter of one stream, also far beyond the limit.
func TestTheLimitOfFieldsIsTheSameInBothVersions(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr})
	p := g.dialH2(t)
	const host = len("Host: example.com\r\n")
	for size, status := range map[int]int{32 << 10: 200, 32<<10 + 1: 431, 33_000: 431, 41_000: 431, 120_000: 431} {
		value := strings.Repeat("x", size-host-len("x-large: \r\n"))
		b := g.connect(t)
		b.send("GET / HTTP/1.1\r\nHost: example.com\r\nx-large: " + value + "\r\n\r\n")
		if a := b.answer(); a.status != status {
			t.Errorf("%d bytes over HTTP/1.1: %d, want %d", size, a.status, status)
		}
		s := p.ask("GET", "/", true, "x-large: "+value)
		p.answered(s)
		if want := fmt.Sprintf("%d: %d ", s.ID, status); !strings.Contains(p.heard.String(), want) {
			t.Errorf("%d bytes over HTTP/2: heard %q, want %q", size, p.heard.String(), want)
		}
	}
	if got := p.answered(p.ask("GET", "/", true)); got != "ok" {
		t.Errorf("behind it: %q", got)
	}
	p.ask("GET", "/", true, "x-large: "+strings.Repeat("x", 300_000))
	p.hears("ENHANCE_YOUR_CALM")
}

func TestPipelinedBodiesStayApart(t *testing.T) {
	n := origin(t, echo)
	g := newGateway(t, []string{n})
	b := g.connect(t)
	var requests bytes.Buffer
	const count = 200
	body := func(i int) string { return strings.Repeat(fmt.Sprintf("<%d>", i), i%50*37) }
	for i := range count {
		if i%2 == 0 {
			fmt.Fprintf(&requests, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body(i)), body(i))
			continue
		}
		requests.WriteString("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
		for piece := body(i); piece != ""; {
			k := min(len(piece), 1+i*13)
			fmt.Fprintf(&requests, "%x\r\n%s\r\n", k, piece[:k])
			piece = piece[k:]
		}
		requests.WriteString("0\r\n\r\n")
	}
	done := make(chan error, 1)
	go func() { _, err := b.Write(requests.Bytes()); done <- err }()
	for i := range count {
		b.answer().want(t, 200, body(i))
	}
	if err := testnet.Receive(t, "the writer", done); err != nil {
		t.Error(err)
	}
}
