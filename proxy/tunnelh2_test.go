package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/codec"
	"sluice/codec/h2"
	"sluice/internal/testnet"
	"sluice/upstream"
)

const askWebSocket = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// tunnelNode takes tunnels over HTTP/2, greets and echoes, and tells the test of heads and of streams that were given up. It ends its side with the client.
func tunnelNode(t *testing.T) (n *node, heads, resets chan string) {
	heads, resets = make(chan string, 10), make(chan string, 10)
	n = newNode(t, tunnelH2(func(c *nodeConn, conn *h2.Conn, ev *h2.Event, req *codec.Request) []byte {
		switch ev.Kind {
		case h2.EventOpen:
			head := req.Method.String() + " " + string(req.Target())
			for i := range req.Header.Len() {
				head += " " + string(req.Header.Name(i)) + "=" + string(req.Header.Value(i))
			}
			heads <- head
			var resp codec.Response
			resp.Reset(nil)
			resp.Status, resp.Framing = 200, codec.Framing{Kind: codec.BodyStream}
			return conn.AppendData(conn.AppendResponseHead(nil, ev.Stream, &resp, false), ev.Stream, []byte("hello"), false)
		case h2.EventData:
			conn.CreditConn(len(ev.Data))
			conn.CreditStream(ev.Stream, len(ev.Data))
			return conn.AppendData(nil, ev.Stream, ev.Data, ev.End)
		case h2.EventReset:
			resets <- ev.Code.String()
		}
		return nil
	}))
	return n, heads, resets
}

// RFC 8441 §4, §5: a WebSocket goes to a node that takes tunnels over HTTP/2 as an extended CONNECT, which has no key; what a client of HTTP/1.1 expects in return is made here
// (the example of RFC 6455 §1.3).
func TestAWebSocketGoesToItsNodeOverHTTP2(t *testing.T) {
	n, heads, _ := tunnelNode(t)
	g := newGateway(t, []string{n.addr}, overHTTP2, withLog())
	for range 2 { // before and after the node's settings are known
		b := g.connect(t)
		b.send(askWebSocket)
		head := ""
		for !strings.HasSuffix(head, "\r\n\r\n") {
			line, err := b.r.ReadString('\n')
			if head += line; err != nil {
				t.Fatalf("%v after %q", err, head)
			}
		}
		for _, want := range []string{"HTTP/1.1 101 ", "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "\r\nUpgrade: websocket\r\n", "\r\nConnection: Upgrade\r\n"} {
			if !strings.Contains(head, want) {
				t.Errorf("no %q in %q", want, head)
			}
		}
		if got := testnet.Receive(t, "the node to be asked", heads); !strings.HasPrefix(got, "GET /chat ") || !strings.Contains(got, "Upgrade=websocket") || strings.Contains(strings.ToLower(got), "websocket-key") {
			t.Errorf("the node was asked %q", got)
		}
		b.send(" echo")
		if err := b.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(b.r); err != nil || string(rest) != "hello echo" {
			t.Errorf("%q, %v", rest, err)
		}
	}
	for _, line := range g.logged(t, 2) {
		if line.Status != 101 || line.Flag != "" || line.BytesIn != 5 || line.BytesOut != 10 {
			t.Errorf("logged %+v", line)
		}
	}
	if opened := n.opened.Load(); opened != 1 {
		t.Errorf("%d connections to the node", opened)
	}
}

// A tunnel of HTTP/2 on both sides is one stream to the other; a large run passes in spite of the windows.
func TestATunnelFromHTTP2ToHTTP2(t *testing.T) {
	n, _, resets := tunnelNode(t)
	p := newGateway(t, []string{n.addr}, overHTTP2).dialH2(t)
	s := p.askWebSocket()
	p.hears("1: 200")
	run := strings.Repeat("run", 10_000)
	for range 10 {
		had := p.body[1].Len()
		p.data(s, run, false)
		p.until("the echo", func() bool { return p.body[1].Len() >= had+len(run)-len("hello") })
	}
	p.say(p.codec.AppendReset(nil, s, h2.Cancel))
	if code := testnet.Receive(t, "the node's stream to be given up", resets); code != "CANCEL" {
		t.Error(code)
	}
}

// A node may refuse a tunnel as any request.
func TestATunnelThatItsNodeRefusesIsAnAnswer(t *testing.T) {
	n := newNode(t, tunnelH2(func(_ *nodeConn, conn *h2.Conn, ev *h2.Event, _ *codec.Request) []byte {
		if ev.Kind != h2.EventOpen {
			return nil
		}
		var resp codec.Response
		resp.Reset(nil)
		resp.Status, resp.Framing = 403, codec.Framing{Kind: codec.BodyLength, Length: 2}
		return conn.AppendData(conn.AppendResponseHead(nil, ev.Stream, &resp, false), ev.Stream, []byte("no"), true)
	}))
	b := newGateway(t, []string{n.addr}, overHTTP2).connect(t)
	b.send(askWebSocket)
	b.answer().want(t, 403, "no")
	b.send(askWebSocket)
	b.answer().want(t, 403, "no")
}

// nodeOfBoth starts a node that speaks both protocols, answers with "ok", and switches to WebSocket over HTTP/1.1 alone.
func nodeOfBoth(t *testing.T) (addr string) {
	both := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Sec-WebSocket-Accept", "y")
			w.WriteHeader(101)
			return
		}
		_, _ = io.WriteString(w, "ok")
	}))
	both.Config.Protocols = new(http.Protocols)
	both.Config.Protocols.SetHTTP1(true)
	both.Config.Protocols.SetUnencryptedHTTP2(true)
	both.Start()
	t.Cleanup(func() { both.CloseClientConnections(); both.Close() })
	return both.Listener.Addr().String()
}

// A node that speaks both protocols and takes no tunnels over HTTP/2 gets them over HTTP/1.1; one that speaks HTTP/2 alone cannot have any, which is a clear error.
func TestATunnelToANodeThatTakesNoneOverHTTP2(t *testing.T) {
	g := newGateway(t, []string{nodeOfBoth(t)}, overHTTP2)
	for range 2 {
		b := g.connect(t)
		b.send(askWebSocket)
		if a := b.answer(); a.status != 101 || a.get("Sec-WebSocket-Accept") != "y" {
			t.Errorf("got %q", a.head)
		}
		g.connect(t).wantGet("ok")
	}

	alone := newNode(t, func(c *nodeConn) {
		if first, _ := c.r.Peek(3); string(first) == "PRI" {
			speakH2(func(*nodeConn, *h2.Conn, *h2.Stream, *codec.Request) []byte { return nil })(c)
		}
	})
	b := newGateway(t, []string{alone.addr}, overHTTP2).connect(t)
	b.send(askWebSocket)
	b.answer().wantError(t, 502, "upstream_reset")

	b = newGateway(t, []string{testnet.Reserve(t)}, overHTTP2).connect(t)
	b.send(askWebSocket)
	b.answer().wantError(t, 502, "upstream_connect")
}

// One place for a connection is enough: the one over HTTP/2 that rests, or that may not, makes room for a tunnel over HTTP/1.1, and the tunnel's end for the next.
func TestATunnelOverHTTP1TakesThePlaceOfARestingConnection(t *testing.T) {
	for _, kept := range []int{1, 0} {
		g := newGateway(t, []string{nodeOfBoth(t)}, overHTTP2, withService(func(c *upstream.Config) { c.Pool.MaxPerNode, c.Pool.MaxIdlePerWorker = 1, &kept }))
		for range 2 {
			b := g.connect(t)
			b.send(askWebSocket)
			if a := b.answer(); a.status != 101 {
				t.Errorf("%d kept: got %q", kept, a.head)
			}
			b.Close()
			g.connect(t).wantGet("ok")
		}
	}
}

// Where every place is taken by connections that are in use, the answer is overloaded, at once, and no node is blamed.
func TestATunnelThatThereIsNoPlaceForIsNobodysFault(t *testing.T) {
	script := speakH2(func(*nodeConn, *h2.Conn, *h2.Stream, *codec.Request) []byte { return nil })
	n, other := newNode(t, script), newNodeAt(t, "127.0.0.2:0", script)
	g := newGateway(t, []string{n.addr, other.addr}, overHTTP2, ejecting, withService(func(c *upstream.Config) { c.Pool.MaxPerNode = 1 }))
	for range 2 {
		g.connect(t).send(get)
	}
	g.await(t, "both nodes to be heard of", func(w *worker) bool {
		heard := 0
		for _, p := range w.poolsH2 {
			if p.heard {
				heard++
			}
		}
		return heard == 2
	})
	for range 10 {
		b := g.connect(t)
		b.send(askWebSocket)
		b.answer().wantError(t, 503, "overloaded")
	}
	g.wantWell(t, n)
	g.wantWell(t, other)
}

// A call that waits to hear whether its node takes tunnels is told by whichever connection is heard of first, and not by the end of another.
func TestATunnelWaitsForAnyConnectionThatIsToBeHeardOf(t *testing.T) {
	lost, settle := make(chan struct{}), make(chan struct{})
	n := newNode(t, func(c *nodeConn) {
		if c.n == 1 {
			c.await(lost)
			return
		}
		c.await(settle)
		tunnelH2(func(_ *nodeConn, conn *h2.Conn, ev *h2.Event, _ *codec.Request) []byte {
			if ev.Kind != h2.EventOpen {
				return nil
			}
			return okH2(conn, ev.Stream)
		})(c)
	})
	g := newGateway(t, []string{n.addr}, overHTTP2, withAttempts(1))
	plain := g.connect(t)
	plain.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	g.await(t, "the first connection", func(w *worker) bool { p := w.onlyPoolH2(); return p != nil && p.clients[0].open })
	g.onLoop(func(w *worker) bool { w.onlyPoolH2().clients[0].retire(); return true }) // as when the node's TLS is configured anew
	b := g.connect(t)
	b.send(askWebSocket)
	g.await(t, "the second connection", func(w *worker) bool {
		p := w.onlyPoolH2()
		return len(p.clients) == 1 && p.clients[0].open && len(p.asking) == 1
	})
	close(lost)
	plain.answer().wantError(t, 502, "upstream_reset")
	close(settle)
	if a := b.answer(); a.status != 101 {
		t.Errorf("got %q", a.head)
	}
}

// partingNode takes a tunnel over HTTP/2 and ends its side at once. Of what the client says it takes what the window lets through, and the rest once release is closed.
func partingNode(t *testing.T, release <-chan struct{}) (n *node, received chan int) {
	received = make(chan int, 1)
	total, held := 0, 0
	return newNode(t, tunnelH2(func(c *nodeConn, conn *h2.Conn, ev *h2.Event, _ *codec.Request) []byte {
		switch ev.Kind {
		case h2.EventOpen:
			var resp codec.Response
			resp.Reset(nil)
			resp.Status, resp.Framing = 200, codec.Framing{Kind: codec.BodyStream}
			return conn.AppendData(conn.AppendResponseHead(nil, ev.Stream, &resp, false), ev.Stream, []byte("bye"), true)
		case h2.EventData:
			total, held = total+len(ev.Data), held+len(ev.Data)
			if total < 65535 {
				break
			}
			c.await(release)
			conn.CreditConn(held)
			conn.CreditStream(ev.Stream, held)
			held = 0
			if ev.End {
				received <- total
			}
		}
		return nil
	})), received
}

// What a client has said in a tunnel reaches the node, also where that has ended its own side before and lets little through at a time.
func TestTheLastWordsOfATunnelReachANodeThatHasEndedItsSide(t *testing.T) {
	words := strings.Repeat("x", 100_000)
	want := func(t *testing.T, g *gateway, received <-chan int) {
		if got := testnet.Receive(t, "the node to have it all", received); got != len(words) {
			t.Errorf("the node received %d bytes of %d", got, len(words))
		}
		if line := g.logged(t, 1)[0]; line.Flag != "" || line.BytesIn != len(words) || line.BytesOut != 3 {
			t.Errorf("logged %+v", line)
		}
	}
	t.Run("from HTTP/1.1", func(t *testing.T) {
		release := make(chan struct{})
		n, received := partingNode(t, release)
		g := newGateway(t, []string{n.addr}, overHTTP2, withLog())
		b := g.connect(t)
		b.send(askWebSocket)
		readHead(t, b)
		if said, err := io.ReadAll(b.r); err != nil || string(said) != "bye" {
			t.Fatalf("%q, %v", said, err)
		}
		b.send(words)
		_ = b.CloseWrite()
		g.await(t, "the words to wait", func(w *worker) bool {
			return w.exchange().call.(*callH2).backlog.size > 0 && w.first().conn.PeerShut()
		})
		close(release)
		want(t, g, received)
	})
	t.Run("from HTTP/2", func(t *testing.T) {
		release := make(chan struct{})
		n, received := partingNode(t, release)
		g := newGateway(t, []string{n.addr}, overHTTP2, withLog())
		p := g.dialH2(t)
		s := p.askWebSocket()
		if said := p.answered(s); said != "bye" {
			t.Fatal(said)
		}
		p.data(s, words, true)
		g.await(t, "the client's end", func(w *worker) bool { return w.firstH2().codec.Streams() == 0 && w.firstH2().requests == 1 })
		close(release)
		want(t, g, received)
	})
}

// A node that takes nothing any more does not keep the tunnel for longer than one may be silent, and one that has said all and asks for no more ends it in order (RFC 9113 §8.1).
func TestATunnelThatItsNodeHasEndedDoesNotLastForEver(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	n, _ := partingNode(t, release)
	g := newGateway(t, []string{n.addr}, overHTTP2, withLog(), withClock())
	p := g.dialH2(t)
	s := p.askWebSocket()
	p.answered(s)
	p.data(s, strings.Repeat("x", 100_000), true)
	both := func(w *worker) bool { return w.firstH2().codec.Streams() == 0 && w.firstH2().requests == 1 }
	g.await(t, "the client's end", both)
	g.runOut(t, time.Hour, both)
	if line := g.logged(t, 1)[0]; line.Flag == "" {
		t.Errorf("logged %+v", line)
	}

	done := newNode(t, tunnelH2(func(_ *nodeConn, conn *h2.Conn, ev *h2.Event, _ *codec.Request) []byte {
		switch ev.Kind {
		case h2.EventOpen:
			return okH2(conn, ev.Stream)
		case h2.EventData:
			return conn.AppendReset(nil, ev.Stream, h2.NoError)
		}
		return nil
	}))
	g = newGateway(t, []string{done.addr}, overHTTP2, withLog())
	b := g.connect(t)
	b.send(askWebSocket)
	readHead(t, b)
	b.send("x")
	if said, err := io.ReadAll(b.r); err != nil || string(said) != "ok" {
		t.Errorf("%q, %v", said, err)
	}
	if line := g.logged(t, 1)[0]; line.Flag != "" || line.Status != 101 {
		t.Errorf("logged %+v", line)
	}
}

// A tunnel that a node refuses is refused, whatever a plugin would make of its status: the client would take 200 for a tunnel (RFC 8441 §5).
func TestARefusedTunnelIsNoneWhateverAPluginSays(t *testing.T) {
	n := newNode(t, answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"))
	p := newGateway(t, []string{n.addr}, withRewrite(t, `{"status_code":200,"headers":{"set":{"X-A":"b"}}}`)).dialH2(t)
	p.askWebSocket()
	p.hears("1: 403")
}
