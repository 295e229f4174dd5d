package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/testcert"
	"sluice/internal/testnet"
)

// theBody is n bytes that are different everywhere, of a body that is made once.
func theBody(n int) string { return longestBody()[:n] }

var longestBody = sync.OnceValue(func() string {
	b := make([]byte, 12<<20)
	_, _ = (&pattern{}).Read(b)
	return string(b)
})

// passed returns how many bytes have passed the gateway without being read.
func (g *gateway) passed() (n uint64) {
	g.onLoop(func(w *worker) bool { n = w.loop.Passed(); return true })
	return n
}

// sizedNode answers each request with as many bytes as its target says, and a body with what it has heard: yes where it was the one that it should be.
func sizedNode(t testing.TB) *node {
	length := regexp.MustCompile(`\r\nContent-Length: (\d+)\r\n`)
	return newNode(t, func(c *nodeConn) {
		for head := c.head(); head != ""; head = c.head() {
			heard := "yes"
			if m := length.FindStringSubmatch(head); m != nil {
				n, _ := strconv.Atoi(m[1])
				if got := c.take(n); got != theBody(n) {
					heard = fmt.Sprintf("other %d bytes of %d", len(got), n)
				}
			}
			var method string
			var down int
			if _, err := fmt.Sscanf(head, "%s /%d ", &method, &down); err != nil { // the last chunk of a request that a plugin has made one of chunks
				return
			}
			c.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Heard: %s\r\n\r\n%s", down, heard, theBody(down)))
		}
	})
}

// Bodies around every size at which something changes pass both ways as they are, one request behind the other on the same connections, and the log has every byte of them.
func TestBodiesThatNobodyReadsArriveAsTheyWereSent(t *testing.T) {
	sizes := []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, passLeast - 1, passLeast, passLeast + 1, 256<<10 - 1, 256 << 10, 256<<10 + 1, 320 << 10, 1 << 20, 5<<20 + 1}
	random := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		sizes = append(sizes, random.IntN(2<<20))
	}
	n := sizedNode(t)
	g := newGateway(t, []string{n.addr}, withLog())
	b := g.connect(t)
	var requests strings.Builder
	for _, up := range sizes {
		down := sizes[random.IntN(len(sizes))]
		fmt.Fprintf(&requests, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", down, up, theBody(up))
		fmt.Fprintf(&requests, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", up)
	}
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(b.TCPConn, requests.String()) // a pipeline: what comes behind a body is another request
		written <- err
	}()
	var answers []*answer
	for range 2 * len(sizes) {
		a := b.answer()
		a.want(t, 200, theBody(len(a.body)))
		if a.get("X-Heard") != "yes" {
			t.Errorf("the node has heard %s", a.get("X-Heard"))
		}
		answers = append(answers, a)
	}
	if err := testnet.Receive(t, "the writer", written); err != nil {
		t.Fatal(err)
	}
	for i, line := range g.logged(t, len(answers)) {
		up := 0
		if line.Method == "POST" {
			up = sizes[i/2]
		}
		if line.BytesOut != len(answers[i].body) || line.Target != fmt.Sprintf("/%d", len(answers[i].body)) || line.BytesIn != up || line.Status != 200 || line.Flag != "-" && line.Flag != "" {
			t.Errorf("%d: %d bytes up, %d down: logged %+v", i, up, len(answers[i].body), line)
		}
	}
	if g.passed() == 0 {
		t.Error("nothing has passed")
	}
	if opened := n.opened.Load(); opened != 1 {
		t.Errorf("%d connections to the node", opened)
	}
}

// An answer that ends with the connection passes to a client of HTTP/1.0, and its end in order is its end.
func TestAnAnswerThatEndsWithTheConnectionPasses(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write("HTTP/1.1 200 OK\r\n\r\n" + theBody(3<<20))
	})
	g := newGateway(t, []string{n.addr}, withLog())
	if got := exchangeRaw(t, g.addr, "GET / HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\n"+theBody(3<<20)) {
		t.Errorf("got %d bytes", len(got))
	}
	if line := g.logged(t, 1)[0]; line.BytesOut != 3<<20 || line.Flag != "" && line.Flag != "-" {
		t.Errorf("logged %+v", line)
	}
	if g.passed() == 0 {
		t.Error("nothing has passed")
	}
}

// Where somebody has to see the bytes, or they change on their way, none passes.
func TestBodiesThatSomebodyReadsDoNotPass(t *testing.T) {
	for name, options := range map[string][]option{
		"transformer":    {withPlugin(1, &shouting{""})},
		"another answer": {withRewrite(t, `{"body":"another"}`)},
		"TLS":            {withCertificates(certificate("1", testcert.NewAuthority(t).Issue("a.test"), "*"))},
		"turned off":     {func(s *setup) { s.config.NoPass = true }},
	} {
		t.Run(name, func(t *testing.T) {
			n := sizedNode(t)
			g := newGateway(t, []string{n.addr}, options...)
			request := "GET /2000000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
			if name == "TLS" {
				p, err := tls.Dial("tcp", g.addr, &tls.Config{InsecureSkipVerify: true})
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				if _, err := io.WriteString(p, request); err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(p); err != nil || !strings.HasSuffix(string(got), theBody(2_000_000)) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			} else {
				exchangeRaw(t, g.addr, request)
			}
			if n := g.passed(); n > 0 {
				t.Errorf("%d bytes have passed", n)
			}
		})
	}
}

// A node that leaves within its answer cuts it, and what had come before has reached the client.
func TestAnAnswerThatPassesAndIsCutLooksCut(t *testing.T) {
	const length, untilClose = "HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"
	for name, c := range map[string]struct {
		head  string
		reset bool
	}{
		"with a length, ended":          {length, false},
		"with a length, reset":          {length, true},
		"until the end, which is reset": {untilClose, true},
	} {
		t.Run(name, func(t *testing.T) {
			taken := make(chan struct{})
			n := newNode(t, func(nc *nodeConn) {
				nc.head()
				nc.write(c.head + theBody(2_000_000))
				nc.await(taken)
				if c.reset {
					nc.reset()
				}
			})
			g := newGateway(t, []string{n.addr}, withLog())
			b := g.connect(t)
			b.send("GET / HTTP/1.0\r\n\r\n")
			readHead(t, b)
			got := make([]byte, 2_000_000)
			if _, err := io.ReadFull(b.r, got); err != nil || string(got) != theBody(2_000_000) {
				t.Fatalf("other bytes, or %v", err)
			}
			close(taken)
			rest, err := io.ReadAll(b.r)
			if len(rest) > 0 || c.head == untilClose && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%d bytes more, %v", len(rest), err)
			}
			if line := g.logged(t, 1)[0]; line.Status != 200 || line.Flag != "UC" || line.BytesOut != 2_000_000 {
				t.Errorf("logged %+v", line)
			}
			if g.passed() == 0 {
				t.Error("nothing has passed")
			}
		})
	}
}

// A client that leaves within a body that passes, in either direction, cancels its request, and is to blame.
func TestAClientThatLeavesABodyThatPassesCancelsItsRequest(t *testing.T) {
	for name, request := range map[string]string{
		"answer":  "GET /8000000 HTTP/1.1\r\nHost: a\r\n\r\n",
		"request": "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 8300000\r\n\r\n" + theBody(4_000_000),
	} {
		for _, how := range []string{"end", "reset"} {
			t.Run(name+" "+how, func(t *testing.T) {
				n := sizedNode(t)
				g := newGateway(t, []string{n.addr}, withLog())
				b := g.connect(t)
				narrow(b.TCPConn)
				b.send(request)
				g.await(t, "bytes that pass", func(w *worker) bool { return w.loop.Passed() > 0 })
				if how == "reset" {
					b.reset()
				} else {
					b.Close()
				}
				if line := g.logged(t, 1)[0]; line.Flag != "DC" && line.Code != "bad_request" {
					t.Errorf("logged %+v", line)
				}
				testnet.Await(t, "the node's connection to close", func() bool { return n.open() == 0 })
				g.await(t, "everything to be given back", func(w *worker) bool { return w.loop.Lent() == 0 && w.loop.Conns() == 0 })
			})
		}
	}
}

// What a node sends behind a body that has passed is not taken for its next answer.
func TestBytesBehindABodyThatHasPassedCloseTheNodesConnection(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 1<<20) + theBody(1<<20) + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
		c.hold()
	})
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	for range 5 {
		b.wantGet(theBody(1 << 20))
	}
	if opened := n.opened.Load(); opened != 5 {
		t.Errorf("%d connections for 5 requests", opened)
	}
}

// A node that answers before it has all of a body that passes gets the rest, or is left alone with it, and the client has its answer.
func TestAnEarlyAnswerToABodyThatPassesArrives(t *testing.T) {
	answered := make(chan struct{})
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.take(1 << 20)
		c.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
		close(answered)
		c.hold()
	})
	g := newGateway(t, []string{n.addr}, withLog())
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n" + theBody(2<<20))
	testnet.Receive(t, "the answer", answered)
	a := b.answer()
	a.want(t, 200, "early")
	if a.get("Connection") != "close" {
		t.Errorf("%q", a.head)
	}
	if line := g.logged(t, 1)[0]; line.Status != 200 {
		t.Errorf("logged %+v", line)
	}
}

// timeouts.request_body and response_body hold for what passes as for what is read: each run is a sign of life.
func TestABodyThatPassesAndStopsIsTimedOut(t *testing.T) {
	t.Run("answer", func(t *testing.T) {
		n := newNode(t, func(c *nodeConn) {
			c.head()
			c.write("HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + theBody(2_000_000))
			c.hold()
		})
		g := newGateway(t, []string{n.addr}, withLog(), withClock())
		b := g.connect(t)
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		readHead(t, b)
		if _, err := io.CopyN(io.Discard, b.r, 2_000_000); err != nil {
			t.Fatal(err)
		}
		g.await(t, "all of it", func(w *worker) bool { return waitingFor(waitBody)(w) && w.exchange().bytesOut == 2_000_000 })
		g.runOut(t, time.Minute, waitingFor(waitBody))
		b.wantEnd()
		if line := g.logged(t, 1)[0]; line.Flag != "UT" || line.Status != 200 || line.BytesOut != 2_000_000 || g.passed() == 0 {
			t.Errorf("logged %+v", line)
		}
	})
	t.Run("request", func(t *testing.T) {
		n := newNode(t, func(c *nodeConn) { c.head(); c.hold() })
		g := newGateway(t, []string{n.addr}, withLog(), withClock())
		b := g.connect(t)
		b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n" + theBody(2_000_000))
		g.await(t, "all of it", func(w *worker) bool {
			return in(phaseBody)(w) && w.first().request.bytesIn == 2_000_000 && !w.first().conn.IsPaused()
		})
		g.runOut(t, time.Minute, in(phaseBody))
		b.answer().wantError(t, 408, "request_timeout")
		if line := g.logged(t, 1)[0]; line.Flag != "DT" || line.BytesIn != 2_000_000 || g.passed() == 0 {
			t.Errorf("logged %+v", line)
		}
	})
}

// timeouts.send: a client that takes nothing of what is in the pipe is reset, so that an answer that ends with the connection does not look whole.
func TestAClientThatTakesNothingOfWhatPassesIsReset(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		narrow(c.TCPConn)
		c.head()
		c.write("HTTP/1.1 200 OK\r\n\r\n")
		for {
			if _, err := io.WriteString(c.TCPConn, theBody(1<<20)); err != nil {
				return
			}
		}
	})
	g := newGateway(t, []string{n.addr}, withLog(), withClock())
	b := g.connect(t)
	narrow(b.TCPConn)
	b.send("GET / HTTP/1.0\r\n\r\n")
	g.await(t, "the pipe to be full", func(w *worker) bool {
		return w.sessions != nil && w.loop.Passed() > 0 && w.first().conn.Behind() && w.first().sendTimer.Armed()
	})
	for g.onLoop(in(phaseWait)) { // what the kernel still takes counts as taken
		g.awaitStandstill(t)
		g.runOut(t, 10*time.Second, in(phaseWait))
	}
	if line := g.logged(t, 1)[0]; line.Flag != "DC" || line.Status != 200 {
		t.Errorf("logged %+v", line)
	}
	if _, err := io.Copy(io.Discard, b.r); err == nil {
		t.Error("the cut answer ended as a whole one does")
	}
	testnet.Await(t, "the node's connection to close", func() bool { return n.open() == 0 })
}

// A drain lets an answer that passes come to its end; the end of the process cuts it, and has it logged.
func TestABodyThatPassesMeetsADrainAndTheEnd(t *testing.T) {
	for _, drain := range []bool{true, false} {
		n := sizedNode(t)
		g := newGateway(t, []string{n.addr}, withLog())
		b := g.connect(t)
		narrow(b.TCPConn)
		b.send("GET /8000000 HTTP/1.1\r\nHost: a\r\n\r\n")
		g.await(t, "bytes that pass", func(w *worker) bool { return w.loop.Passed() > 0 })
		if !drain {
			g.Close()
			if a := b.answer(); a.status != 200 || a.cut == nil {
				t.Errorf("status %d, cut by %v", a.status, a.cut)
			}
			if line := g.logged(t, 1)[0]; line.Flag != "LR" {
				t.Errorf("logged %+v", line)
			}
			continue
		}
		said := g.drainNow(t)
		b.answer().want(t, 200, theBody(8_000_000))
		b.Close()
		if err := testnet.Receive(t, "the drain", said); err != nil {
			t.Error(err)
		}
	}
}
