package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/codec"
	"sluice/codec/h2"
	"sluice/internal/testnet"
)

// peerH2 is a client that says over HTTP/2 what a test wants, frame by frame, and writes down what it hears.
type peerH2 struct {
	net.Conn
	t     testing.TB
	codec h2.Conn
	in    []byte
	heard strings.Builder
	body  map[uint32]*bytes.Buffer
	ended map[uint32]bool
	gone  *h2.Event // GOAWAY
	quiet bool      // does not give windows back
}

func (g *gateway) dialH2(t testing.TB) *peerH2 {
	t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(testnet.Patience))
	p := &peerH2{Conn: c, t: t, body: map[uint32]*bytes.Buffer{}, ended: map[uint32]bool{}}
	p.codec.Reset(h2.Options{Client: true, StreamWindow: 65535, ConnWindow: 65535, MaxBlock: 1 << 20})
	p.say(p.codec.AppendPreface(nil))
	p.until("settings", func() bool { return p.codec.Settled() })
	return p
}

func (p *peerH2) say(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// ask sends a request without a body, or the head of one with.
func (p *peerH2) ask(method, target string, ended bool, fields ...string) *h2.Stream {
	p.t.Helper()
	var req codec.Request
	req.Reset(nil)
	req.SetMethod([]byte(method))
	req.SetTarget([]byte(target))
	req.SetHost([]byte("example.com"))
	if !ended {
		req.Framing.Kind = codec.BodyStream
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "content-length" {
			req.Framing.Kind = codec.BodyLength
			req.Framing.Length, _ = strconv.ParseInt(value, 10, 64)
			continue
		}
		req.Header.Add(name, []byte(value))
	}
	s := new(h2.Stream)
	p.codec.OpenNext(s)
	p.say(p.codec.AppendRequestHead(nil, s, &req, h2.RequestOptions{Scheme: "http"}, ended))
	return s
}

// data sends a run of a body.
func (p *peerH2) data(s *h2.Stream, b string, end bool) {
	p.t.Helper()
	p.say(p.codec.AppendData(nil, s, []byte(b), end))
}

// step reads once and takes what has come. It reports the end of the connection.
func (p *peerH2) step() error {
	buf := make([]byte, 64<<10)
	n, err := p.Read(buf)
	p.in = append(p.in, buf[:n]...)
	for {
		ev, n, broken := p.codec.Next(p.in)
		if broken != nil {
			p.t.Fatal(broken)
		}
		if n == 0 {
			return err
		}
		p.note(&ev)
		p.in = p.in[n:]
		if c := p.codec.Control(); len(c) > 0 && err == nil {
			_, _ = p.Write(c)
		}
		p.codec.Refill()
	}
}

func (p *peerH2) note(ev *h2.Event) {
	lim := codec.Limits{RequestLine: 1 << 16, Headers: 1 << 16, HeaderCount: 100}
	switch ev.Kind {
	case h2.EventHead:
		var resp codec.Response
		if _, err := p.codec.ReadResponse(nil, ev.Stream, &resp, codec.MethodGet, ev.End, &lim); err != nil {
			p.t.Fatal(err)
		}
		fmt.Fprintf(&p.heard, "%d: %d", ev.ID, resp.Status)
		for i := range resp.Header.Len() {
			fmt.Fprintf(&p.heard, " %s=%s", resp.Header.Name(i), resp.Header.Value(i))
		}
		p.heard.WriteString("\n")
	case h2.EventData:
		if p.body[ev.ID] == nil {
			p.body[ev.ID] = new(bytes.Buffer)
		}
		p.body[ev.ID].Write(ev.Data)
		if !p.quiet {
			p.codec.CreditConn(len(ev.Data))
			p.codec.CreditStream(ev.Stream, len(ev.Data))
		}
	case h2.EventReset:
		fmt.Fprintf(&p.heard, "%d: reset %v\n", ev.ID, ev.Code)
	case h2.EventTrailer:
		var h codec.Header
		_, _ = p.codec.ReadTrailer(nil, &h, &lim)
	case h2.EventGoAway:
		gone := *ev
		p.gone = &gone
		fmt.Fprintf(&p.heard, "go away %d %v\n", ev.ID, ev.Code)
	}
	if ev.End {
		p.ended[ev.ID] = true
	}
}

// until reads until a condition holds.
func (p *peerH2) until(what string, done func() bool) {
	p.t.Helper()
	for !done() {
		if err := p.step(); err != nil && !done() {
			p.t.Fatalf("%s: %v after %q", what, err, p.heard.String())
		}
	}
}

// hears reads until what was said.
func (p *peerH2) hears(what string) {
	p.t.Helper()
	p.until(what, func() bool { return strings.Contains(p.heard.String(), what) })
}

// answered reads until the stream has ended, and returns the body.
func (p *peerH2) answered(s *h2.Stream) string {
	p.t.Helper()
	p.until("the answer", func() bool { return p.ended[s.ID] })
	if b := p.body[s.ID]; b != nil {
		return b.String()
	}
	return ""
}

// end reads to the end of the connection.
func (p *peerH2) end() error {
	for {
		if err := p.step(); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}
