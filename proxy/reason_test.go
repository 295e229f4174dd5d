package proxy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/codec"
	"sluice/codec/h1"
	"sluice/internal/fault"
	"sluice/internal/testnet"
)

// An operator whose client gets 400 sees in the log which rule its request broke: the client is not told.
func TestTheLogTellsWhichRuleAMessageBroke(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
	})
	refused := testnet.Reserve(t)
	for _, c := range []struct{ node, request, code, reason string }{
		{n.addr, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request", "empty request target"},
		{n.addr, "GET / HTTP/1.1\r\n\r\n", "bad_request", "no host field"},
		{n.addr, "GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", "bad_request", "white space before the colon of a field"},
		{n.addr, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_request", "both content-length and transfer-encoding"},
		{n.addr, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "not_implemented", "unsupported transfer coding"},
		{n.addr, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\n", "bad_request", "invalid chunk size"},
		{n.addr, "GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request", "nul in path"},
		{n.addr, "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: x\r\n\r\n", "bad_request", "Max-Forwards is not one number"},
		{n.addr, "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "version_not_supported", "unsupported protocol version"},
		{n.addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "upstream_protocol", "more than one content-length"},
		{refused, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "upstream_connect", "connection refused"},
	} {
		g := newGateway(t, []string{c.node}, withLog(), withAttempts(1))
		b := g.connect(t)
		b.send(c.request)
		if a := b.answer(); strings.Contains(a.body, c.reason) {
			t.Errorf("the client of %q is told the reason", c.request)
		}
		if line := g.logged(t, 1)[0]; line.Code != c.code || line.Reason != c.reason {
			t.Errorf("%q is logged as %s: %q, want %s: %q", c.request, line.Code, line.Reason, c.code, c.reason)
		}
	}
}

// What was answered in order has no reason.
func TestAnExchangeThatDidNotFailHasNoReason(t *testing.T) {
	g := newGateway(t, []string{newNode(t, answering(ok)).addr}, withLog())
	g.connect(t).wantGet("ok")
	if line := g.logged(t, 1)[0]; line.Reason != "" {
		t.Errorf("logged %q", line.Reason)
	}
}

func TestAReasonIsTheInnermostCauseWithoutItsPackageAndBounded(t *testing.T) {
	for want, cause := range map[string]error{
		"":                                nil,
		"bare lf":                         h1.ErrBareLF,
		"nul in path":                     codec.ErrPathNUL,
		"connection refused":              fmt.Errorf("event: connect 192.0.2.1:80: %w", unix.ECONNREFUSED),
		"read of x: too short":            errors.New("read of x: too short"),
		"without a package":               errors.New("without a package"),
		strings.Repeat("x", reasonMost):   errors.New("long: " + strings.Repeat("x", 2*reasonMost)),
		strings.Repeat("x", reasonMost-1): errors.New("long: " + strings.Repeat("x", reasonMost-1) + "\u20ac"), // no character is cut in two
	} {
		if got := reason(fault.New("test", fault.Downstream, fault.BadRequest, cause)); got != want {
			t.Errorf("%v has the reason %q, want %q", cause, got, want)
		}
	}
}

// Who attacks must not make the gateway allocate for the log.
func TestAReasonDoesNotAllocate(t *testing.T) {
	failures := []*fault.Error{
		fault.New("read request head", fault.Downstream, fault.BadRequest, h1.ErrBareLF),
		fault.New("read request head", fault.Downstream, fault.RequestTimeout, errHeadTimeout),
		fault.New("connect", fault.Upstream, fault.UpstreamConnect, unix.ECONNREFUSED),
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, e := range failures {
			if reason(e) == "" {
				t.Fatal("no reason")
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
