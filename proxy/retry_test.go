package proxy

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"sluice/internal/testnet"
	"sluice/upstream"
)

const post = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"

func TestARefusedConnectIsTriedOnAnotherNode(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		for {
			if head := c.head(); head == "" {
				return
			} else if strings.HasPrefix(head, "POST") && c.take(4) != "body" {
				return
			}
			c.write(ok)
		}
	})
	g := newGateway(t, []string{testnet.Reserve(t), n.addr}, withLog())
	b := g.connect(t)
	for range 4 { // whichever node's turn it is
		b.wantGet("ok")
		b.send(post)
		b.answer().want(t, 200, "ok")
	}
	retried := 0
	for _, line := range g.logged(t, 8) {
		retried += line.Retries
		if line.Node != n.addr || line.Flag != "" {
			t.Errorf("logged %+v", line)
		}
	}
	if retried == 0 {
		t.Error("no request was tried twice")
	}
}

func TestARefusedConnectWithNoOtherNodeIs502(t *testing.T) {
	refused := testnet.Reserve(t)
	g := newGateway(t, []string{refused}, withLog())
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	b.answer().wantError(t, 502, "upstream_connect")
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") // the client's connection is not to blame
	b.answer().wantError(t, 502, "upstream_connect")
	line := g.logged(t, 2)[0]
	if line.Flag != "UF" || line.Code != "upstream_connect" || line.Status != 502 || line.Node != refused || line.Retries != 0 {
		t.Errorf("logged %+v", line)
	}
}

func TestEveryNodeIsTriedOnceAsFarAsAttemptsAllow(t *testing.T) {
	g := newGateway(t, []string{testnet.Reserve(t), testnet.Reserve(t), testnet.Reserve(t)}, withAttempts(5), withLog())
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	b.answer().wantError(t, 502, "upstream_connect")
	if line := g.logged(t, 1)[0]; line.Retries != 2 {
		t.Errorf("%d retries of three nodes", line.Retries)
	}
}

// staleNode answers the first request of its first connection and resets that connection in place of answering the second; later
// connections work.
func staleNode(t *testing.T) *node {
	return newNode(t, func(c *nodeConn) {
		for i := 0; ; i++ {
			head := c.head()
			if head == "" {
				return
			}
			if c.n == 1 && i == 1 {
				c.reset()
				return
			}
			if strings.HasPrefix(head, "POST") {
				c.take(4)
			}
			c.write(ok)
		}
	})
}

func TestAGetOnAReusedConnectionThatIsResetIsSentAgainOnAFreshOne(t *testing.T) {
	n := staleNode(t)
	g := newGateway(t, []string{n.addr}, withLog()) // one node only: the same is asked again
	b := g.connect(t)
	b.wantGet("ok")
	b.wantGet("ok")
	if opened := n.opened.Load(); opened != 2 {
		t.Errorf("%d connections, want 2", opened)
	}
	if line := g.logged(t, 2)[1]; line.Retries != 1 || line.Status != 200 || line.Flag != "" {
		t.Errorf("logged %+v", line)
	}
}

func TestAPostThatTheNodeMayHaveSeenIsNotSentAgain(t *testing.T) {
	n := staleNode(t)
	g := newGateway(t, []string{n.addr}, withLog())
	b := g.connect(t)
	b.wantGet("ok")
	b.send(post)
	b.answer().wantError(t, 502, "upstream_reset")
	b.send(post)
	b.answer().want(t, 200, "ok")
	if line := g.logged(t, 3)[1]; line.Retries != 0 || line.Flag != "UC" {
		t.Errorf("logged %+v", line)
	}
}

// A connection that ends while it is idle is never picked: what the kernel has told by then is looked at before reuse.
func TestAPostAfterTheIdleConnectionHasEndedGoesToAFreshOne(t *testing.T) {
	closed := make(chan struct{}, 8)
	n := newNode(t, func(c *nodeConn) {
		if head := c.head(); strings.HasPrefix(head, "POST") {
			c.take(4)
		}
		c.write(ok)
		c.Close()
		closed <- struct{}{}
	})
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	for range 5 {
		b.send(post)
		b.answer().want(t, 200, "ok")
		testnet.Receive(t, "the node to close", closed)
		testnet.Await(t, "the pool to notice", func() bool { return g.idleConns() == 0 })
	}
}

// A write that fails before the kernel has taken a byte of the request has told the node nothing, so even a POST may go elsewhere, and on a reused
// connection to the same node.
func TestAPostOfWhichNothingWasSentIsSentAgain(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		for c.head() != "" {
			c.take(4)
			c.write(ok)
			if c.n == 1 {
				c.reset()
				return
			}
		}
	})
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	b.send(post)
	b.answer().want(t, 200, "ok")
	// The reset arrives while the worker is busy with this, so the connection is taken from the pool before the loop hears of it.
	in, out := make(chan struct{}), make(chan struct{})
	g.workers[0].loop.Post(func() { close(in); <-out })
	testnet.Receive(t, "the worker", in)
	b.send(post)
	testnet.Await(t, "the node's reset", func() bool { return n.open() == 0 })
	close(out)
	b.answer().want(t, 200, "ok")
}

// The node's end comes while the worker is busy, behind a POST that may not be repeated: the connection is looked at before it is used.
func TestAPostIsNotSentOnAConnectionThatHasJustEnded(t *testing.T) {
	end := make(chan struct{})
	n := newNode(t, func(c *nodeConn) {
		for c.head() != "" {
			c.take(4)
			c.write(ok)
			if c.n == 1 {
				c.await(end)
				return
			}
		}
	})
	g := newGateway(t, []string{n.addr}, withClock(), withLog())
	b := g.connect(t)
	b.send(post)
	b.answer().want(t, 200, "ok")
	g.await(t, "the client's connection to be idle", in(phaseIdle))
	g.pass(t, 2*time.Second)
	in, out := make(chan struct{}), make(chan struct{})
	g.workers[0].loop.Post(func() { close(in); <-out })
	testnet.Receive(t, "the worker", in)
	b.send(post)
	close(end)
	testnet.Await(t, "the node's end", func() bool { return n.open() == 0 })
	close(out)
	b.answer().want(t, 200, "ok")
	if l := g.logged(t, 2)[1]; l.Retries != 0 {
		t.Errorf("logged %+v", l)
	}
}

func TestAGetThatIsResetOnAFreshConnectionIsTriedOnAnotherNodeOnly(t *testing.T) {
	bad := newNode(t, func(c *nodeConn) { c.head(); c.reset() })
	good := newNode(t, answering(ok))
	g := newGateway(t, []string{bad.addr, good.addr})
	b := g.connect(t)
	for range 4 {
		b.wantGet("ok")
	}
	if bad.opened.Load() == 0 {
		t.Error("the bad node was never asked")
	}
	alone := newGateway(t, []string{bad.addr}, withLog())
	b = alone.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	b.answer().wantError(t, 502, "upstream_reset")
	if line := alone.logged(t, 1)[0]; line.Retries != 0 {
		t.Errorf("logged %+v", line)
	}
}

func TestARequestIsNotRetriedOnceAByteOfAnAnswerHasCome(t *testing.T) {
	n := newNode(t, func(c *nodeConn) { c.head(); c.write("HTTP/1.1 2"); c.Close() })
	g := newGateway(t, []string{n.addr, testnet.Reserve(t)}, withAttempts(3))
	b := g.connect(t)
	for n.opened.Load() == 0 {
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		b.answer().wantError(t, 502, "upstream_reset")
	}
	if n.opened.Load() != 1 {
		t.Errorf("the node was asked %d times", n.opened.Load())
	}
}

func TestAStatusThatAsksForItIsTriedElsewhereAndElsePassedOn(t *testing.T) {
	busy := newNode(t, answering("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"))
	good := newNode(t, answering(ok))
	on503 := withService(func(c *upstream.Config) { c.Retry.On = []string{"503"} })
	g := newGateway(t, []string{busy.addr, good.addr}, on503)
	b := g.connect(t)
	for range 4 {
		b.wantGet("ok")
	}
	if busy.opened.Load() == 0 {
		t.Error("the busy node was never asked")
	}
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n") // not idempotent: whatever the node said
	if a := b.answer(); a.status != 503 && a.status != 200 {
		t.Errorf("status %d", a.status)
	}
	alone := newGateway(t, []string{busy.addr}, on503)
	b = alone.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	b.answer().want(t, 503, "busy") // the node's own words, not the gateway's
}

// The body that came before the first try failed is sent again, and the rest of it follows.
func TestABodyInPiecesSurvivesARetry(t *testing.T) {
	part := strings.Repeat("0123456789abcdef", 1<<10)
	const parts = 4 // 64 KiB: all that is kept for another try
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprintf("chunked=%v", chunked), func(t *testing.T) {
			seen := make(chan struct{})
			bad := newNode(t, func(c *nodeConn) { c.until(part[len(part)-64:]); close(seen); c.reset() })
			got := make(chan string, 1)
			good := newNodeAt(t, "127.0.0.2:0", func(c *nodeConn) { // asked second: nodes are in the order of their addresses
				c.head()
				r := &answer{}
				if chunked {
					_ = r.readChunks(c.r)
				} else {
					r.body = c.take(parts * len(part))
				}
				got <- r.body
				c.write(ok)
			})
			g := newGateway(t, []string{bad.addr, good.addr})
			b := g.connect(t)
			framing, piece := fmt.Sprintf("Content-Length: %d", parts*len(part)), part
			if chunked {
				framing, piece = "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n", len(part), part)
			}
			b.send("PUT / HTTP/1.1\r\nHost: a\r\n" + framing + "\r\n\r\n" + piece)
			testnet.Receive(t, "the first node to have seen the beginning", seen)
			b.send(strings.Repeat(piece, parts-1))
			if chunked {
				b.send("0\r\n\r\n")
			}
			b.answer().want(t, 200, "ok")
			if body := testnet.Receive(t, "the body", got); body != strings.Repeat(part, parts) {
				t.Errorf("the second node got %d bytes", len(body))
			}
		})
	}
}

func TestABodyBeyondTheReplayBufferIsNotSentAgain(t *testing.T) {
	bad := newNode(t, func(c *nodeConn) { c.head(); c.take(replayMax + 1); c.reset() })
	g := newGateway(t, []string{bad.addr, bad.addr}, withAttempts(3))
	b := g.connect(t)
	b.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
	_, _ = io.WriteString(b, strings.Repeat("x", 150000)) // may be cut by the answer
	b.answer().wantError(t, 502, "upstream_reset")
	b.wantEnd()
	if n := bad.opened.Load(); n != 1 {
		t.Errorf("%d tries", n)
	}
}

// idleConns counts what the pools of all workers hold open and idle.
func (g *gateway) idleConns() int {
	total := 0
	for _, s := range g.Snapshot().Services {
		for _, n := range s.Nodes() {
			total += n.Conns()
		}
	}
	return total
}

// In a full outage the retries stay within the service's budget: here, two in all.
func TestRetriesEndWithTheBudget(t *testing.T) {
	none, two := 0, 2
	g := newGateway(t, []string{testnet.Reserve(t), testnet.Reserve(t)}, withLog(), withService(func(c *upstream.Config) {
		c.Retry.BudgetPercent, c.Retry.MinPerSecond = &none, &two
	}))
	b := g.connect(t)
	const requests = 6
	for range requests {
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if a := b.answer(); a.status != 502 {
			t.Errorf("got status %d", a.status)
		}
	}
	retried := 0
	for _, line := range g.logged(t, requests) {
		retried += line.Retries
	}
	// Six requests may see the beginning of another second.
	if retried < two || retried > 2*two {
		t.Errorf("%d retries, want %d", retried, two)
	}
}
