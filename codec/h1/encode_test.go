package h1

import (
	"bytes"
	"strings"
	"testing"

	"sluice/codec"
)

func mustRequest(tb testing.TB, in string) *codec.Request {
	tb.Helper()
	lim := codec.DefaultLimits()
	req := new(codec.Request)
	req.Reset([]byte(in))
	if n, err := ParseRequest([]byte(in), req, &lim); n == 0 || err != nil {
		tb.Fatal(n, err)
	}
	return req
}

func mustResponse(tb testing.TB, in string, method codec.Method) *codec.Response {
	tb.Helper()
	lim := codec.DefaultLimits()
	resp := new(codec.Response)
	resp.Reset([]byte(in))
	if n, err := ParseResponse([]byte(in), resp, method, &lim); n == 0 || err != nil {
		tb.Fatal(n, err)
	}
	return resp
}

func TestRequestHeadKeepsOrderAndSpelling(t *testing.T) {
	const in = "GET /a?b HTTP/1.1\r\nhOST: a\r\nX-One:1\r\nx-two: 2\r\nX-ONE: 3\r\nX-None:\r\n\r\n"
	if got := string(AppendRequestHead(nil, mustRequest(t, in), "node")); got != in {
		t.Errorf("got %q", got)
	}
	// White space around a value is no part of it (RFC 9110 §5.5).
	spaced := strings.NewReplacer("hOST: a", "hOST:\ta", "x-two: 2", "x-two:\t 2 ", ": 3", ": 3\t").Replace(in)
	if got := string(AppendRequestHead(nil, mustRequest(t, spaced), "node")); got != in {
		t.Errorf("got %q", got)
	}
}

func TestRequestHeadIsWrittenFromItsParts(t *testing.T) {
	tests := []struct {
		name, in string
		change   func(*codec.Request)
		want     string
	}{
		{"an old client's request is HTTP/1.1 with a host", "GET / HTTP/1.0\r\nX: 1\r\n\r\n", nil,
			"GET / HTTP/1.1\r\nHost: node\r\nX: 1\r\n\r\n"},
		{"an empty body of HTTP/2 has its length where content is the rule", "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
			func(r *codec.Request) { r.Version = codec.HTTP2 }, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
		{"and elsewhere none", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
			func(r *codec.Request) { r.Version = codec.HTTP2 }, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"what a client of HTTP/1.1 did not say is not said for it", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", nil,
			"POST / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"the host of an absolute target is added", "GET http://b/x HTTP/1.0\r\n\r\n", nil,
			"GET /x HTTP/1.1\r\nHost: b\r\n\r\n"},
		{"the host of an absolute target stands where the field stood", "GET http://b/x HTTP/1.1\r\nX: 1\r\nHost: a\r\nY: 2\r\n\r\n", nil,
			"GET /x HTTP/1.1\r\nX: 1\r\nHost: b\r\nY: 2\r\n\r\n"},
		{"hop-by-hop fields go", "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\nX: 1\r\nY: 2\r\nTE: trailers\r\n\r\n",
			func(r *codec.Request) { r.Header.StripHopByHop() }, "GET / HTTP/1.1\r\nHost: a\r\nY: 2\r\n\r\n"},
		{"added fields come last", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			func(r *codec.Request) { r.Header.Add("X-Real-IP", []byte("192.0.2.1")) }, "GET / HTTP/1.1\r\nHost: a\r\nX-Real-IP: 192.0.2.1\r\n\r\n"},
		{"replaced fields keep their place", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\nx: 3\r\n\r\n",
			func(r *codec.Request) { r.Header.Set("X", []byte("4")) }, "GET / HTTP/1.1\r\nHost: a\r\nX: 4\r\nY: 2\r\n\r\n"},
		{"a length keeps its place and gets its canonical value", "POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH:  005\r\nX: 1\r\n\r\n", nil,
			"POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 5\r\nX: 1\r\n\r\n"},
		{"so does a coding", "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:\tCHUNKED\r\nX: 1\r\n\r\n", nil,
			"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\nX: 1\r\n\r\n"},
		{"a length that no longer holds makes room for a coding", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: 1\r\n\r\n",
			func(r *codec.Request) { r.Framing = codec.Framing{Kind: codec.BodyStream} }, "POST / HTTP/1.1\r\nHost: a\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"a coding makes room for a length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: 1\r\n\r\n",
			func(r *codec.Request) { r.Framing = codec.Framing{Kind: codec.BodyLength, Length: 5} }, "POST / HTTP/1.1\r\nHost: a\r\nX: 1\r\nContent-Length: 5\r\n\r\n"},
		{"a body that was taken away leaves no framing", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
			func(r *codec.Request) { r.Framing = codec.Framing{} }, "POST / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"a length that was added by hand does not count", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
			func(r *codec.Request) { r.Header.Add("Content-Length", []byte("6")) }, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"},
		{"a removed length is written again", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: 1\r\n\r\n",
			func(r *codec.Request) { r.Header.RemoveID(codec.FieldContentLength) }, "POST / HTTP/1.1\r\nHost: a\r\nX: 1\r\nContent-Length: 5\r\n\r\n"},
		{"another target and method", "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
			func(r *codec.Request) { r.SetTarget([]byte("/b?c")); r.SetMethod([]byte("PUT")) }, "PUT /b?c HTTP/1.1\r\nHost: a\r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := mustRequest(t, tt.in)
			if tt.change != nil {
				tt.change(req)
			}
			if got := string(AppendRequestHead([]byte("before "), req, "node")); got != "before "+tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestResponseHeadIsWrittenForItsClient(t *testing.T) {
	length := func(n int64) codec.Framing { return codec.Framing{Kind: codec.BodyLength, Length: n} }
	stream, untilClose := codec.Framing{Kind: codec.BodyStream}, codec.Framing{Kind: codec.BodyClose}
	tests := []struct {
		name   string
		method codec.Method
		in     string
		opts   ResponseOptions
		want   string
	}{
		{"as it came", codec.MethodGet, "HTTP/1.1 200 Fine\r\nServer: x\r\ncontent-length: 05\r\nX:1\r\n\r\n",
			ResponseOptions{codec.HTTP11, true, length(5)}, "HTTP/1.1 200 Fine\r\nServer: x\r\ncontent-length: 5\r\nX:1\r\n\r\n"},
		{"without white space before colons", codec.MethodGet, "HTTP/1.1 200 OK\r\nA:1\r\nX :1\r\nB:1\r\nTransfer-Encoding\t: chunked\r\n\r\n", // RFC 9112 §5.1
			ResponseOptions{codec.HTTP11, true, stream}, "HTTP/1.1 200 OK\r\nA:1\r\nX: 1\r\nB:1\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"the standard reason where there was none", codec.MethodGet, "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
			ResponseOptions{codec.HTTP11, true, length(0)}, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"},
		{"no reason at all", codec.MethodGet, "HTTP/1.1 299\r\nContent-Length: 0\r\n\r\n",
			ResponseOptions{codec.HTTP11, true, length(0)}, "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n"},
		{"until close becomes chunked", codec.MethodGet, "HTTP/1.0 200 OK\r\nX: 1\r\n\r\n",
			ResponseOptions{codec.HTTP11, true, stream}, "HTTP/1.1 200 OK\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"chunked becomes until close for an old client", codec.MethodGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: 1\r\n\r\n",
			ResponseOptions{codec.HTTP10, false, untilClose}, "HTTP/1.1 200 OK\r\nX: 1\r\nConnection: close\r\n\r\n"},
		{"close", codec.MethodGet, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
			ResponseOptions{codec.HTTP11, false, length(0)}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"the node's close is not the client's", codec.MethodGet, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
			ResponseOptions{codec.HTTP11, true, length(0)}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"keep-alive for an old client", codec.MethodGet, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			ResponseOptions{codec.HTTP10, true, length(0)}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"},
		{"head keeps its length", codec.MethodHead, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
			ResponseOptions{codec.HTTP11, true, codec.Framing{}}, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
		{"head loses its coding", codec.MethodHead, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: 1\r\n\r\n",
			ResponseOptions{codec.HTTP11, true, codec.Framing{}}, "HTTP/1.1 200 OK\r\nX: 1\r\n\r\n"},
		{"304 keeps its length", codec.MethodGet, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
			ResponseOptions{codec.HTTP11, true, codec.Framing{}}, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n"},
		{"204 has no framing", codec.MethodGet, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
			ResponseOptions{codec.HTTP11, true, length(0)}, "HTTP/1.1 204 No Content\r\n\r\n"},
		{"1xx has none either, and says nothing of the connection", codec.MethodGet, "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n",
			ResponseOptions{codec.HTTP10, true, length(0)}, "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"},
		{"upgrade is named by connection", codec.MethodGet, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n", // RFC 9110 §7.8
			ResponseOptions{codec.HTTP11, true, length(0)}, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nContent-Length: 0\r\nConnection: upgrade\r\n\r\n"},
		{"beside close", codec.MethodGet, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n",
			ResponseOptions{codec.HTTP11, false, length(0)}, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nContent-Length: 0\r\nConnection: close, upgrade\r\n\r\n"},
		{"101 keeps the caller's connection field", codec.MethodGet, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
			ResponseOptions{codec.HTTP11, false, codec.Framing{}}, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := mustResponse(t, tt.in, tt.method)
			if got := string(AppendResponseHead(nil, resp, tt.opts)); got != tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestResponseHeadIsWrittenFromNothing(t *testing.T) {
	var resp codec.Response
	resp.Reset(nil)
	resp.Status = 503
	resp.Header.Add("Server", []byte("sluice"))
	got := AppendResponseHead(nil, &resp, ResponseOptions{codec.HTTP11, true, codec.Framing{Kind: codec.BodyLength, Length: 3}})
	if want := "HTTP/1.1 503 Service Unavailable\r\nServer: sluice\r\nContent-Length: 3\r\n\r\n"; string(got) != want {
		t.Errorf("got %q", got)
	}
}

func TestClientFramingSuitsTheClient(t *testing.T) {
	none, empty, length := codec.Framing{}, codec.Framing{Kind: codec.BodyLength}, codec.Framing{Kind: codec.BodyLength, Length: 3}
	stream, untilClose := codec.Framing{Kind: codec.BodyStream}, codec.Framing{Kind: codec.BodyClose}
	for _, tt := range []struct {
		status int
		in     codec.Framing
		m      codec.Method
		v      codec.Version
		want   codec.Framing
	}{
		{200, length, codec.MethodGet, codec.HTTP11, length}, {200, length, codec.MethodGet, codec.HTTP10, length},
		{200, stream, codec.MethodGet, codec.HTTP11, stream}, {200, stream, codec.MethodGet, codec.HTTP10, untilClose},
		{200, untilClose, codec.MethodGet, codec.HTTP11, stream}, {200, untilClose, codec.MethodGet, codec.HTTP10, untilClose},
		{200, none, codec.MethodGet, codec.HTTP11, empty}, {404, none, codec.MethodPost, codec.HTTP10, empty}, {205, none, codec.MethodGet, codec.HTTP11, empty},
		{200, none, codec.MethodHead, codec.HTTP11, none}, {204, none, codec.MethodGet, codec.HTTP11, none}, {304, none, codec.MethodGet, codec.HTTP11, none},
		{101, none, codec.MethodGet, codec.HTTP11, none},
	} {
		if got := ClientFraming(&codec.Response{Status: tt.status, Framing: tt.in}, tt.m, tt.v); got != tt.want {
			t.Errorf("%d, %+v to %v in %v: %+v", tt.status, tt.in, tt.m, tt.v, got)
		}
	}
}

func TestChunksAreWrittenAsTheyAreRead(t *testing.T) {
	var trailer codec.Header
	trailer.Add("X-Checksum", []byte("abc"))
	trailer.Add("Content-Length", []byte("5")) // may not stand there
	trailer.Add("Gone", []byte("1"))
	trailer.RemoveName("gone")
	b := AppendChunkHeader(nil, 26)
	b = append(b, "abcdefghijklmnopqrstuvwxyz"...)
	b = AppendLastChunk(AppendChunkEnd(b), &trailer)
	if want := "1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX-Checksum: abc\r\n\r\n"; string(b) != want {
		t.Errorf("got %q", b)
	}
	if got := AppendLastChunk(nil, nil); string(got) != "0\r\n\r\n" {
		t.Errorf("got %q", got)
	}
	if got := AppendContinue(nil); string(got) != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Errorf("got %q", got)
	}
}

// The data path allocates nothing once its buffers have grown.
func TestNothingIsAllocated(t *testing.T) {
	lim := codec.DefaultLimits()
	reqBuf, respBuf := []byte(browserGET), []byte(nodeResponse)
	absolute := []byte("GET http://b.example?q HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	body := []byte("5;a=\"b\"\r\nhello\r\n0\r\nX: 1\r\n\r\n")
	var req codec.Request
	var resp codec.Response
	var d BodyDecoder
	dst := make([]byte, 0, 8192)
	allocs := testing.AllocsPerRun(100, func() {
		for _, buf := range [][]byte{reqBuf, absolute} {
			req.Reset(buf)
			for _, cut := range []int{20, len(buf) / 2, len(buf)} {
				if _, err := ParseRequest(buf[:cut], &req, &lim); err != nil {
					t.Fatal(err)
				}
			}
			req.Header.StripHopByHop()
			req.Header.Add("X-Forwarded-For", []byte("192.0.2.1"))
			dst = AppendRequestHead(dst[:0], &req, "node")
		}
		resp.Reset(respBuf)
		if _, err := ParseResponse(respBuf, &resp, codec.MethodGet, &lim); err != nil {
			t.Fatal(err)
		}
		dst = AppendResponseHead(dst[:0], &resp, ResponseOptions{codec.HTTP11, false, resp.Framing})
		d.Reset(chunked, &lim)
		for rest := body; !d.Done(); {
			_, n, err := d.Next(rest)
			if n == 0 || err != nil {
				t.Fatal(n, err)
			}
			rest = rest[n:]
		}
		dst = AppendLastChunk(AppendChunkHeader(dst[:0], 5), d.Trailer())
	})
	if allocs != 0 {
		t.Errorf("%v allocations per run", allocs)
	}
	if !bytes.Contains(dst, []byte("X: 1")) {
		t.Errorf("got %q", dst)
	}
}
