package proxy

import (
	"fmt"
	"strings"
	"testing"

	"sluice/internal/testnet"
	"sluice/upstream"
)

// named starts nodes that answer with their own names, a, b and so on.
func named(t *testing.T, n int) (addrs []string) {
	for i := range n {
		name := string(rune('a' + i))
		node := newNode(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"+name))
		addrs = append(addrs, node.addr)
	}
	return addrs
}

func hashOn(on, key string) option {
	return withService(func(c *upstream.Config) {
		c.Balancer = upstream.BalancerConfig{Type: "chash", HashOn: on, Key: key}
	})
}

func TestTheSameKeyFindsTheSameNodeAndOthersFindOthers(t *testing.T) {
	nodes := named(t, 4)
	for on, request := range map[string]string{
		"header X-Tenant": "GET / HTTP/1.1\r\nHost: a\r\nx-tenant: %d\r\n\r\n",
		"cookie user":     "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b; user=%d\r\n\r\n",
		"query id":        "GET /?x=1&id=%d HTTP/1.1\r\nHost: a\r\n\r\n",
		"path":            "GET /item/%d?x=1 HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		kind, key, _ := strings.Cut(on, " ")
		g := newGateway(t, nodes, hashOn(kind, key), withWorkers(2))
		seen := map[string]bool{}
		for i := range 20 {
			first := ""
			for range 3 {
				b := g.connect(t) // perhaps on another worker
				b.send(fmt.Sprintf(request, i))
				body := b.answer().body
				if first != "" && body != first {
					t.Errorf("%s %d went to %s and to %s", on, i, first, body)
				}
				first = body
			}
			seen[first] = true
		}
		if len(seen) < 3 {
			t.Errorf("%s: 20 keys found %d nodes of 4", on, len(seen))
		}
	}
}

// Without the key, and with hash_on ip, the client's address tells.
func TestARequestWithoutTheKeyIsToldByItsClient(t *testing.T) {
	nodes := named(t, 4)
	for _, o := range []option{hashOn("ip", ""), hashOn("header", "X-Tenant")} {
		g := newGateway(t, nodes, o)
		b := g.connect(t)
		b.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
		first := b.answer().body
		for range 5 {
			b.send("GET /other HTTP/1.1\r\nHost: b\r\n\r\n")
			b.answer().want(t, 200, first)
		}
	}
}

func TestAStickyClientComesBackToItsNode(t *testing.T) {
	g := newGateway(t, named(t, 3), withService(func(c *upstream.Config) {
		c.Balancer.Sticky = &upstream.StickyConfig{Cookie: "at"}
	}))
	b := g.connect(t)
	for range 3 {
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		a := b.answer()
		cookie, _, _ := strings.Cut(a.get("Set-Cookie"), ";")
		if !strings.HasPrefix(cookie, "at=") {
			t.Fatalf("Set-Cookie: %q", a.get("Set-Cookie"))
		}
		for range 4 {
			b.send("GET / HTTP/1.1\r\nHost: a\r\nCookie: " + cookie + "\r\n\r\n")
			again := b.answer()
			again.want(t, 200, a.body)
			if again.get("Set-Cookie") != "" {
				t.Error("a client that came back is told again")
			}
		}
	}
}

func TestAClientWhoseNodeFailsIsGivenAnother(t *testing.T) {
	refused := testnet.Reserve(t)
	g := newGateway(t, append(named(t, 1), refused), withService(func(c *upstream.Config) {
		c.Balancer.Sticky = &upstream.StickyConfig{Cookie: "at"}
	}))
	service := g.Snapshot().Services[0]
	var cookie string
	for _, n := range service.Nodes() {
		if n.Address == refused {
			cookie, _, _ = strings.Cut(string(service.Cookie(n)), ";")
		}
	}
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\nCookie: " + cookie + "\r\n\r\n")
	a := b.answer()
	a.want(t, 200, "a")
	if now := a.get("Set-Cookie"); now == "" || strings.HasPrefix(now, cookie+";") {
		t.Errorf("its cookie was %q and is %q", cookie, now)
	}
}
