package proxy

import (
	"io"
	"strings"
	"testing"

	"sluice/codec"
	"sluice/codec/h2"
	"sluice/internal/testnet"
	"sluice/plugin/grpcweb"
)

// RFC 9113 §8.1: a trailer may stand behind a body of no bytes, whose head says so by content-length: 0. Go's own server answers like that whoever sets a trailer and writes nothing.
func emptyWithTrailer(t *testing.T) *node {
	return newNode(t, speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte {
		var resp codec.Response
		resp.Reset(nil)
		resp.Status, resp.Version, resp.Framing = 200, codec.HTTP2, codec.Framing{Kind: codec.BodyLength}
		resp.Header.Add("content-type", []byte("application/grpc"))
		var end codec.Header
		end.Add("grpc-status", []byte("5"))
		return conn.AppendTrailer(conn.AppendResponseHead(nil, s, &resp, false), s, &end)
	}))
}

func TestATrailerBehindABodyOfNoBytesIsPassedOn(t *testing.T) {
	n := emptyWithTrailer(t)
	g := newGateway(t, []string{n.addr}, forGRPC(), withKind(t, &grpcweb.Kind, "{}"))
	for range 2 {
		resp, err := h2cClient(t).Post("http://"+g.addr+"/a.B/C", "application/grpc", strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || len(body) > 0 || resp.Trailer.Get("grpc-status") != "5" {
			t.Errorf("%v %q %v", err, body, resp.Trailer)
		}
	}
	b := g.connect(t)
	for range 2 {
		b.send("POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web\r\nContent-Length: 0\r\n\r\n")
		b.answer().want(t, 200, "\x80\x00\x00\x00\x10grpc-status: 5\r\n")
		b.send("POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n")
		a := b.answer()
		a.want(t, 200, "")
		if !strings.Contains(strings.ToLower(a.trailer), "grpc-status: 5") {
			t.Errorf("%q %q", a.head, a.trailer)
		}
	}
}

// The same of a client's request.
func TestATrailerBehindARequestOfNoBytesIsPassedOn(t *testing.T) {
	trailers := make(chan string, 1)
	n := newNode(t, hearH2(65535, func(c *nodeConn, conn *h2.Conn, ev *h2.Event, _ *codec.Request) []byte {
		if ev.Kind != h2.EventTrailer {
			return nil
		}
		var h codec.Header
		_, err := conn.ReadTrailer(nil, &h, &codec.Limits{RequestLine: 1 << 16, Headers: 1 << 16, HeaderCount: 100})
		if err != nil {
			return nil
		}
		trailers <- string(h.Get("x-end"))
		return okH2(conn, ev.Stream)
	}))
	g := newGateway(t, []string{n.addr}, overHTTP2)
	p := g.dialH2(t)
	s := p.ask("POST", "/", false, "content-length: 0")
	var end codec.Header
	end.Add("x-end", []byte("yes"))
	p.say(p.codec.AppendTrailer(nil, s, &end))
	if got := p.answered(s); got != "ok" {
		t.Errorf("%q; heard %q", got, p.heard.String())
	}
	if got := testnet.Receive(t, "the trailer", trailers); got != "yes" {
		t.Errorf("the trailer says %q", got)
	}
}
