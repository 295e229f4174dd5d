package h1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"

	"sluice/codec"
)

// What goes on is read by somebody else, here by net/http: it must see the same message, whole, and nothing behind it.

// forwarded is a message as it goes on, and what it means to us.
type forwarded struct {
	wire    []byte
	fields  map[string][]string // by canonical name, without those of framing
	body    []byte
	trailer map[string][]string
	rest    []byte // of the input, behind the message
	whole   bool   // the body has come to its end
	refused bool   // it has been refused
}

// fieldsOf returns the fields of h as net/http has them.
func fieldsOf(h *codec.Header) map[string][]string {
	fields := map[string][]string{}
	if h == nil {
		return fields
	}
	for i := range h.Len() {
		switch id := h.ID(i); {
		case h.Removed(i), isFraming(id):
		default:
			name := textproto.CanonicalMIMEHeaderKey(string(h.Name(i)))
			fields[name] = append(fields[name], string(h.Value(i)))
		}
	}
	return fields
}

// forwardBody decodes a body from in and appends it to f as it goes on.
func (f *forwarded) forwardBody(in []byte, came, goes codec.Framing, lim *codec.Limits) {
	var d BodyDecoder
	d.Reset(came, lim)
	for !d.Done() {
		data, n, err := d.Next(in)
		if err != nil {
			f.refused = true
			return
		}
		in = in[n:]
		f.body = append(f.body, data...)
		if goes.Kind == codec.BodyStream && len(data) > 0 {
			f.wire = AppendChunkHeader(f.wire, len(data))
		}
		f.wire = append(f.wire, data...)
		if goes.Kind == codec.BodyStream && len(data) > 0 {
			f.wire = AppendChunkEnd(f.wire)
		}
		if n == 0 && d.EOF() != nil {
			return
		}
	}
	f.trailer = fieldsOf(d.Trailer())
	if goes.Kind == codec.BodyStream {
		f.wire = AppendLastChunk(f.wire, d.Trailer())
	} else {
		f.trailer = map[string][]string{}
	}
	f.rest, f.whole = in, true
}

// forwardRequest does with in what the gateway does with a request. req is nil where the head is refused or not whole.
func forwardRequest(in []byte, lim *codec.Limits) (f forwarded, req *codec.Request) {
	req = new(codec.Request)
	req.Reset(in)
	n, err := ParseRequest(in, req, lim)
	if err != nil || n == 0 {
		return forwarded{refused: err != nil}, nil
	}
	req.Header.StripHopByHop()
	f.wire = AppendRequestHead(nil, req, "node")
	f.fields = fieldsOf(&req.Header)
	delete(f.fields, "Host")
	f.forwardBody(in[n:], req.Framing, req.Framing, lim)
	return f, req
}

// sameMessage compares what net/http has read with what was meant, reading the body to its end; left is what stands behind it.
func (f *forwarded) sameMessage(t *testing.T, header http.Header, trailer *http.Header, body io.Reader, left *bufio.Reader) {
	t.Helper()
	got, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(got, f.body) {
		t.Fatalf("net/http reads the body %q, %v, want %q, in %q", got, err, f.body, f.wire)
	}
	header.Del("Content-Length")
	header.Del("Trailer") // net/http takes it away where the body has chunks
	delete(f.fields, "Trailer")
	maps.DeleteFunc(*trailer, func(_ string, values []string) bool { return values == nil }) // announced, and not there
	if !maps.EqualFunc(header, f.fields, slices.Equal) {
		t.Fatalf("net/http reads the fields\n%q, want\n%q, in %q", header, f.fields, f.wire)
	}
	if !maps.EqualFunc(*trailer, f.trailer, slices.Equal) {
		t.Fatalf("net/http reads the trailer\n%q, want\n%q, in %q", *trailer, f.trailer, f.wire)
	}
	if rest, _ := io.ReadAll(left); len(rest) > 0 {
		t.Fatalf("net/http finds %q behind the message in %q", rest, f.wire)
	}
}

// endToEnd reports whether net/http has only not been able to take a target or a Trailer field apart, which is the node's to do.
func endToEnd(err error) bool {
	var e *url.Error
	return errors.As(err, &e) || strings.Contains(err.Error(), "invalid URI for request") || strings.Contains(err.Error(), "bad trailer key")
}

// checkForwardedRequest fails where net/http sees another request in what goes on of in, or refuses in as a message and we do not.
func checkForwardedRequest(t *testing.T, in []byte, lim *codec.Limits) (whole bool) {
	f, req := forwardRequest(in, lim)
	if req == nil {
		return false
	}
	_, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(bytes.TrimLeft(in, "\r\n"))))
	if err != nil && !endToEnd(err) {
		t.Fatalf("net/http refuses %q: %v", in, err)
	}
	if !f.whole {
		return false
	}
	r := bufio.NewReader(bytes.NewReader(f.wire))
	other, err := http.ReadRequest(r)
	if err != nil {
		if !endToEnd(err) {
			t.Fatalf("net/http refuses what goes on, %q: %v", f.wire, err)
		}
		return false
	}
	if other.Method != string(req.MethodBytes()) || other.RequestURI != string(req.Target()) || other.Host != hostOf(req) || other.Proto != "HTTP/1.1" {
		t.Fatalf("net/http reads %s %s for %s in %q", other.Method, other.RequestURI, other.Host, f.wire)
	}
	f.sameMessage(t, other.Header, &other.Trailer, other.Body, r)
	return true
}

// checkForwardedResponse fails where net/http sees another response in what goes on of in, an answer to method, to a client of a version.
func checkForwardedResponse(t *testing.T, in []byte, method codec.Method, v codec.Version, lim *codec.Limits) (whole bool) {
	resp := new(codec.Response)
	resp.Reset(in)
	n, err := ParseResponse(in, resp, method, lim)
	if err != nil || n == 0 || resp.Status == 101 {
		return false
	}
	resp.Header.StripHopByHop()
	goes := ClientFraming(resp, method, v)
	f := forwarded{
		wire:   AppendResponseHead(nil, resp, ResponseOptions{Version: v, KeepAlive: goes.Kind != codec.BodyClose, Framing: goes}),
		fields: fieldsOf(&resp.Header),
	}
	f.forwardBody(in[n:], resp.Framing, goes, lim)
	if !f.whole {
		return false
	}
	r := bufio.NewReader(bytes.NewReader(f.wire))
	other, err := http.ReadResponse(r, &http.Request{Method: method.String()})
	if err != nil {
		if !endToEnd(err) {
			t.Fatalf("net/http refuses what goes on, %q: %v", f.wire, err)
		}
		return false
	}
	if other.StatusCode != resp.Status || other.Proto != "HTTP/1.1" {
		t.Fatalf("net/http reads %s %s in %q", other.Proto, other.Status, f.wire)
	}
	other.Header.Del("Connection") // the gateway's own
	f.sameMessage(t, other.Header, &other.Trailer, other.Body, r)
	return true
}

// responseClients are the kinds of requests and clients on which the framing of a response depends.
var responseClients = []struct {
	method codec.Method
	v      codec.Version
}{{codec.MethodGet, codec.HTTP11}, {codec.MethodGet, codec.HTTP10}, {codec.MethodHead, codec.HTTP11}}

func FuzzForwardRequest(f *testing.F) {
	for _, s := range []string{
		browserGET, wrkGET, "\r\nOPTIONS http://b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: x\r\nX: 1\r\n\r\nabc",
		"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: 1\r\nHost: b\r\n\r\nGET",
		"PUT / HTTP/1.0\r\nContent-Length: 007\r\nExpect: x\r\nContent_Length: 3\r\nX:\t1 \r\n\r\nhello, world",
	} {
		f.Add([]byte(s))
	}
	lim := codec.DefaultLimits()
	f.Fuzz(func(t *testing.T, in []byte) { checkForwardedRequest(t, in, &lim) })
}

func FuzzForwardResponse(f *testing.F) {
	for _, s := range []string{
		nodeResponse, "HTTP/1.0 200 OK\r\nX : 1\r\n\r\nhello", "HTTP/1.1 205\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: close, Y\r\nY: 1\r\nTransfer-Encoding\t: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\nHTTP", "HTTP/1.1 304 x\r\nContent-Length: 05\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	lim := codec.DefaultLimits()
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, c := range responseClients {
			checkForwardedResponse(t, in, c.method, c.v, &lim)
		}
	})
}

// The same, for messages that random bytes hardly ever make.
func TestWhatGoesOnIsReadTheSameByNetHTTP(t *testing.T) {
	rounds := 20000
	if testing.Short() {
		rounds = 2000
	}
	rnd := rand.New(rand.NewPCG(9110, 9112))
	lim := codec.DefaultLimits()
	requests, responses := 0, 0
	for range rounds {
		if checkForwardedRequest(t, compose(rnd, "POST / HTTP/1.1\r\nHost: a\r\n", "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n", "PUT / HTTP/1.0\r\nContent-Length: 5\r\n"), &lim) {
			requests++
		}
		in := compose(rnd, "HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 204 x\r\n", "HTTP/1.1 205 x\r\n", "HTTP/1.1 304 x\r\n", "HTTP/1.1 103 x\r\n")
		for _, c := range responseClients {
			if checkForwardedResponse(t, in, c.method, c.v, &lim) {
				responses++
			}
		}
	}
	if requests < rounds/50 || responses < rounds/50 {
		t.Errorf("only %d requests and %d responses of %d were whole, so that little was shown", requests, responses, rounds)
	}
}
