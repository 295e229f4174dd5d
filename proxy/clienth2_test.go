package proxy

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/codec"
	"sluice/codec/h2"
	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/upstream"
)

// speakH2 is a node's script: it speaks HTTP/2 as the server, and answer says what is done with each request that is whole or has no body yet.
func speakH2(answer func(c *nodeConn, codec *h2.Conn, s *h2.Stream, req *codec.Request) (out []byte)) func(*nodeConn) {
	return hearH2(65535, func(c *nodeConn, conn *h2.Conn, ev *h2.Event, req *codec.Request) []byte {
		if ev.Kind == h2.EventOpen {
			return answer(c, conn, ev.Stream, req)
		}
		return nil
	})
}

// hearH2 is speakH2 for a node which hears of every event; req is what an EventOpen has opened. window is that of streams on its first connection.
func hearH2(window int32, heard func(c *nodeConn, codec *h2.Conn, ev *h2.Event, req *codec.Request) (out []byte)) func(*nodeConn) {
	return func(c *nodeConn) {
		opts := h2.Options{StreamWindow: 65535, ConnWindow: 65535, MaxBlock: 1 << 20}
		if c.n == 1 {
			opts.StreamWindow = window
		}
		serveH2(c, opts, heard)
	}
}

// tunnelH2 is hearH2 for a node that takes tunnels (RFC 8441).
func tunnelH2(heard func(c *nodeConn, codec *h2.Conn, ev *h2.Event, req *codec.Request) (out []byte)) func(*nodeConn) {
	return func(c *nodeConn) {
		serveH2(c, h2.Options{StreamWindow: 65535, ConnWindow: 65535, Connect: true, MaxBlock: 1 << 20}, heard)
	}
}

// serveH2 speaks HTTP/2 as the server with those options.
func serveH2(c *nodeConn, opts h2.Options, heard func(c *nodeConn, codec *h2.Conn, ev *h2.Event, req *codec.Request) (out []byte)) {
	var conn h2.Conn
	conn.Reset(opts)
	c.write(string(conn.AppendPreface(nil)))
	lim := codec.Limits{RequestLine: 1 << 16, Headers: 1 << 16, HeaderCount: 100}
	var in []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := c.r.Read(buf)
		if err != nil {
			return
		}
		in = append(in, buf[:n]...)
		for {
			ev, n, err := conn.Next(in)
			if err != nil || n == 0 {
				break
			}
			var req codec.Request
			if ev.Kind == h2.EventOpen {
				ev.Stream = new(h2.Stream)
				conn.Open(ev.Stream, ev.ID, ev.End)
				if _, err := conn.ReadRequest(nil, &req, ev.End, &lim); err != nil {
					return
				}
			}
			c.write(string(heard(c, &conn, &ev, &req)))
			in = in[n:]
			c.write(string(conn.Control()))
		}
	}
}

// okH2 is an answer of "ok".
func okH2(conn *h2.Conn, s *h2.Stream) []byte {
	var resp codec.Response
	resp.Reset(nil)
	resp.Status = 200
	out := conn.AppendResponseHead(nil, s, &resp, false)
	return conn.AppendData(out, s, []byte("ok"), true)
}

// RFC 9113 §8.7: what a node has refused it has not looked at, so that even a POST moves to another stream.
func TestARefusedStreamIsNoFailedTry(t *testing.T) {
	var mu sync.Mutex
	refused := 0
	n := newNode(t, speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte {
		mu.Lock()
		defer mu.Unlock()
		if refused++; refused < movesMost {
			return conn.AppendReset(nil, s, h2.RefusedStream)
		}
		return okH2(conn, s)
	}))
	g := newGateway(t, []string{n.addr}, overHTTP2, withAttempts(1), withLog())
	answer := exchangeRaw(t, g.addr, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody")
	if !strings.HasPrefix(answer, "HTTP/1.1 200 ") || !strings.Contains(answer, "ok") {
		t.Error(answer)
	}
	if line := g.logged(t, 1)[0]; line.Retries != 0 {
		t.Errorf("logged %+v", line)
	}
}

// A node that has begun to answer has looked at the request, whatever it says afterwards.
func TestARefusalBehindTheHeadOfAnAnswerIsAReset(t *testing.T) {
	var asked atomic.Int32
	n := newNode(t, speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte {
		if asked.Add(1) > 1 {
			return okH2(conn, s)
		}
		var resp codec.Response
		resp.Reset(nil)
		resp.Status = 200
		out := conn.AppendResponseHead(nil, s, &resp, false)
		return conn.AppendReset(conn.AppendData(out, s, []byte("half"), false), s, h2.RefusedStream)
	}))
	g := newGateway(t, []string{n.addr}, overHTTP2, withLog())
	answer := exchangeRaw(t, g.addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if strings.Count(answer, "HTTP/1.1 200 ") != 1 || !strings.HasSuffix(answer, "4\r\nhalf\r\n") || asked.Load() != 1 {
		t.Errorf("asked %d times: %s", asked.Load(), answer)
	}
	if line := g.logged(t, 1)[0]; line.Code != "upstream_reset" {
		t.Errorf("logged %+v", line)
	}
}

// A body that waited for a window goes on when its call has moved to a connection with room for all that has come.
func TestABodyThatWasHeldGoesOnOnAnotherConnection(t *testing.T) {
	held := make(chan struct{})
	n := newNode(t, hearH2(1000, func(c *nodeConn, conn *h2.Conn, ev *h2.Event, req *codec.Request) []byte {
		switch {
		case ev.Kind == h2.EventOpen && ev.ID == 3:
			c.await(held)
			return []byte("\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00") // GOAWAY, the last was 1
		case ev.Kind == h2.EventData:
			conn.CreditConn(len(ev.Data))
			conn.CreditStream(ev.Stream, len(ev.Data))
		}
		if ev.End {
			return okH2(conn, ev.Stream)
		}
		return nil
	}))
	g := newGateway(t, []string{n.addr}, overHTTP2, withAttempts(1))
	g.connect(t).wantGet("ok") // now the window is known
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n" + strings.Repeat("x", 2000))
	g.await(t, "the body to be held", func(w *worker) bool {
		told := false
		for _, p := range w.poolsH2 {
			p.clients[0].codec.Each(func(s *h2.Stream) { told = told || s.Owner.(*callH2).told })
		}
		return told
	})
	close(held)
	b.send(strings.Repeat("x", 1000))
	b.answer().want(t, 200, "ok")
}

// A node that was lost in a request may have acted on it.
func TestOnlyWhatMayBeRepeatedIsSentAgainOverHTTP2(t *testing.T) {
	for method, want := range map[string]string{"GET": "HTTP/1.1 200 ", "POST": "HTTP/1.1 502 "} {
		n := newNode(t, speakH2(func(c *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte {
			if c.n == 1 && s.ID == 3 {
				c.reset()
				return nil
			}
			return okH2(conn, s)
		}))
		g := newGateway(t, []string{n.addr}, overHTTP2)
		g.connect(t).wantGet("ok")
		answer := exchangeRaw(t, g.addr, method+" / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		if !strings.HasPrefix(answer, want) {
			t.Errorf("%s: %s", method, answer)
		}
	}
}

// A node that has gone without a word costs one call its time, and not every call that follows.
func TestAConnectionWithoutASignOfLifeIsGivenUp(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		if c.n == 1 { // it takes the settings, and nothing more
			var conn h2.Conn
			conn.Reset(h2.Options{StreamWindow: 65535, ConnWindow: 65535, MaxBlock: 1 << 20})
			c.write(string(conn.AppendPreface(nil)))
			c.hold()
			return
		}
		speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte { return okH2(conn, s) })(c)
	})
	g := newGateway(t, []string{n.addr}, overHTTP2, withClock(), withAttempts(1), withService(func(c *upstream.Config) {
		c.Timeout.Response = unit.Duration(time.Second)
	}))
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	g.await(t, "the node to be there", func(w *worker) bool {
		for _, p := range w.poolsH2 {
			return p.clients[0].open && p.clients[0].codec.Settled()
		}
		return false
	})
	g.await(t, "the call", waitingFor(waitHead))
	g.pass(t, 2*time.Second)
	b.answer().wantError(t, 504, "upstream_timeout")
	g.pass(t, h2SignOfLife+time.Second)
	b.wantGet("ok")
	if got := n.opened.Load(); got != 2 {
		t.Errorf("%d connections", got)
	}
}

// The chaos of both protocols: requests of every kind at once over few connections, of which some are given up by the client and some by the node. Every answer that is
// whole is right, and nothing is left behind.
func TestChaosOverHTTP2LeavesNothingBehind(t *testing.T) {
	node := originH2(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/abort":
			_, _ = w.Write(make([]byte, 1000))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/early":
			w.WriteHeader(418)
		case "/hang":
			<-r.Context().Done()
		case "/leave":
			w.Header().Set("Connection", "close") // GOAWAY
			echo(w, r)
		default:
			echo(w, r)
		}
	})
	g := newGateway(t, []string{node}, overHTTP2, withWorkers(2))
	var running sync.WaitGroup
	for i := range 8 {
		client := h2cClient(t)
		running.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 7))
			for range 100 {
				path := []string{"/echo", "/echo", "/echo", "/abort", "/early", "/hang", "/leave"}[rnd.IntN(7)]
				ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
				if path == "/hang" || rnd.IntN(5) == 0 {
					time.AfterFunc(time.Duration(rnd.IntN(3000))*time.Microsecond, cancel)
				}
				body := bytes.Repeat([]byte{byte('a' + i)}, rnd.IntN(200_000))
				req, _ := http.NewRequestWithContext(ctx, "POST", "http://"+g.addr+path, io.MultiReader(bytes.NewReader(body)))
				if resp, err := client.Do(req); err == nil {
					got, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err == nil && resp.StatusCode == 200 && (path == "/echo" || path == "/leave") && !bytes.Equal(got, body) {
						t.Errorf("%s: %d bytes of %d", path, len(got), len(body))
					}
				}
				cancel()
			}
			client.CloseIdleConnections()
		})
	}
	running.Wait()
	g.wantNoStreams(t)
}
