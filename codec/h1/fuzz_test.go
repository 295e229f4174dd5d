package h1

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/codec"
	"sluice/codec/codectest"
)

// seed adds the fixtures that are parsed in one way, and some messages that are fine.
func seed(f *testing.F, how string, more ...string) {
	for _, name := range fixtures(f, "*."+how) {
		b, err := os.ReadFile(filepath.Clean(name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint16(len(b)/2))
	}
	for _, s := range more {
		f.Add([]byte(s), uint16(len(s)/3))
	}
}

// cutTwice runs a parser over in whole, and over in cut at one point and after the next byte, and fails where the outcomes differ.
func cutTwice(t *testing.T, in []byte, cut uint16, start func() codectest.Run) (whole string) {
	whole, _ = start()(in)
	run := start()
	at := min(int(cut), len(in))
	var got string
	for _, n := range []int{at, min(at+1, len(in)), len(in)} {
		b := bytes.Clone(in[:n])
		var done bool
		if got, done = run(b[:n:n]); done {
			break
		}
	}
	if got != whole {
		t.Fatalf("cut at %d: %s\nwhole: %s", at, got, whole)
	}
	return whole
}

// What is accepted must mean the same to the next parser: when it is written and parsed again, and to net/http.
func FuzzParseRequest(f *testing.F) {
	seed(f, "request", browserGET, wrkGET, "\r\nOPTIONS http://b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: x\r\nX: 1\r\n\r\nabc",
		"POST /a?b HTTP/1.0\r\nContent-Length: 07\r\n\r\n", "PUT http://[::1]:80?x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	lim := codec.DefaultLimits()
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		whole := cutTwice(t, in, cut, func() codectest.Run { return requestRun(&lim) })
		if whole == "unfinished" || strings.HasPrefix(whole, "reject: ") {
			return
		}
		req := mustRequest(t, string(in))
		if req.Header.FindID(codec.FieldContentLength) >= 0 && req.Header.FindID(codec.FieldTransferEncoding) >= 0 {
			t.Fatal("two framings")
		}
		head := AppendRequestHead(nil, req, "node")
		again := new(codec.Request)
		again.Reset(head)
		roomy := codec.Limits{RequestLine: 2 * lim.RequestLine, Headers: 2 * lim.Headers, HeaderCount: lim.HeaderCount + 1}
		n, err := ParseRequest(head, again, &roomy)
		host := hostOf(req)
		if n != len(head) || err != nil {
			t.Fatalf("own head is not parsed: %d, %v: %q", n, err, head)
		}
		if !bytes.Equal(again.MethodBytes(), req.MethodBytes()) || !bytes.Equal(again.Target(), req.Target()) || string(again.Host()) != host ||
			!bytes.Equal(again.Path(), req.Path()) || !bytes.Equal(again.Query(), req.Query()) || again.Framing != req.Framing {
			t.Fatalf("parsed again it is another request: %q", head)
		}
		if second := AppendRequestHead(nil, again, "node"); !bytes.Equal(second, head) {
			t.Fatalf("written again it is another head:\n%q\n%q", head, second)
		}
		agreeWithNetHTTP(t, head, again)
	})
}

// agreeWithNetHTTP compares req with what net/http reads in its head, where that accepts it.
func agreeWithNetHTTP(t *testing.T, head []byte, req *codec.Request) {
	other, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return // net/http checks escapes and more in the target
	}
	var f codec.Framing
	switch {
	case len(other.TransferEncoding) > 0:
		f.Kind = codec.BodyStream
	case other.ContentLength > 0:
		f = codec.Framing{Kind: codec.BodyLength, Length: other.ContentLength}
	}
	mine := req.Framing
	if !mine.HasBody() {
		mine = codec.Framing{}
	}
	if other.Method != string(req.MethodBytes()) || other.Host != hostOf(req) || f != mine {
		t.Fatalf("net/http reads %s %s %+v in %q", other.Method, other.Host, f, head)
	}
}

// hostOf returns the host that the head of req names when it is written for "node".
func hostOf(req *codec.Request) string {
	if len(req.Host()) == 0 { // an old client's request
		return "node"
	}
	return string(req.Host())
}

func FuzzParseResponse(f *testing.F) {
	seed(f, "response", nodeResponse, "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nX:\t1\r\n\r\n", "HTTP/1.0 304 x\r\nContent-Length: 05\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
	lim := codec.DefaultLimits()
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		for _, method := range []codec.Method{codec.MethodGet, codec.MethodHead} {
			whole := cutTwice(t, in, cut, func() codectest.Run { return responseRun(method, &lim) })
			if whole == "unfinished" || strings.HasPrefix(whole, "reject: ") {
				continue
			}
			resp := mustResponse(t, string(in), method)
			opts := ResponseOptions{Version: codec.HTTP11, KeepAlive: true, Framing: ClientFraming(resp, method, codec.HTTP11)}
			head := AppendResponseHead(nil, resp, opts)
			again := new(codec.Response)
			again.Reset(head)
			roomy := codec.Limits{RequestLine: 2 * lim.RequestLine, Headers: 2 * lim.Headers, HeaderCount: lim.HeaderCount + 1}
			if n, err := ParseResponse(head, again, method, &roomy); n != len(head) || err != nil {
				t.Fatalf("own head is not parsed: %d, %v: %q", n, err, head)
			}
			if again.Status != resp.Status || again.Framing != opts.Framing || again.Version != codec.HTTP11 {
				t.Fatalf("parsed again it is another response: %q", head)
			}
			if second := AppendResponseHead(nil, again, opts); !bytes.Equal(second, head) {
				t.Fatalf("written again it is another head:\n%q\n%q", head, second)
			}
		}
	})
}

// What is decoded must be decoded again from what is encoded, trailer included.
func FuzzChunked(f *testing.F) {
	seed(f, "chunked", "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\nnext", "1 ;a=\"\\\"\"\r\nx\r\n0\r\nX: 1\r\nHost: a\r\n\r\n")
	lim := codec.DefaultLimits()
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		whole := cutTwice(t, in, cut, func() codectest.Run { return bodyRun(chunked, len(in), &lim) })
		if strings.Contains(whole, "reject: ") {
			return
		}
		var d BodyDecoder
		d.Reset(chunked, &lim)
		var out []byte
		for rest := in; !d.Done(); {
			data, n, err := d.Next(rest)
			if n == 0 || err != nil {
				t.Fatal(n, err)
			}
			if len(data) > 0 {
				out = AppendChunkEnd(append(AppendChunkHeader(out, len(data)), data...))
			}
			rest = rest[n:]
		}
		out = AppendLastChunk(out, d.Trailer())
		again, _ := bodyRun(chunked, len(out), &lim)(out)
		if content(again) != content(whole) {
			t.Fatalf("encoded again it is another body:\n%s\n%s", whole, again)
		}
	})
}

// content is the outcome of a bodyRun without the position of its end.
func content(outcome string) string {
	first, trailer, _ := strings.Cut(outcome, "\n")
	return first[:strings.LastIndex(first, " at ")] + "\n" + trailer
}
