package h1

import (
	"strings"
	"testing"

	"sluice/codec"
	"sluice/codec/codectest"
)

func parseResponseSplit(t *testing.T, in string, method codec.Method) string {
	t.Helper()
	lim := codec.DefaultLimits()
	return codectest.Splits(t, []byte(in), func() codectest.Run { return responseRun(method, &lim) })
}

// RFC 9112 §6.3: which of the rules gives the length of the body.
func TestResponsesAreFramedByStatusMethodAndFields(t *testing.T) {
	tests := []struct {
		name   string
		method codec.Method
		in     string
		want   string // after the line with the number of bytes
	}{
		{"a length", codec.MethodGet, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
			"HTTP/1.1 200 \"OK\"\nbody length 5, keep-alive\nContent-Length: \"5\"\n"},
		{"chunked", codec.MethodGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
			"HTTP/1.1 200 \"OK\"\nbody stream, keep-alive\nTransfer-Encoding: \"Chunked\"\n"},
		{"until close", codec.MethodGet, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n",
			"HTTP/1.1 200 \"OK\"\nbody close\nConnection: \"keep-alive\"\n"},
		{"head keeps its length as information", codec.MethodHead, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
			"HTTP/1.1 200 \"OK\"\nbody none, keep-alive\nContent-Length: \"5\"\n"},
		{"head with nothing", codec.MethodHead, "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 \"OK\"\nbody none, keep-alive\n"},
		{"304 keeps its length as information", codec.MethodGet, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
			"HTTP/1.1 304 \"Not Modified\"\nbody none, keep-alive\nContent-Length: \"5\"\n"},
		{"204", codec.MethodGet, "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 \"No Content\"\nbody none, keep-alive\n"},
		{"204 with an empty body", codec.MethodGet, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 204 \"No Content\"\nbody none, keep-alive\n"},
		{"204 with a body cannot be followed by anything", codec.MethodGet, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nX: 1\r\n\r\n",
			"HTTP/1.1 204 \"No Content\"\nbody none\nX: \"1\"\n"},
		{"205 with a body neither", codec.MethodGet, "HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\n",
			"HTTP/1.1 205 \"Reset Content\"\nbody length 0\nContent-Length: \"5\"\n"},
		{"nor one whose body is chunked", codec.MethodGet, "HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n",
			"HTTP/1.1 205 \"Reset Content\"\nbody length 0\nTransfer-Encoding: \"chunked\"\n"},
		{"205", codec.MethodGet, "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 205 \"Reset Content\"\nbody length 0, keep-alive\nContent-Length: \"0\"\n"},
		{"1xx with a coding cannot either", codec.MethodGet, "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\nLink: x\r\n\r\n",
			"HTTP/1.1 103 \"Early Hints\"\nbody none\nLink: \"x\"\n"},
		{"100", codec.MethodPost, "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 \"Continue\"\nbody none, keep-alive\n"},
		{"101", codec.MethodGet, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
			"HTTP/1.1 101 \"Switching Protocols\"\nbody none, keep-alive\nConnection: \"upgrade\"\nUpgrade: \"websocket\"\n"},
		{"connect", codec.MethodConnect, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 \"OK\"\nbody none\n"},
		{"close", codec.MethodGet, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
			"HTTP/1.1 200 \"OK\"\nbody length 0\nContent-Length: \"0\"\nConnection: \"close\"\n"},
		{"http/1.0", codec.MethodGet, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.0 200 \"OK\"\nbody length 0\nContent-Length: \"0\"\n"},
		{"http/1.0 keep-alive", codec.MethodGet, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
			"HTTP/1.0 200 \"OK\"\nbody length 0, keep-alive\nContent-Length: \"0\"\nConnection: \"keep-alive\"\n"},
		{"a minor version of the future", codec.MethodGet, "HTTP/1.9 200 OK\r\nContent-Length: 0\r\n\r\n", // RFC 9110 §2.5
			"HTTP/1.1 200 \"OK\"\nbody length 0, keep-alive\nContent-Length: \"0\"\n"},
		{"no reason", codec.MethodGet, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 200 \"\"\nbody length 0, keep-alive\nContent-Length: \"0\"\n"},
		{"no reason and no space", codec.MethodGet, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 200 \"\"\nbody length 0, keep-alive\nContent-Length: \"0\"\n"},
		// RFC 9112 §5.1
		{"white space before colons", codec.MethodGet, "HTTP/1.1 200 OK\r\nX \t: 1\r\nContent-Length : 5\r\nY\t:\r\n\r\n",
			"HTTP/1.1 200 \"OK\"\nbody length 5, keep-alive\nX: \"1\"\nContent-Length: \"5\"\nY: \"\"\n"},
		{"a reason with everything", codec.MethodGet, "HTTP/1.1 599  a\tb \xe9\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 599 \" a\\tb \\xe9\"\nbody length 0, keep-alive\nContent-Length: \"0\"\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, got, _ := strings.Cut(parseResponseSplit(t, tt.in, tt.method), "\n")
			if got != tt.want {
				t.Errorf("%s\n%s\nwant\n%s", n, got, tt.want)
			}
		})
	}
}

func TestMalformedResponsesAreRefused(t *testing.T) {
	field := func(f string) string { return "HTTP/1.1 200 OK\r\n" + f + "\r\n\r\n" }
	tests := []struct {
		in   string
		want error
	}{
		{"\r\nHTTP/1.1 200 OK\r\n\r\n", ErrStatusLine}, {" HTTP/1.1 200 OK\r\n\r\n", ErrStatusLine}, {"HTTP 200 OK\r\n\r\n", ErrStatusLine},
		{"http/1.1 200 OK\r\n\r\n", ErrStatusLine}, {"HTTP/1.1\t200 OK\r\n\r\n", ErrStatusLine}, {"HTTP/1.x 200 OK\r\n\r\n", ErrStatusLine},
		{"HTTP/1.10 200 OK\r\n\r\n", ErrStatusLine}, {"HTTP/x.1 200 OK\r\n\r\n", ErrStatusLine}, {"200 OK\r\n\r\n", ErrStatusLine},
		{"HTTP/0.9 200 OK\r\n\r\n", ErrVersionUnsupported}, {"HTTP/2.0 200 OK\r\n\r\n", ErrVersionUnsupported},
		{"HTTP/1.1  200 OK\r\n\r\n", ErrStatus}, {"HTTP/1.1 20 OK\r\n\r\n", ErrStatus}, {"HTTP/1.1 2000 OK\r\n\r\n", ErrStatus}, {"HTTP/1.1 000 OK\r\n\r\n", ErrStatus},
		{"HTTP/1.1 099 OK\r\n\r\n", ErrStatus}, {"HTTP/1.1 600 OK\r\n\r\n", ErrStatus}, {"HTTP/1.1 999 OK\r\n\r\n", ErrStatus}, {"HTTP/1.1 -20 OK\r\n\r\n", ErrStatus},
		{"HTTP/1.1 2x0 OK\r\n\r\n", ErrStatus}, {"HTTP/1.1 200\tOK\r\n\r\n", ErrStatus}, {"HTTP/1.1 200OK\r\n\r\n", ErrStatus}, {"HTTP/1.1 \r\n\r\n", ErrStatus},
		{"HTTP/1.1 200\n\r\n", ErrBareLF}, {"HTTP/1.1 200 OK\n\r\n", ErrBareLF}, {"HTTP/1.1 200 OK\rX", ErrBareCR}, {"HTTP/1.1 200\rX", ErrBareCR},
		{"HTTP/1.1 200 O\x00K\r\n\r\n", ErrReason}, {"HTTP/1.1 200 OK\x7f\r\n\r\n", ErrReason}, {"HTTP/1.1 200 \x1b[2J\r\n\r\n", ErrReason},
		{field("X Y: 1"), ErrSpaceBeforeColon}, {field("X "), ErrSpaceBeforeColon}, {field("X: 1\r\n 2"), ErrFold}, {field("X: 1\nY: 2"), ErrBareLF}, {field("X: a\x00"), ErrValue}, {field(" X: 1"), ErrLeadingSpace},
		{field("Content-Length: 5\r\nContent-Length: 5"), ErrContentLengthDuplicate}, {field("Content-Length: 5, 5"), ErrContentLength}, {field("Content-Length: -5"), ErrContentLength},
		{field("Content-Length: 5\r\nTransfer-Encoding: chunked"), ErrLengthAndCoding}, {field("Transfer-Encoding: chunked\r\nContent-Length: 5"), ErrLengthAndCoding},
		{field("Transfer-Encoding: gzip"), ErrChunkedNotFinal}, {field("Transfer-Encoding: identity"), ErrChunkedNotFinal}, {field("Transfer-Encoding: gzip, chunked"), ErrCodingUnsupported},
		{field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), ErrTransferEncodingDuplicate}, {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ErrTransferEncodingVersion},
		{field("Host: a\r\nHost: /\r\nExpect: x\r\nContent-Length: 0"), nil}, // fields that mean nothing in a response
	}
	for _, tt := range tests {
		for _, method := range []codec.Method{codec.MethodGet, codec.MethodHead} {
			got := parseResponseSplit(t, tt.in, method)
			switch reason, refused := strings.CutPrefix(got, "reject: "); {
			case tt.want == nil && (refused || got == "unfinished"):
				t.Errorf("%q: %s, want it accepted", tt.in, got)
			case tt.want != nil && reason != tt.want.Error():
				t.Errorf("%q:\n%s\nwant %v", tt.in, got, tt.want)
			}
		}
	}
}

func TestStatusLineLimitIsExact(t *testing.T) {
	lim := codec.Limits{RequestLine: 15, Headers: 30, HeaderCount: 3}
	for in, want := range map[string]error{
		"HTTP/1.1 200 OK\r\n\r\n":  nil,
		"HTTP/1.1 200 OKK\r\n\r\n": ErrLineTooLong,
		"HTTP/1.1 200 OKKKKKKK":    ErrLineTooLong,
	} {
		got := codectest.Splits(t, []byte(in), func() codectest.Run { return responseRun(codec.MethodGet, &lim) })
		if reason, refused := strings.CutPrefix(got, "reject: "); refused != (want != nil) || refused && reason != want.Error() {
			t.Errorf("%q: %s, want %v", in, got, want)
		}
	}
}
