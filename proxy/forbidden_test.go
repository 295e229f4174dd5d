package proxy

import (
	"strings"
	"testing"

	"sluice/plugin/iprestriction"
)

func restricted(t testing.TB, config string) option {
	t.Helper()
	return withKind(t, &iprestriction.Kind, config)
}

// Contract §5: status, code, message and request id, in that form. The connection serves on, whatever there was of a body.
func TestAClientThatMayNotComeInGetsTheContractsError(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, restricted(t, `{"blacklist":["127.0.0.0/8"],"message":"Not \"you\", 100 %\tü"}`), withRequestID(t), withLog())
	b := g.connect(t)
	for range 2 {
		b.send("POST / HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\nContent-Length: 4\r\n\r\nbody")
		a := b.answer()
		a.wantError(t, 403, "forbidden")
		if !strings.Contains(a.body, `"message":"Not \"you\", 100 %\tü"`) || !strings.Contains(a.body, `"request_id":"mine"`) {
			t.Errorf("body %s", a.body)
		}
	}
	if line := g.logged(t, 2)[0]; line.Status != 403 || line.Flag != "UAEX" || line.Code != "forbidden" || line.Route != "all" {
		t.Errorf("logged %+v", line)
	}
	if n.opened.Load() != 0 {
		t.Error("the node was asked")
	}
}

// The address that decides is the one that X-Real-IP tells the node: of a trusted proxy the one that it names, of anybody else the peer's own, whatever the request claims.
func TestTheAddressThatATrustedProxyNamesDecides(t *testing.T) {
	n := newNode(t, answering(ok))
	whitelist := restricted(t, `{"whitelist":["192.0.2.0/24","2001:db8::/32"],"response_code":404}`)
	for forwarded, status := range map[string]int{
		"192.0.2.7": 200, "192.0.3.7": 404, "2001:db8::1": 200, "::ffff:192.0.2.7": 200, "192.0.2.7, 198.51.100.1": 404, "198.51.100.1, 192.0.2.7": 200, "192.0.2.7, 127.0.0.1": 200, "none": 404,
	} {
		for trusted, want := range map[string]int{"127.0.0.0/8": status, "10.0.0.0/8": 404} {
			g := newGateway(t, []string{n.addr}, whitelist, withTrusted(trusted))
			b := g.connect(t)
			b.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: " + forwarded + "\r\n\r\n")
			a := b.answer()
			if a.status != want {
				t.Errorf("%s of a peer where %s is trusted: %d, want %d", forwarded, trusted, a.status, want)
			}
			if want == 404 {
				a.wantError(t, 404, "forbidden")
			}
		}
	}
}

// A client of gRPC is told by PERMISSION_DENIED, and the message has its escapes.
func TestAClientOfGRPCThatMayNotComeInGetsPermissionDenied(t *testing.T) {
	g := newGateway(t, nil, forGRPC(), restricted(t, `{"blacklist":["127.0.0.0/8"],"message":"100 %\tü"}`))
	p := g.dialH2(t)
	s := p.ask("POST", "/hello.Greeter/SayHello", true, "content-type: application/grpc")
	p.answered(s)
	if heard := p.heard.String(); !strings.HasPrefix(heard, "1: 200 ") || !strings.Contains(heard, "grpc-status=7") || !strings.Contains(heard, "grpc-message=forbidden: 100 %25%09%C3%BC") {
		t.Errorf("heard %q", heard)
	}
}

// The error is the gateway's own on HTTP/2 too.
func TestAStreamThatMayNotComeInGetsTheContractsError(t *testing.T) {
	g := newGateway(t, nil, restricted(t, `{"whitelist":["192.0.2.7"]}`))
	p := g.dialH2(t)
	s := p.ask("GET", "/", true)
	if body := p.answered(s); !strings.HasPrefix(body, `{"error":{"status":403,"code":"forbidden","message":"Your IP address is not allowed","request_id":"`) {
		t.Errorf("body %s", body)
	}
	if heard := p.heard.String(); !strings.HasPrefix(heard, "1: 403 ") || !strings.Contains(heard, "content-type=application/json") {
		t.Errorf("heard %q", heard)
	}
}
