package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/codec"
	"sluice/codec/h2"
	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/upstream"
)

// originH2 starts a node that speaks HTTP/2 by prior knowledge.
func originH2(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.Listener.Addr().String()
}

var overHTTP2 = withService(func(c *upstream.Config) { c.HTTP2 = true })

func TestNodesMaySpeakHTTP2(t *testing.T) {
	node := originH2(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-End")
		w.(http.Flusher).Flush()
		fmt.Fprintf(w, "%s %s %s host=%s xff=%s te=%s body=%s", r.Proto, r.Method, r.URL, r.Host, r.Header.Get("X-Forwarded-For"), r.Header.Get("Te"), body)
		w.Header().Set("X-End", "yes")
	})
	g := newGateway(t, []string{node}, overHTTP2)
	answer := exchangeRaw(t, g.addr, "POST /a?b HTTP/1.1\r\nHost: example.com\r\nConnection: close, te\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")
	for _, want := range []string{"HTTP/1.1 200 OK\r\n", "HTTP/2.0 POST /a?b host=example.com xff=127.0.0.1 te=trailers body=hello", "\r\n0\r\nX-End: yes\r\n\r\n"} {
		if !strings.Contains(strings.ReplaceAll(answer, "x-end", "X-End"), want) {
			t.Errorf("no %q in %q", want, answer)
		}
	}
}

func TestCallsShareConnectionsToANodeThatSpeaksHTTP2(t *testing.T) {
	var peers sync.Map
	release := make(chan struct{})
	var arrived sync.WaitGroup
	arrived.Add(50)
	node := originH2(t, func(w http.ResponseWriter, r *http.Request) {
		peers.Store(r.RemoteAddr, true)
		arrived.Done()
		<-release
		echo(w, r)
	})
	g := newGateway(t, []string{node}, overHTTP2)
	running := g.echoes(t, 50)
	arrived.Wait()
	close(release)
	running.Wait()
	seen := 0
	peers.Range(func(any, any) bool { seen++; return true })
	if seen != 1 {
		t.Errorf("%d connections to the node", seen)
	}
}

// RFC 9113 §5.1.2: more calls than a connection may carry have others, up to a bound, and wait behind it.
func TestTheNodesBoundOfStreamsIsKept(t *testing.T) {
	var mu sync.Mutex
	open, most := map[string]int{}, 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		open[r.RemoteAddr]++
		most = max(most, open[r.RemoteAddr])
		mu.Unlock()
		time.Sleep(time.Millisecond)
		mu.Lock()
		open[r.RemoteAddr]--
		mu.Unlock()
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 2}
	server.Start()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	g := newGateway(t, []string{server.Listener.Addr().String()}, overHTTP2)
	client := h2cClient(t)
	var running sync.WaitGroup
	for range 200 {
		running.Go(func() {
			resp, err := client.Get("http://" + g.addr + "/")
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Error(resp.Status)
			}
		})
	}
	running.Wait()
	mu.Lock()
	defer mu.Unlock()
	if most > 2 || len(open) > h2ConnsPerNode {
		t.Errorf("%d streams on one of %d connections", most, len(open))
	}
}

func TestLargeBodiesPassOverHTTP2ToNodes(t *testing.T) {
	node := originH2(t, echo)
	g := newGateway(t, []string{node}, overHTTP2)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20/16*20)
	for name, client := range map[string]*http.Client{"h2": h2cClient(t), "h1": {Transport: &http.Transport{}}} {
		resp, err := client.Post("http://"+g.addr+"/", "text/plain", io.MultiReader(bytes.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		client.CloseIdleConnections()
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %v, %d bytes of %d", name, err, len(got), len(body))
		}
	}
}

// RFC 9113 §6.8: a node that goes away costs no call.
func TestANodeThatSendsGoAwayFailsNoCall(t *testing.T) {
	node := originH2(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "7") {
			w.Header().Set("Connection", "close") // net/http's way to say GOAWAY
		}
		echo(w, r)
	})
	g := newGateway(t, []string{node}, overHTTP2)
	client := h2cClient(t)
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			for j := range 100 {
				resp, err := client.Post(fmt.Sprintf("http://%s/%d/%d", g.addr, i, j), "text/plain", strings.NewReader("x"))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || string(body) != "x" {
					t.Errorf("%v %s %q", err, resp.Status, body)
				}
			}
		})
	}
	running.Wait()
}

func TestANodeThatSpeaksHTTP1AloneIsAnError(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, overHTTP2)
	answer := exchangeRaw(t, g.addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 502 ") || !strings.Contains(answer, "upstream_protocol") {
		t.Error(answer)
	}
	g = newGateway(t, []string{testnet.Reserve(t)}, overHTTP2)
	answer = exchangeRaw(t, g.addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 502 ") || !strings.Contains(answer, "upstream_connect") {
		t.Error(answer)
	}
}

// RFC 9112 §6.3: over HTTP/2 the end of the stream says that there is no body; a client of HTTP/1.1 that is not told waits for one until the connection closes.
func TestAnAnswerWithoutABodyOverHTTP2IsSeenToEnd(t *testing.T) {
	n := newNode(t, speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, req *codec.Request) []byte {
		var resp codec.Response
		resp.Reset(nil)
		resp.Status, _ = strconv.Atoi(string(req.Path()[1:]))
		return conn.AppendResponseHead(nil, s, &resp, true)
	}))
	g := newGateway(t, []string{n.addr}, overHTTP2)
	for ask, length := range map[string]int{"GET /200": 1, "POST /415": 1, "GET /205": 1, "HEAD /200": 0, "GET /204": 0, "GET /304": 0} {
		got := exchangeRaw(t, g.addr, ask+" HTTP/1.1\r\nHost: a\r\n\r\nHEAD /200 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if strings.Count(got, "\r\nContent-Length: 0\r\n") != length || strings.Count(got, "HTTP/1.1 ") != 2 {
			t.Errorf("%s: %q", ask, got)
		}
	}
}

// A node that is no longer named loses its connections, those in use with their last call.
func TestANodeThatGoesOutLosesItsConnections(t *testing.T) {
	node := originH2(t, echo)
	g := newGateway(t, []string{node}, overHTTP2)
	g.connect(t).wantGet("")
	if g.onLoop(func(w *worker) bool { return len(w.poolsH2) != 1 }) {
		t.Fatal("no connection is kept")
	}
	g.registry.Update("s", &upstream.Config{HTTP2: true}, nil)
	testnet.Await(t, "the connection to end", func() bool { return g.onLoop(func(w *worker) bool { return len(w.poolsH2) == 0 }) })
}

// A connection that its node wants to end takes no more requests: one that waits for room waits once, as long as the service says, and not again in every turn.
func TestAConnectionThatIsToEndIsNoRoom(t *testing.T) {
	n := newNode(t, speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte {
		var resp codec.Response
		resp.Reset(nil)
		resp.Status, resp.Framing = 200, codec.Framing{Kind: codec.BodyStream}
		return conn.AppendGoAway(conn.AppendResponseHead(nil, s, &resp, false), h2.NoError, false)
	}))
	const queue = 10 * time.Second
	g := newGateway(t, []string{n.addr}, overHTTP2, withClock(), withService(func(c *upstream.Config) {
		c.Pool.MaxPerNode = 1
		c.Breaker.QueueTimeout, c.Breaker.MaxPending = unit.Duration(queue), 10
	}))
	endless := g.connect(t)
	endless.send(get)
	if line, err := endless.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200 ") {
		t.Fatalf("%q, %v", line, err)
	}
	second := g.connect(t)
	second.send(get)
	g.await(t, "the second request to wait", waitingFor(waitRoom))
	g.runOut(t, queue, waitingFor(waitRoom))
	second.answer().wantError(t, 503, "overloaded")
}
