package h1

import (
	"math/rand/v2"
	"strings"
	"testing"

	"sluice/codec"
	"sluice/codec/codectest"
)

// gadgets are the parts that smuggled requests are made of. Random bytes hardly ever get past the request line; these do.
var gadgets = []string{
	"\r\n", "\r\n", "\r\n", "\r\n", "\r\n\r\n", "\r\n\r\n", "\n", "\r", " ", "\t", ":", ": ", ": ", ";", ",", "\x00", "\x0b", "\x7f", "\x80", "\xff",
	"GET ", "POST ", "OPTIONS ", "CONNECT ", "GET / HTTP/1.1\r\n", "POST /a?b HTTP/1.1\r\n", "POST / HTTP/1.0\r\n", "GET http://b/ HTTP/1.1\r\n", "OPTIONS http://b HTTP/1.1\r\n",
	"/", "*", "http://", "a.example", ":80", "[::1]", "@", "#", "?", "%", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.1 200 OK\r\n", "HTTP/1.0 204\r\n", "HTTP/1.1 304 x\r\n",
	"Host", "Host: a\r\n", "Host: a\r\n", "host: b\r\n", "Content-Length", "Content-Length: 5\r\n", "content-length: 0\r\n", "Transfer-Encoding", "Transfer-Encoding: chunked\r\n",
	"transfer-encoding:chunked\r\n", "chunked", "identity", "gzip", "Connection: close\r\n", "Connection: keep-alive, x\r\n", "Connection: upgrade\r\n", "Upgrade: h2c\r\n", "Expect: 100-continue\r\n",
	"X: 1\r\n", "X", "5", "0", "+", "-", "0x", "a", "5\r\nhello\r\n", "0\r\n\r\n", "0\r\n", "hello", "5;a=b", "5 ;a=\"b\"", "ffffffffffffffff", "0000000000000000",
}

// compose returns a message of some gadgets, mostly ones that begin well.
func compose(rnd *rand.Rand, starts ...string) []byte {
	var b strings.Builder
	if rnd.IntN(8) > 0 {
		b.WriteString(starts[rnd.IntN(len(starts))])
	}
	for range rnd.IntN(10) {
		b.WriteString(gadgets[rnd.IntN(len(gadgets))])
	}
	if rnd.IntN(3) > 0 {
		b.WriteString("\r\n\r\n")
	}
	return []byte(b.String())
}

// The outcome of a message does not depend on how it was cut, whatever is in it; and what is accepted is what net/http sees.
func TestGadgetsHaveOneOutcome(t *testing.T) {
	rounds := 2000
	if testing.Short() {
		rounds = 500
	}
	rnd := rand.New(rand.NewPCG(9112, 9110))
	lim := codec.Limits{RequestLine: 60, Headers: 120, HeaderCount: 6}
	requests := func() codectest.Run { return requestRun(&lim) }
	accepted := 0
	for range rounds {
		in := compose(rnd, "GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nHost: a\r\n", "POST http://b HTTP/1.1\r\nHost: a\r\n", "PUT / HTTP/1.0\r\n")
		got := codectest.Splits(t, in, requests)
		if got != "unfinished" && !strings.HasPrefix(got, "reject: ") {
			accepted++
			req := mustRequest(t, string(in))
			agreeWithNetHTTP(t, AppendRequestHead(nil, req, "node"), req)
		}

		in = compose(rnd, "HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 204 x\r\n")
		codectest.Splits(t, in, func() codectest.Run { return responseRun(codec.MethodGet, &lim) })

		in = compose(rnd, "5\r\nhello\r\n", "5;a=b\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "0\r\nX: 1\r\n")
		codectest.Splits(t, in, func() codectest.Run { return bodyRun(chunked, len(in), &lim) })
	}
	if accepted < rounds/100 {
		t.Errorf("only %d of %d messages were accepted, so that little was shown", accepted, rounds)
	}
}
