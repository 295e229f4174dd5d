package proxy

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/testnet"
)

// An answer that is cut must not look whole: the length is short, the last chunk is missing, or, where the end of the connection would be the end of the
// body, the connection is reset (RFC 9112 §8).
func TestAnAnswerThatIsCutLooksCut(t *testing.T) {
	for name, c := range map[string]struct{ head, rest, request string }{
		"length":                          {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", "", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		"chunked":                         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", "", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		"within a chunk":                  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\npart", "", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		"chunked for HTTP/1.0":            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", "", "GET / HTTP/1.0\r\n\r\n"},
		"length for HTTP/1.0":             {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", "", "GET / HTTP/1.0\r\n\r\n"},
		"garbage in place of a chunk":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", "zz\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		"garbage for HTTP/1.0":            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", "zz\r\n", "GET / HTTP/1.0\r\n\r\n"},
		"garbage in place of the trailer": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", "0\r\n\tx\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	} {
		for _, how := range []string{"end", "reset"} {
			t.Run(name+" "+how, func(t *testing.T) {
				read := make(chan struct{})
				n := newNode(t, func(nc *nodeConn) {
					nc.head()
					nc.write(c.head)
					nc.await(read)
					nc.write(c.rest)
					if how == "reset" {
						nc.reset()
					}
				})
				g := newGateway(t, []string{n.addr}, withLog())
				b := g.connect(t)
				b.send(c.request)
				if got, err := b.r.Peek(1); err != nil || got[0] != 'H' { // the head is there before the cut
					t.Fatal(err)
				}
				close(read)
				a := b.answer()
				if a.status != 200 || !strings.HasPrefix("part", a.body) || a.cut == nil {
					t.Errorf("got %+v", a)
				}
				if !errors.Is(a.cut, io.ErrUnexpectedEOF) && !errors.Is(a.cut, syscall.ECONNRESET) {
					t.Errorf("cut by %v", a.cut)
				}
				if line := g.logged(t, 1)[0]; line.Status != 200 || line.Flag != "UC" && line.Flag != "UPE" {
					t.Errorf("logged %+v", line)
				}
				testnet.Await(t, "the node's connection to close", func() bool { return n.open() == 0 })
			})
		}
	}
}

// A body that ends with the node's connection is whole when that ends in order, and cut when it is reset.
func TestABodyUntilCloseIsWholeOnlyWhereTheNodeEndsItInOrder(t *testing.T) {
	for _, reset := range []bool{false, true} {
		read := make(chan struct{})
		n := newNode(t, func(nc *nodeConn) {
			nc.head()
			nc.write("HTTP/1.0 200 OK\r\n\r\nall of it")
			nc.await(read)
			if reset {
				nc.reset()
			}
		})
		g := newGateway(t, []string{n.addr})
		b := g.connect(t)
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := b.r.Peek(1); err != nil {
			t.Fatal(err)
		}
		close(read)
		a := b.answer()
		if (a.cut != nil) != reset || a.body != "all of it" || a.get("Transfer-Encoding") != "chunked" {
			t.Errorf("reset %v: got %+v", reset, a)
		}
	}
}

func TestAnAnswerThatIsNotHTTPClosesTheNodesConnection(t *testing.T) {
	closed := make(chan struct{}, 1)
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx")
		c.hold()
		closed <- struct{}{}
	})
	g := newGateway(t, []string{n.addr}, withLog())
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	b.answer().wantError(t, 502, "upstream_protocol")
	testnet.Receive(t, "the node's connection to close", closed)
	if line := g.logged(t, 1)[0]; line.Flag != "UPE" || line.Retries != 0 {
		t.Errorf("logged %+v", line)
	}
}

// Bytes behind an answer belong to nobody: were the connection kept, they would be taken for the answer to somebody else's request.
func TestBytesBehindAnAnswerCloseTheNodesConnection(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write(ok + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
		c.hold()
	})
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	for range 5 {
		b.wantGet("ok")
	}
	if opened := n.opened.Load(); opened != 5 {
		t.Errorf("%d connections for 5 requests", opened)
	}
}

func TestBytesOnAnIdleNodeConnectionCloseIt(t *testing.T) {
	speak := make(chan struct{})
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write(ok)
		if c.n == 1 {
			c.await(speak)
			c.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
		}
		c.hold()
	})
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	b.wantGet("ok")
	close(speak)
	testnet.Await(t, "the pool to give it up", func() bool { return g.idleConns() == 0 })
	b.wantGet("ok")
}

func TestAClientThatGoesAwayCancelsItsRequest(t *testing.T) {
	closed := make(chan struct{})
	asked := make(chan struct{})
	n := newNode(t, func(c *nodeConn) { c.head(); close(asked); c.hold(); close(closed) })
	g := newGateway(t, []string{n.addr}, withLog())
	b := g.connect(t)
	b.send("GET /gone HTTP/1.1\r\nHost: a\r\n\r\n")
	testnet.Receive(t, "the node to be asked", asked)
	b.reset()
	testnet.Receive(t, "the node's connection to close", closed)
	if line := g.logged(t, 1)[0]; line.Flag != "DC" || line.Status != 0 || line.Target != "/gone" || line.Node != n.addr {
		t.Errorf("logged %+v", line)
	}
}

func TestAClientThatGoesAwayWithinItsHeadIsLoggedWithoutAny(t *testing.T) {
	g := newGateway(t, nil, withLog())
	b := g.connect(t)
	b.send("GET /gone HTTP/1.1\r\nHost: a\r\n")
	testnet.Await(t, "the beginning to have been read", func() bool {
		return g.onLoop(func(w *worker) bool { return w.first().phase == phaseHead })
	})
	b.reset()
	if line := g.logged(t, 1)[0]; line.Flag != "DC" || line.Status != 0 || line.Target != "" || line.Protocol != "" {
		t.Errorf("logged %+v", line)
	}
}

func TestAClientThatGoesAwayWithinItsBodyCancelsItsRequest(t *testing.T) {
	closed := make(chan struct{})
	asked := make(chan struct{})
	n := newNode(t, func(c *nodeConn) { c.head(); c.take(4); close(asked); c.hold(); close(closed) })
	g := newGateway(t, []string{n.addr}, withLog())
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nbody")
	testnet.Receive(t, "the node to be asked", asked)
	b.reset()
	testnet.Receive(t, "the node's connection to close", closed)
	if line := g.logged(t, 1)[0]; line.Flag != "DC" || line.BytesIn != 4 {
		t.Errorf("logged %+v", line)
	}
}

// A half-close is not a close: "printf 'GET …' | nc" gets its answer.
func TestAClientThatHasEndedItsSideGetsItsAnswer(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	n := newNode(t, func(c *nodeConn) { c.head(); close(asked); c.await(answer); c.write(ok) })
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	testnet.Receive(t, "the node to be asked", asked)
	if err := b.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	close(answer)
	b.answer().want(t, 200, "ok")
	b.wantEnd()
}

// The end of the client's side is seen when its answer is whole for the gateway, though much of it is still on its way to the client.
func TestAClientThatHasEndedItsSideGetsALongAnswerToItsEnd(t *testing.T) {
	size := bulk(8 << 20)
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size) + strings.Repeat("x", size))
		c.hold()
	})
	g := newGateway(t, []string{n.addr}, withLog())
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if err := b.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	a := b.answer()
	if a.cut != nil || len(a.body) != size {
		t.Errorf("got %d bytes, cut by %v", len(a.body), a.cut)
	}
	if line := g.logged(t, 1)[0]; line.Flag != "" || line.BytesOut != size {
		t.Errorf("logged %+v", line)
	}
}

// The answer to the first of two requests and the end of the client's side are seen in one turn: what was pipelined before the end is still answered.
func TestPipelinedRequestsBeforeAHalfCloseAreAllAnswered(t *testing.T) {
	asked := make(chan struct{}, 2)
	answer, answered := make(chan struct{}), make(chan struct{})
	n := newNode(t, func(c *nodeConn) {
		for i := 0; c.head() != ""; i++ {
			asked <- struct{}{}
			if i == 0 {
				c.await(answer)
			}
			c.write(ok)
			if i == 0 {
				close(answered)
			}
		}
	})
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	b.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	testnet.Receive(t, "the first request", asked)
	in, out := make(chan struct{}), make(chan struct{})
	g.workers[0].loop.Post(func() { close(in); <-out })
	testnet.Receive(t, "the worker", in)
	close(answer)
	testnet.Receive(t, "the first answer", answered)
	if err := b.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	close(out)
	b.answer().want(t, 200, "ok")
	b.answer().want(t, 200, "ok")
	b.wantEnd()
}
