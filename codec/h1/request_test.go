package h1

import (
	"fmt"
	"strings"
	"testing"

	"sluice/codec"
	"sluice/codec/codectest"
)

// parseSplit parses in under every split with the default limits and returns the common outcome.
func parseSplit(t *testing.T, in string) string {
	t.Helper()
	lim := codec.DefaultLimits()
	return codectest.Splits(t, []byte(in), func() codectest.Run { return requestRun(&lim) })
}

func TestRequestsAreTakenApart(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"origin form", "GET /a/b?c=d?e HTTP/1.1\r\nHost: example.com:8080\r\n\r\nrest",
			"GET 1 /a/b?c=d?e HTTP/1.1\nhost \"example.com:8080\" path \"/a/b\" query \"c=d?e\"\nbody none, keep-alive\nHost: \"example.com:8080\"\n"},
		{"an empty line is skipped", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", // RFC 9112 §2.2
			"GET 1 / HTTP/1.1\nhost \"a\" path \"/\" query \"\"\nbody none, keep-alive\nHost: \"a\"\n"},
		{"and so are more", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET 1 / HTTP/1.1\nhost \"a\" path \"/\" query \"\"\nbody none, keep-alive\nHost: \"a\"\n"},
		{"white space around a value", "GET / HTTP/1.1\r\nHost:\t a \t\r\nX:\r\nY: \t \r\nZ:b\tc\r\n\r\n", // RFC 9112 §5.1
			"GET 1 / HTTP/1.1\nhost \"a\" path \"/\" query \"\"\nbody none, keep-alive\nHost: \"a\"\nX: \"\"\nY: \"\"\nZ: \"b\\tc\"\n"},
		{"a length", "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 0012\r\n\r\n", // RFC 9110 §8.6
			"POST 3 / HTTP/1.1\nhost \"a\" path \"/\" query \"\"\nbody length 12, keep-alive\nHost: \"a\"\ncontent-length: \"0012\"\n"},
		{"chunked in any case", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ChunKed\t\r\n\r\n", // RFC 9112 §7
			"POST 3 / HTTP/1.1\nhost \"a\" path \"/\" query \"\"\nbody stream, keep-alive\nHost: \"a\"\nTransfer-Encoding: \"ChunKed\"\n"},
		{"http/1.0 without host", "GET / HTTP/1.0\r\n\r\n", // RFC 9112 §3.2
			"GET 1 / HTTP/1.0\nhost \"\" path \"/\" query \"\"\nbody none\n"},
		{"http/1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: foo, Keep-Alive\r\n\r\n", // RFC 9112 §9.3
			"GET 1 / HTTP/1.0\nhost \"\" path \"/\" query \"\"\nbody none, keep-alive\nConnection: \"foo, Keep-Alive\"\n"},
		{"close wins", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: ,x,\tCLOSE ,\r\n\r\n", // RFC 9112 §9.3
			"GET 1 / HTTP/1.1\nhost \"a\" path \"/\" query \"\"\nbody none\nHost: \"a\"\nConnection: \"keep-alive\"\nConnection: \",x,\\tCLOSE ,\"\n"},
		{"an expectation with a body", "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n", // RFC 9110 §10.1.1
			"PUT 4 / HTTP/1.1\nhost \"a\" path \"/\" query \"\"\nbody length 1, keep-alive, expect\nHost: \"a\"\nExpect: \"100-Continue\"\nContent-Length: \"1\"\n"},
		{"an expectation without a body", "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
			"PUT 4 / HTTP/1.1\nhost \"a\" path \"/\" query \"\"\nbody length 0, keep-alive\nHost: \"a\"\nExpect: \"100-continue\"\nContent-Length: \"0\"\n"},
		{"http/1.0 ignores expectations", "PUT / HTTP/1.0\r\nExpect: anything\r\nContent-Length: 1\r\n\r\n",
			"PUT 4 / HTTP/1.0\nhost \"\" path \"/\" query \"\"\nbody length 1\nContent-Length: \"1\"\n"},
		// Names that CGI cannot tell from others, RFC 3875 §4.1.18; other underscores go on.
		{"fields that look like others go no further", "PUT / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\nX_Y: 1\r\ntransfer_encoding: chunked\r\nX_Forwarded_For: 127.0.0.1\r\n_: 2\r\n\r\n",
			"PUT 4 / HTTP/1.1\nhost \"a\" path \"/\" query \"\"\nbody none, keep-alive\nHost: \"a\"\nX_Y: \"1\"\n_: \"2\"\n"},
		{"an upgrade", "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n", // RFC 9110 §7.8
			"GET 1 /ws HTTP/1.1\nhost \"a\" path \"/ws\" query \"\"\nbody none, keep-alive, upgrade\nHost: \"a\"\nConnection: \"keep-alive, Upgrade\"\nUpgrade: \"websocket\"\n"},
		{"upgrade that connection does not name", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
			"GET 1 / HTTP/1.1\nhost \"a\" path \"/\" query \"\"\nbody none, keep-alive\nHost: \"a\"\nUpgrade: \"websocket\"\n"},
		{"http/1.0 cannot upgrade", "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
			"GET 1 / HTTP/1.0\nhost \"\" path \"/\" query \"\"\nbody none\nConnection: \"upgrade\"\nUpgrade: \"websocket\"\n"},
		{"asterisk form", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", // RFC 9112 §3.2.4
			"OPTIONS 7 * HTTP/1.1\nhost \"a\" path \"*\" query \"\"\nbody none, keep-alive\nHost: \"a\"\n"},
		{"a method nobody knows", "M-SEARCH /x HTTP/1.1\r\nHost: a\r\n\r\n",
			"M-SEARCH 0 /x HTTP/1.1\nhost \"a\" path \"/x\" query \"\"\nbody none, keep-alive\nHost: \"a\"\n"},
		{"bytes that browsers send", "GET /a|b\"{}^`\\<>/\xc3\xa9?q=[\xff]|{} HTTP/1.1\r\nHost: a\r\nX: \xe9\xff\r\n\r\n",
			"GET 1 /a|b\"{}^`\\<>/\xc3\xa9?q=[\xff]|{} HTTP/1.1\nhost \"a\" path \"/a|b\\\"{}^`\\\\<>/é\" query \"q=[\\xff]|{}\"\nbody none, keep-alive\nHost: \"a\"\nX: \"\\xe9\\xff\"\n"},
		{"all bytes of a token in a name", "GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~09azAZ: 1\r\n\r\n", // RFC 9110 §5.6.2
			"GET 1 / HTTP/1.1\nhost \"a\" path \"/\" query \"\"\nbody none, keep-alive\nHost: \"a\"\n!#$%&'*+-.^_`|~09azAZ: \"1\"\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			head := strings.LastIndex(tt.in, "\r\n\r\n") + 4
			if got, want := parseSplit(t, tt.in), fmt.Sprintf("%d bytes\n%s", head, tt.want); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// RFC 9112 §3.2.2: the authority of the target counts, the Host field is made equal to it, and what goes on is in origin form.
func TestAbsoluteTargetsOverruleHost(t *testing.T) {
	tests := []struct{ line, host, wantTarget, wantHost, wantPath, wantQuery string }{
		{"GET http://b.example/x?y", "a", "/x?y", "b.example", "/x", "y"},
		{"GET HTTP://b.example:81/x", "a", "/x", "b.example:81", "/x", ""},
		{"GET https://b", "b", "/", "b", "/", ""},
		{"GET http://b?q=/r", "a", "/?q=/r", "b", "/", "q=/r"},
		{"GET http://[::1]:8080/", "a", "/", "[::1]:8080", "/", ""},
		{"OPTIONS http://b", "a", "*", "b", "*", ""},
		{"OPTIONS http://b/", "a", "/", "b", "/", ""},
		{"OPTIONS http://b?q", "a", "/?q", "b", "/", "q"},
	}
	for _, tt := range tests {
		in := []byte(tt.line + " HTTP/1.1\r\nHost: " + tt.host + "\r\n\r\n")
		lim := codec.DefaultLimits()
		codectest.Splits(t, in, func() codectest.Run { return requestRun(&lim) })
		var req codec.Request
		req.Reset(in)
		if n, err := ParseRequest(in, &req, &lim); n != len(in) || err != nil {
			t.Errorf("%s: %d, %v", tt.line, n, err)
			continue
		}
		if string(req.Target()) != tt.wantTarget || string(req.Host()) != tt.wantHost || string(req.Path()) != tt.wantPath ||
			string(req.Query()) != tt.wantQuery || string(req.Header.Get("host")) != tt.wantHost {
			t.Errorf("%s: target %q host %q path %q query %q field %q", tt.line, req.Target(), req.Host(), req.Path(), req.Query(), req.Header.Get("host"))
		}
	}
}

func TestAbsoluteTargetServesOldClientsWithoutHost(t *testing.T) {
	got := parseSplit(t, "GET http://b/ HTTP/1.0\r\n\r\n")
	if want := "26 bytes\nGET 1 / HTTP/1.0\nhost \"b\" path \"/\" query \"\"\nbody none\n"; got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	line := func(l string) string { return l + "\r\nHost: a\r\n\r\n" }
	field := func(f string) string { return "POST / HTTP/1.1\r\nHost: a\r\n" + f + "\r\n\r\n" }
	host := func(h string) string { return "GET / HTTP/1.1\r\nHost:" + h + "\r\n\r\n" }
	tests := []struct {
		in   string
		want error
	}{
		// Before the request line, RFC 9112 §2.2.
		{"\n" + line("GET / HTTP/1.1"), ErrBareLF}, {"\r" + line("GET / HTTP/1.1"), ErrBareCR},
		{"\r\n\n" + line("GET / HTTP/1.1"), ErrBareLF}, {" " + line("GET / HTTP/1.1"), ErrMethod},
		{"\x16\x03\x01\x02\x00\x01\x00", ErrMethod}, {"\x00", ErrMethod}, {"\x80\x2e\x01", ErrMethod}, {"\xef\xbb\xbfGET / HTTP/1.1", ErrMethod},
		// Request line, RFC 9112 §3.
		{line("GET"), ErrRequestLine}, {line("GET "), ErrRequestLine}, {line("GET /"), ErrRequestLine}, {line("GET / "), ErrVersion},
		{"GET\n", ErrBareLF}, {"GET /\n", ErrBareLF}, {"GET / HTTP/1.1\n", ErrBareLF}, {"GET / \n", ErrBareLF}, {"GET / HTTP/1.1\rX", ErrBareCR},
		{line("GET\t/ HTTP/1.1"), ErrMethod}, {line("GET /\tHTTP/1.1"), ErrTargetByte}, {line("G\x00T / HTTP/1.1"), ErrMethod},
		{line("GÉT / HTTP/1.1"), ErrMethod}, {line("\"GET\" / HTTP/1.1"), ErrMethod}, {line("GET: / HTTP/1.1"), ErrMethod},
		{line("GET  / HTTP/1.1"), ErrTargetEmpty}, {line("GET /  HTTP/1.1"), ErrVersion}, {line("GET / HTTP/1.1 "), ErrVersion},
		{line("GET /a b HTTP/1.1"), ErrVersion}, {line("GET /\x0b HTTP/1.1"), ErrTargetByte}, {line("GET /\x7f HTTP/1.1"), ErrTargetByte},
		{line("GET /\x1f/ HTTP/1.1"), ErrTargetByte}, {line("GET /0123456789#abc HTTP/1.1"), ErrFragment}, {line("GET /\r HTTP/1.1"), ErrRequestLine},
		// Version, RFC 9112 §2.3.
		{line("GET / HTTP/1"), ErrVersion}, {line("GET / HTTP/1."), ErrVersion}, {line("GET / HTTP/1.10"), ErrVersion},
		{line("GET / HTTP/11.1"), ErrVersion}, {line("GET / HTTP/01.1"), ErrVersion}, {line("GET / http/1.1"), ErrVersion},
		{line("GET / HTTPS/1.1"), ErrVersion}, {line("GET / HTTP 1.1"), ErrVersion}, {line("GET / HTTP/1,1"), ErrVersion},
		{line("GET / HTTP/1.1\x00"), ErrVersion}, {line("GET / HTTP/-1.1"), ErrVersion}, {line("GET / ICE/1.0"), ErrVersion},
		{line("GET / HTTP/2.0"), ErrVersionUnsupported}, {line("GET / HTTP/0.9"), ErrVersionUnsupported},
		{line("GET / HTTP/1.2"), ErrVersionUnsupported}, {line("GET / HTTP/3.0"), ErrVersionUnsupported}, {line("GET / HTTP/9.9"), ErrVersionUnsupported},
		// Targets, RFC 9112 §3.2.
		{line("GET * HTTP/1.1"), ErrTargetForm}, {line("OPTIONS ** HTTP/1.1"), ErrTargetForm}, {line("OPTIONS *?a HTTP/1.1"), ErrTargetForm},
		{line("GET a.example HTTP/1.1"), ErrTargetForm}, {line("GET a.example:80 HTTP/1.1"), ErrTargetForm}, {line("GET ?a HTTP/1.1"), ErrTargetForm},
		{line("GET ftp://a/ HTTP/1.1"), ErrTargetForm}, {line("GET http:/a HTTP/1.1"), ErrTargetForm}, {line("GET http:a HTTP/1.1"), ErrTargetForm},
		{line("GET javascript:alert(1) HTTP/1.1"), ErrTargetForm}, {line("GET \\a HTTP/1.1"), ErrTargetForm}, {line("GET http:// HTTP/1.1"), ErrTargetForm},
		{line("GET http:///a HTTP/1.1"), ErrAuthority}, {line("GET http://:80/a HTTP/1.1"), ErrAuthority}, {line("GET http://?a HTTP/1.1"), ErrAuthority},
		{line("GET http://a:b/ HTTP/1.1"), ErrAuthority}, {line("GET http://a\\b/ HTTP/1.1"), ErrAuthority}, {line("GET http://[::1/ HTTP/1.1"), ErrAuthority},
		{line("GET http://@a/ HTTP/1.1"), ErrUserinfo}, {line("GET http://u:p@a/ HTTP/1.1"), ErrUserinfo}, {line("GET http://a/#b HTTP/1.1"), ErrFragment},
		{line("CONNECT a:443 HTTP/1.1"), ErrConnect}, {line("CONNECT [::1]:443 HTTP/1.1"), ErrConnect}, {line("CONNECT a HTTP/1.1"), ErrTargetForm},
		{line("CONNECT / HTTP/1.1"), ErrTargetForm}, {line("CONNECT http://a:80/ HTTP/1.1"), ErrTargetForm}, {line("CONNECT [::1] HTTP/1.1"), ErrTargetForm},
		// Field lines, RFC 9112 §5 and RFC 9110 §5.
		{field("X : 1"), ErrSpaceBeforeColon}, {field("X\t: 1"), ErrSpaceBeforeColon}, {field("X Y: 1"), ErrSpaceBeforeColon},
		{field("Transfer-Encoding : chunked"), ErrSpaceBeforeColon}, {field("Transfer-Encoding\x0b: chunked"), ErrName},
		{field(": 1"), ErrNameEmpty}, {field(":"), ErrNameEmpty}, {field(" X: 1"), ErrFold}, {field("\tX: 1"), ErrFold},
		{field("X: 1\r\n 2"), ErrFold}, {field("X: 1\r\n\t2"), ErrFold}, {field("X: 1\r\n "), ErrFold}, {field("Transfer-Encoding:\r\n chunked"), ErrTransferEncoding},
		{field("X"), ErrNoColon}, {field("X\n"), ErrBareLF}, {field("X: 1\nY: 2"), ErrBareLF}, {field("X: 1\rY: 2"), ErrBareCR}, {field("X: 1\r\rY: 2"), ErrBareCR},
		{field("X: 1\r"), ErrBareCR}, {field("\rX: 1"), ErrBareCR}, {field("\nX: 1"), ErrBareLF}, {field("\x00X: 1"), ErrName}, {field("X\x00: 1"), ErrName},
		{field("X\x7f: 1"), ErrName}, {field("X\xe9: 1"), ErrName}, {field("X(: 1"), ErrName}, {field("\"X\": 1"), ErrName}, {field("X@Y: 1"), ErrName},
		{field("X[]: 1"), ErrName}, {field("X{: 1"), ErrName}, {field("X/: 1"), ErrName}, {field("X=: 1"), ErrName}, {field("X;: 1"), ErrName}, {field("X,Y: 1"), ErrName},
		{field("X\r: 1"), ErrNoColon}, {field("X: \x00"), ErrValue}, {field("X: a\x01b"), ErrValue}, {field("X: a\x0bb"), ErrValue}, {field("X: a\x0cb"), ErrValue},
		{field("X: a\x1bb"), ErrValue}, {field("X: 0123456789abcdef\x7f"), ErrValue}, {field("X: \x08"), ErrValue},
		{"GET / HTTP/1.1\r\n Host: a\r\n\r\n", ErrLeadingSpace}, {"GET / HTTP/1.1\r\n\tX: 1\r\nHost: a\r\n\r\n", ErrLeadingSpace},
		// Host, RFC 9112 §3.2.
		{"GET / HTTP/1.1\r\n\r\n", ErrHostMissing}, {"GET http://a/ HTTP/1.1\r\n\r\n", ErrHostMissing},
		{field("Host: a"), ErrHostDuplicate}, {field("hOST: b"), ErrHostDuplicate}, {"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", ErrHostDuplicate},
		{host(""), ErrHost}, {host(" "), ErrHost}, {host(" a b"), ErrHost}, {host(" a, b"), ErrHost}, {host(" a/"), ErrHost}, {host(" http://a"), ErrHost},
		{host(" u@a"), ErrHost}, {host(" a:"), nil}, {host(" a:80:80"), ErrHost}, {host(" :80"), ErrHost}, {host(" a:65535"), nil}, {host(" a:65536"), ErrHost},
		{host(" a:-1"), ErrHost}, {host(" a:8o"), ErrHost}, {host(" a?b"), ErrHost}, {host(" a#b"), ErrHost}, {host(" a\\b"), ErrHost}, {host(" \xe9"), ErrHost},
		{host(" a%"), ErrHost}, {host(" a%4"), ErrHost}, {host(" a%zz"), ErrHost}, {host(" a%41"), nil}, {host(" a_b.c-d~e"), nil}, {host(" a..b"), ErrHost}, {host(" .a"), nil}, {host(" a.."), ErrHost}, {host(" a."), nil}, {host(" a.:80"), nil},
		{host(" <a>"), ErrHost}, {host(" \"a\""), ErrHost}, {host(" {a}"), ErrHost}, {host(" a|b"), ErrHost}, {host(" [::1]"), nil}, {host(" [::1]:80"), nil},
		{host(" [::1"), ErrHost}, {host(" ::1"), ErrHost}, {host(" [::1]80"), ErrHost}, {host(" []"), ErrHost}, {host(" [::1%25eth0]"), ErrHost}, {host(" [v1.a:b]"), nil},
		// Content-Length, RFC 9110 §8.6 and RFC 9112 §6.3.
		{field("Content-Length:"), ErrContentLength}, {field("Content-Length: -1"), ErrContentLength}, {field("Content-Length: +1"), ErrContentLength},
		{field("Content-Length: 1 "), nil}, {field("Content-Length: 1 1"), ErrContentLength}, {field("Content-Length: 1,1"), ErrContentLength},
		{field("Content-Length: 5, 5"), ErrContentLength}, {field("Content-Length: 5,"), ErrContentLength}, {field("Content-Length: 0x5"), ErrContentLength},
		{field("Content-Length: 5.0"), ErrContentLength}, {field("Content-Length: 1e2"), ErrContentLength}, {field("Content-Length: \"5\""), ErrContentLength},
		{field("Content-Length: 5;a"), ErrContentLength}, {field("Content-Length: \xb25"), ErrContentLength}, {field("Content-Length: five"), ErrContentLength},
		{field("Content-Length: 9223372036854775807"), nil}, {field("Content-Length: 9223372036854775808"), ErrContentLengthOverflow},
		{field("Content-Length: 18446744073709551616"), ErrContentLengthOverflow}, {field("Content-Length: 18446744073709551621x"), ErrContentLength},
		{field("Content-Length: 99999999999999999999999999999999"), ErrContentLengthOverflow}, {field("Content-Length: 00000000000000000000000000000005"), nil},
		{field("Content-Length: 5\r\nContent-Length: 5"), ErrContentLengthDuplicate}, {field("Content-Length: 5\r\ncontent-length: 6"), ErrContentLengthDuplicate},
		{field("Content-Length: 5\r\nTransfer-Encoding: chunked"), ErrLengthAndCoding}, {field("Transfer-Encoding: chunked\r\nContent-Length: 5"), ErrLengthAndCoding},
		{field("Transfer-Encoding: chunked\r\nContent-Length: x"), ErrLengthAndCoding}, {field("Content-Length: 0\r\nTransfer-Encoding: x"), ErrLengthAndCoding},
		{field("Content-Length-X: x\r\nXTransfer-Encoding: x"), nil},
		// Transfer-Encoding, RFC 9112 §6.1 and §6.3.
		{field("Transfer-Encoding:"), ErrTransferEncoding}, {field("Transfer-Encoding: identity"), ErrChunkedNotFinal}, {field("Transfer-Encoding: xchunked"), ErrChunkedNotFinal},
		{field("Transfer-Encoding: chunkedx"), ErrChunkedNotFinal}, {field("Transfer-Encoding: \"chunked\""), ErrTransferEncoding}, {field("Transfer-Encoding: 'chunked'"), ErrChunkedNotFinal},
		{field("Transfer-Encoding: chunked;"), ErrTransferEncoding}, {field("Transfer-Encoding: chunked;a=b"), ErrTransferEncoding}, {field("Transfer-Encoding: chunked,"), ErrTransferEncoding},
		{field("Transfer-Encoding: ,chunked"), ErrTransferEncoding}, {field("Transfer-Encoding: chunked, identity"), ErrChunkedNotFinal},
		{field("Transfer-Encoding: identity, chunked"), ErrCodingUnsupported}, {field("Transfer-Encoding: cow, chunked"), ErrCodingUnsupported}, {field("Transfer-Encoding: chun ked"), ErrTransferEncoding}, {field("Transfer-Encoding: : chunked"), ErrTransferEncoding},
		{field("Transfer-Encoding: chunked\x00"), ErrValue}, {field("Transfer-Encoding: chunked\x0b"), ErrValue}, {field("Transfer-Encoding: \x0bchunked"), ErrValue},
		{field("Transfer-Encoding: chunked\xa0"), ErrTransferEncoding}, {field("Transfer-Encoding: gzip"), ErrChunkedNotFinal}, {field("Transfer-Encoding: chunked, gzip"), ErrChunkedNotFinal},
		{field("Transfer-Encoding: chunked, chunked"), ErrChunkedNotFinal}, {field("Transfer-Encoding: gzip, chunked"), ErrCodingUnsupported},
		{field("Transfer-Encoding: x-gzip,deflate , chunked"), ErrCodingUnsupported}, {field("Transfer-Encoding: gzip;q=1, chunked"), ErrTransferEncoding},
		{field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), ErrTransferEncodingDuplicate}, {field("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"), ErrTransferEncodingDuplicate},
		{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ErrTransferEncodingVersion}, {"POST / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", ErrTransferEncodingVersion},
		// Expect, RFC 9110 §10.1.1.
		{field("Expect: 101-continue"), ErrExpectation}, {field("Expect: 100-continue, x"), ErrExpectation}, {field("Expect:"), nil}, {field("Expect: ,100-continue, 100-CONTINUE,"), nil}, {field("Expect: 100-continue;a=b"), ErrExpectation},
	}
	for _, tt := range tests {
		got := parseSplit(t, tt.in)
		switch reason, refused := strings.CutPrefix(got, "reject: "); {
		case tt.want == nil && refused, tt.want == nil && got == "unfinished":
			t.Errorf("%q: %s, want it accepted", tt.in, got)
		case tt.want != nil && reason != tt.want.Error():
			t.Errorf("%q:\n%s\nwant %v", tt.in, got, tt.want)
		}
	}
}

// Nobody waits for the rest of what can never be a request.
func TestRequestsAreRefusedAtTheFirstByteThatProvesThemWrong(t *testing.T) {
	lim := codec.DefaultLimits()
	for _, in := range []string{
		"\x16", "\n", "\r\r", "\r\n\rG", "GE(", "GET\t", "GET  ", "GET /\x00", "GET /#", "GET / X", "GET / HTTP/x", "GET / HTTP/1.1x", "GET / HTTP/1.1\rx",
		"GET / HTTP/2.0\r", "GET * HTTP/1.1\r\n", "GET / HTTP/1.1\r\n ", "GET / HTTP/1.1\r\n:", "GET / HTTP/1.1\r\nHost ", "GET / HTTP/1.1\r\nHost: \x00",
		"GET / HTTP/1.1\r\nHost: a\n", "GET / HTTP/1.1\r\nHost: a\rb", "GET / HTTP/1.1\r\nHost: a\r\n\rx", "GET / HTTP/1.1\r\nHost: /\r\n",
		"GET / HTTP/1.1\r\nContent-Length: x\r\n", "GET / HTTP/1.1\r\nTransfer-Encoding: x\r\n", "GET / HTTP/1.1\r\nX: a\r\n ",
	} {
		var req codec.Request
		req.Reset(nil)
		for n := range len(in) {
			if got, err := ParseRequest([]byte(in[:n]), &req, &lim); got != 0 || err != nil {
				t.Errorf("%q: %d, %v after %d bytes", in, got, err, n)
			}
		}
		if _, err := ParseRequest([]byte(in), &req, &lim); err == nil {
			t.Errorf("%q: not refused yet", in)
		}
	}
}

func TestLimitsAreExact(t *testing.T) {
	lim := codec.Limits{RequestLine: 20, Headers: 30, HeaderCount: 3}
	tests := []struct {
		name, in string
		want     error
	}{
		{"line of 20", "GET /6789ab HTTP/1.1\r\nHost: a\r\n\r\n", nil},
		{"line of 21", "GET /6789abc HTTP/1.1\r\nHost: a\r\n\r\n", ErrLineTooLong},
		{"line of 20 behind an empty one", "\r\nGET /6789ab HTTP/1.1\r\nHost: a\r\n\r\n", nil},
		{"method without end", strings.Repeat("A", 21), ErrLineTooLong},
		{"target without end", "GET /" + strings.Repeat("A", 16), ErrLineTooLong},
		{"fields of 30", "GET / HTTP/1.1\r\nHost: a\r\nX: 3456789012345678\r\n\r\n", nil},
		{"fields of 31", "GET / HTTP/1.1\r\nHost: a\r\nX: 34567890123456789\r\n\r\n", ErrFieldsTooLarge},
		{"fields of 32", "GET / HTTP/1.1\r\nHost: a\r\nX: 345678901234567890\r\n\r\n", ErrFieldsTooLarge},
		{"value without end", "GET / HTTP/1.1\r\nHost: a\r\nX: 34567890123456789012", ErrFieldsTooLarge},
		{"name without end", "GET / HTTP/1.1\r\nHost: a\r\nX34567890123456789012", ErrFieldsTooLarge},
		{"one more line in full fields", "GET / HTTP/1.1\r\nHost: a\r\nX: 3456789012345678\r\nY", ErrFieldsTooLarge},
		{"three fields", "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n", nil},
		{"four fields", "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", ErrTooManyFields},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := codectest.Splits(t, []byte(tt.in), func() codectest.Run { return requestRun(&lim) })
			reason, refused := strings.CutPrefix(got, "reject: ")
			if tt.want == nil && (refused || got == "unfinished") || tt.want != nil && reason != tt.want.Error() {
				t.Errorf("got %s, want %v", got, tt.want)
			}
		})
	}
}

// A byte-by-byte sender must not make the parser look at everything again with each byte: Seen never goes back.
func TestSlowSendersCostLinearWork(t *testing.T) {
	in := []byte("GET /" + strings.Repeat("a", 4000) + " HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("b", 4000) + "\r\n\r\n")
	lim := codec.DefaultLimits()
	var req codec.Request
	req.Reset(nil)
	for n := 1; n < len(in); n++ {
		if _, err := ParseRequest(in[:n], &req, &lim); err != nil {
			t.Fatal(err)
		}
		if behind := n - req.Seen; behind > len("HTTP/1.1\r") {
			t.Fatalf("after %d bytes %d have to be looked at again", n, behind)
		}
	}
}

func TestPipelinedRequestsAreTakenOneByOne(t *testing.T) {
	one := "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
	buf := []byte(one + "\r\n" + strings.Replace(one, "/1", "/2", 1))
	lim := codec.DefaultLimits()
	var req codec.Request
	var seen []string
	for len(buf) > 0 {
		req.Reset(buf)
		n, err := ParseRequest(buf, &req, &lim)
		if n == 0 || err != nil {
			t.Fatal(n, err)
		}
		seen = append(seen, string(req.Path()))
		buf = buf[n:]
	}
	if strings.Join(seen, " ") != "/1 /2" {
		t.Error(seen)
	}
}
