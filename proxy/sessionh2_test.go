package proxy

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"sluice/codec"
	"sluice/codec/h2"
	"sluice/internal/testnet"
	"sluice/internal/unit"
)

// forbidding is a node that answers before the body, and waits for no rest of it.
func forbidding(t testing.TB) *node {
	return newNode(t, func(c *nodeConn) {
		c.head()
		c.write("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
		c.hold()
	})
}

// RFC 9113 §8.1: an answer before the end of the request may end the stream with NO_ERROR behind it. Clients lose the answer over it, so that a rest which is worth
// reading is read first, as on HTTP/1.1.
func TestARestOfABodyIsReadBehindAnEarlyAnswer(t *testing.T) {
	g := newGateway(t, []string{forbidding(t).addr})
	p := g.dialH2(t)
	for name, rest := range map[string]func(s *h2.Stream){
		"data": func(s *h2.Stream) { p.data(s, "late", true) },
		"a trailer": func(s *h2.Stream) {
			var trailer codec.Header
			trailer.Add("x-late", []byte("1"))
			p.say(p.codec.AppendTrailer(nil, s, &trailer))
		},
		"half a window": func(s *h2.Stream) {
			for range 8 {
				p.data(s, strings.Repeat("x", 16<<10), false)
			}
			p.data(s, "", true)
		},
	} {
		s := p.ask("POST", "/", false)
		p.data(s, "some", false)
		if got := p.answered(s); got != "no" {
			t.Errorf("%s: %q", name, got)
		}
		if g.onLoop(func(w *worker) bool { return w.firstH2().codec.Streams() != 1 }) {
			t.Errorf("%s: the stream does not count for what may be open", name)
		}
		rest(s)
		g.await(t, "the end of the stream", func(w *worker) bool { return w.firstH2().requests == 0 })
		if got := p.answered(p.ask("GET", "/", true)); got != "no" {
			t.Errorf("%s: the next stream: %q", name, got)
		}
	}
	if got := p.heard.String(); strings.Contains(got, "reset") || p.gone != nil {
		t.Errorf("heard %q", got)
	}
}

// The bounds of what is read behind an answer are those of HTTP/1.1: so many bytes, and so long.
func TestAClientIsAskedToStopBehindAnEarlyAnswer(t *testing.T) {
	g := newGateway(t, []string{forbidding(t).addr}, withClock())
	for name, c := range map[string]struct {
		length string
		then   func(p *peerH2, s *h2.Stream)
	}{
		"it is told at once where content-length promises too much": {"content-length: 262145", func(*peerH2, *h2.Stream) {}},
		"too much has come": {"x-length: none", func(p *peerH2, s *h2.Stream) {
			for range lingerBytes/h2.MaxFrame + 1 {
				p.data(s, strings.Repeat("x", h2.MaxFrame), false)
			}
		}},
		"its time is up": {"x-length: none", func(p *peerH2, s *h2.Stream) { g.pass(t, lingerTime+time.Second) }},
	} {
		t.Run(name, func(t *testing.T) {
			p := g.dialH2(t)
			s := p.ask("POST", "/", false, c.length)
			if got := p.answered(s); got != "no" {
				t.Errorf("%q", got)
			}
			c.then(p, s)
			p.hears("1: reset NO_ERROR")
			p.data(&h2.Stream{ID: 1}, "late", false) // was on its way
			if got := p.answered(p.ask("GET", "/", true)); got != "no" {
				t.Errorf("the next stream: %q", got)
			}
		})
	}
}

// RFC 9113 §8.1.1.
func TestAMalformedRequestIs400AndProtocolError(t *testing.T) {
	g := newGateway(t, []string{testnet.Reserve(t)}, withLog())
	p := g.dialH2(t)
	p.codec.OpenNext(new(h2.Stream))
	head := []byte("\x83\x86\x84\x01\x0bexample.com\x00\x0aconnection\x05close") // by hand: the codec writes no such field
	p.say(append([]byte{0, 0, byte(len(head)), 1, 4, 0, 0, 0, 1}, head...))
	p.hears("1: 400")
	p.hears("1: reset PROTOCOL_ERROR")
	if line := g.logged(t, 1)[0]; line.Status != 400 || line.Flag != "DPE" || line.Protocol != "HTTP/2.0" || line.Target != "/" {
		t.Errorf("logged %+v", line)
	}
}

// A drain warns first, and takes what the client sends until it can know (RFC 9113 §6.8).
func TestADrainLetsRequestsOnTheirWayBeAnswered(t *testing.T) {
	release := make(chan struct{})
	node := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
		fmt.Fprint(w, r.URL.Path)
	})
	g := newGateway(t, []string{node})
	p := g.dialH2(t)
	slow := p.ask("GET", "/slow", true)
	if got := p.answered(p.ask("GET", "/a", true)); got != "/a" {
		t.Fatal(got)
	}
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
		defer cancel()
		drained <- g.Drain(ctx)
	}()
	p.hears("go away 2147483647 NO_ERROR")
	if got := p.answered(p.ask("GET", "/b", true)); got != "/b" {
		t.Errorf("%q", got)
	}
	p.hears("go away 5 NO_ERROR")
	close(release)
	if got := p.answered(slow); got != "/slow" {
		t.Errorf("%q", got)
	}
	if err := p.end(); err != nil {
		t.Error(err)
	}
	p.Close()
	if err := testnet.Receive(t, "the drain", drained); err != nil {
		t.Error(err)
	}
}

func TestHTTP2KeepsTheTimeouts(t *testing.T) {
	quick := newNode(t, answering(ok))
	silent := newNode(t, func(c *nodeConn) { c.head(); c.hold() })
	for name, c := range map[string]struct {
		bound func(c *TimeoutsConfig) time.Duration
		begin func(p *peerH2)
		hears string
	}{
		"keep_alive": {func(c *TimeoutsConfig) time.Duration { return c.KeepAlive.Std() }, func(p *peerH2) { p.answered(p.ask("GET", "/", true)) }, "go away 1 NO_ERROR"},
		"request_header, for a part of a frame (CVE-2019-9511)": {func(c *TimeoutsConfig) time.Duration { return c.RequestHeader.Std() },
			func(p *peerH2) { p.say([]byte{0, 0, 5, 1}) }, "go away 0 ENHANCE_YOUR_CALM"},
		"request_header, within a header block (CVE-2024-27316)": {func(c *TimeoutsConfig) time.Duration { return c.RequestHeader.Std() },
			func(p *peerH2) { p.say([]byte{0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82}) }, "go away 0 ENHANCE_YOUR_CALM"},
		"request_body": {func(c *TimeoutsConfig) time.Duration { return c.RequestBody.Std() }, func(p *peerH2) { p.data(p.ask("POST", "/", false), "x", false) }, "1: 408"},
	} {
		t.Run(name, func(t *testing.T) {
			var timeouts TimeoutsConfig
			timeouts.SetDefaults()
			node := quick
			if name == "request_body" {
				node = silent
			}
			g := newGateway(t, []string{node.addr}, withClock())
			p := g.dialH2(t)
			g.await(t, "the settings to be acknowledged", func(w *worker) bool { return w.firstH2().codec.Acknowledged() })
			before := g.onLoop(func(w *worker) bool { return w.firstH2().served })
			c.begin(p)
			g.await(t, "it to be read", func(w *worker) bool {
				s := w.firstH2()
				return s.served != before || s.frame.Armed() || s.requests > 0 && s.timer.Armed()
			})
			testnet.Await(t, c.hears, func() bool {
				g.pass(t, c.bound(&timeouts)/2)
				_ = p.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				_ = p.step()
				return strings.Contains(p.heard.String(), c.hears)
			})
		})
	}
}

// timeouts.connection_age, for either protocol: what is under way is answered, and the next request comes on another connection.
func TestConnectionsEndWhenTheyHaveLastedLongEnough(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withClock(), withTimeouts(func(c *TimeoutsConfig) { c.ConnectionAge = unit.Duration(10 * time.Second) }))
	b := g.connect(t)
	b.wantGet("ok")
	p := g.dialH2(t)
	p.answered(p.ask("GET", "/", true))
	g.pass(t, 11*time.Second)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if a := b.answer(); a.status != 200 || a.get("Connection") != "close" {
		t.Errorf("%+v", a)
	}
	p.hears("go away 2147483647 NO_ERROR")
	if got := p.answered(p.ask("GET", "/", true)); got != "ok" {
		t.Error(got)
	}
	g.pass(t, 2*time.Second)
	p.hears("go away 3 NO_ERROR")
}

// firstH2 returns the session of HTTP/2 that was opened last.
func (w *worker) firstH2() *sessionH2 { return w.sessions.session.(*sessionH2) }

// RFC 9113 §6.5.3.
func TestAClientThatAcknowledgesNoSettingsIsLetGo(t *testing.T) {
	g := newGateway(t, nil, withClock())
	c := g.connect(t)
	c.send(h2.Preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	g.await(t, "the settings to be read", func(w *worker) bool {
		s, ok := w.sessions.session.(*sessionH2)
		return ok && s.codec.Settled()
	})
	g.pass(t, 11*time.Second)
	heard, _ := io.ReadAll(c)
	if at := strings.Index(string(heard), "\x00\x00\x08\x07"); at < 0 || binary.BigEndian.Uint32(heard[at+13:]) != uint32(h2.SettingsTimeout) {
		t.Errorf("heard %x", heard)
	}
}

// CVE-2019-9517: a client that asks for much and keeps its windows shut holds little, and not for long.
func TestAClientThatKeepsItsWindowsShutHoldsLittle(t *testing.T) {
	node := origin(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(w, new(pattern), 32<<20)
	})
	g := newGateway(t, []string{node}, withClock())
	p := g.dialH2(t)
	p.quiet = true
	const streams = 20
	for range streams {
		p.ask("GET", "/", true)
	}
	stuck := func(w *worker) bool {
		n := 0
		s := w.firstH2()
		s.codec.Each(func(stream *h2.Stream) {
			if r := stream.Owner.(*requestH2); r.backlog.size > 0 && r.told {
				n++
			}
			if size := stream.Owner.(*requestH2).backlog.size; size > 3*64<<10 {
				t.Errorf("a stream holds %d bytes", size)
			}
		})
		return n == streams
	}
	go func() { _, _ = io.Copy(io.Discard, p.Conn) }()
	g.await(t, "the streams to be stuck", stuck)
	testnet.Await(t, "the streams to be given up", func() bool {
		g.pass(t, 11*time.Second)
		return g.onLoop(func(w *worker) bool { return w.firstH2().requests == 0 })
	})
}

// A flood costs its own connection, and nobody else's.
func TestAFloodIsToldToCalmDown(t *testing.T) {
	node := origin(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	quick := newNode(t, answering(ok))
	g := newGateway(t, []string{node})
	other := newGateway(t, []string{quick.addr})
	for name, round := range map[string]func(p *peerH2, i uint32){
		"CVE-2023-44487 rapid reset": func(p *peerH2, i uint32) {
			s := p.ask("GET", "/", true)
			_, _ = p.Write(p.codec.AppendReset(nil, s, h2.Cancel))
		},
		"CVE-2019-9512 ping": func(p *peerH2, i uint32) { _, _ = p.Write(p.codec.AppendPing(nil, uint64(i))) },
	} {
		t.Run(name, func(t *testing.T) {
			p := g.dialH2(t)
			bystander := other.dialH2(t)
			heard := make(chan error, 1)
			loud := &peerH2{Conn: p.Conn, t: quietly{t}, codec: p.codec, body: p.body, ended: p.ended}
			go func() {
				for {
					if err := p.step(); err != nil {
						heard <- err
						return
					}
				}
			}()
			for i := range uint32(5000) {
				round(loud, i)
			}
			<-heard
			if p.gone == nil || p.gone.Code != h2.EnhanceYourCalm {
				t.Errorf("heard %q", p.heard.String())
			}
			if got := bystander.answered(bystander.ask("GET", "/", true)); got != "ok" {
				t.Error(got)
			}
		})
	}
}

// A request is used again as soon as its exchange has ended. The end of the connection that it came on before is none of its business then.
func TestAConnectionThatEndsTwiceLeavesOthersAlone(t *testing.T) {
	release := make(chan struct{})
	n := newNode(t, func(c *nodeConn) {
		for c.head() != "" {
			c.await(release)
			c.write(ok)
		}
	})
	g := newGateway(t, []string{n.addr})
	const streams = 5
	ask := func(p *peerH2) {
		for range streams {
			p.ask("GET", "/", true)
		}
		g.await(t, "the requests to be under way", func(w *worker) bool { return w.firstH2().requests == streams })
	}
	p := g.dialH2(t)
	ask(p)
	p.say([]byte{0, 0, 1, 6, 0, 0, 0, 0, 0, 0}) // a PING of one byte
	p.hears("go away 9 FRAME_SIZE_ERROR")
	other := g.dialH2(t)
	ask(other)
	_ = p.Conn.(*net.TCPConn).SetLinger(0)
	p.Close()
	g.await(t, "the reset to be seen", func(w *worker) bool { return w.firstH2().seat.next == nil })
	close(release)
	other.until("all answers", func() bool { return len(other.ended) == streams || strings.Contains(other.heard.String(), "reset") })
	if got := other.heard.String(); strings.Count(got, ": 200") != streams || strings.Contains(got, "reset") {
		t.Errorf("heard %q", got)
	}
}

// quietly is a test that a write to a connection which has been closed does not fail.
type quietly struct{ testing.TB }

func (quietly) Fatal(...any) {}

// A request over HTTP/2, to a node of either protocol, on kept connections, allocates nothing. The whole process is measured, so the client and the node here allocate nothing
// either: the client sends the same block with the next identifier, and reads until the end of its stream.
func TestARequestOverHTTP2AllocatesNothing(t *testing.T) {
	t.Run("h1", func(t *testing.T) {
		allocationsOverHTTP2(t, newGateway(t, []string{quietNode(t, "\r\n\r\n").addr}, withRequestID(t)))
	})
	t.Run("h2c", func(t *testing.T) {
		allocationsOverHTTP2(t, newGateway(t, []string{quietNodeH2(t).addr}, overHTTP2, withRequestID(t)))
	})
}

func allocationsOverHTTP2(t *testing.T, g *gateway) {
	p := g.dialH2(t)
	if got := p.answered(p.ask("GET", "/index.html?q=1", true)); got != "ok" {
		t.Fatal(got)
	}
	block := "\x82\x86\x04\x0f/index.html?q=1\x01\x10shop.example.com\x00\x06cookie\x18session=0123456789abcdef\x00\x0auser-agent\x0bMozilla/5.0"
	frame := append([]byte{0, 0, byte(len(block)), 1, 5, 0, 0, 0, 0}, block...)
	buf := make([]byte, 64<<10)
	const warm, requests = 500, 5000
	var before, after runtime.MemStats
	for i := range uint32(warm + requests) {
		if i == warm {
			runtime.ReadMemStats(&before)
		}
		binary.BigEndian.PutUint32(frame[5:], 3+2*i)
		if _, err := p.Write(frame); err != nil {
			t.Fatal(err)
		}
		for ended := false; !ended; {
			m, err := p.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			ended = endsStream(buf[:m])
		}
		if i%1000 == 999 {
			if _, err := p.Write([]byte{0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0x10, 0}); err != nil {
				t.Fatal(err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if per := float64(after.Mallocs-before.Mallocs) / requests; per >= 0.05 {
		t.Errorf("%.3f allocations per request", per)
	}
}

// endsStream reports whether the last of the whole frames in b ends its stream. Answers are written at once, so they come whole.
func endsStream(b []byte) bool {
	last := false
	for len(b) >= 9 {
		n := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		last = b[3] <= 1 && b[4]&1 != 0
		b = b[min(len(b), 9+n):]
	}
	return last
}
