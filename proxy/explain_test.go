package proxy

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"sluice/internal/fault"
	"sluice/router"
)

func (g *gateway) explain(t *testing.T, head string) *Explanation {
	t.Helper()
	e, err := g.Explain(t.Context(), []byte(head), netip.MustParseAddr("192.0.2.7"))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// What is explained is what happens, whatever the request is.
func TestAnExplanationIsWhatHappens(t *testing.T) {
	g := newGateway(t, []string{newNode(t, answering(ok)).addr},
		withRoute(router.Rule[*Route]{ID: "get", Paths: []string{"/a/*"}, Methods: []string{"GET"}}),
		withRoute(router.Rule[*Route]{ID: "host", Hosts: []string{"h"}, Paths: []string{"/h"}}))
	for _, c := range []struct {
		head   string
		status int
	}{
		{"GET /a/b HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"GET /%61/./b HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"POST /a/b HTTP/1.1\r\nHost: x\r\n\r\n", 405},
		{"GET /b HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"GET /a/..%2fb HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"GET /../a HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"GET /h HTTP/1.1\r\nHost: H:80\r\n\r\n", 200},
		{"GET /a/b HTTP/1.1\r\n\r\n", 400},
	} {
		e := g.explain(t, c.head)
		status := 200
		if e.Failed != nil {
			status = e.Failed.Kind.Status
		}
		client := g.connect(t)
		client.send(c.head)
		if a := client.answer(); a.status != c.status || status != c.status {
			t.Errorf("%q got %d, explained as %d, want %d", c.head, a.status, status, c.status)
		}
		client.Close()
		won := len(e.Candidates) > 0 && e.Candidates[0].Reason == router.Won
		if won != (e.Route != nil) || (e.Node != nil) != (status == 200) {
			t.Errorf("%q: %+v", c.head, e)
		}
	}
	e := g.explain(t, "POST /%61/b HTTP/1.1\r\nHost: x\r\n\r\n")
	if e.Path != "/a/b" || len(e.Candidates) != 1 || e.Candidates[0].Reason != router.OtherMethod || len(e.Allow) != 1 || e.Failed.Kind != fault.MethodNotAllowed {
		t.Errorf("%+v", e)
	}
	if e := g.explain(t, "GET /a HTTP/1.1\r\nHost:"); e.Failed == nil || e.Failed.Kind != fault.BadRequest {
		t.Errorf("half a head: %+v", e)
	}
}

// Asking who would be next must not make it somebody else.
func TestAnExplanationLeavesTheBalancerAlone(t *testing.T) {
	named := func(name string) string {
		return newNode(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"+name)).addr
	}
	names := map[string]string{named("a"): "a", named("b"): "b"}
	g := newGateway(t, slices.Collect(maps.Keys(names)))
	const head = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	c := g.connect(t)
	defer c.Close()
	for range 6 {
		next := g.explain(t, head).Node
		if again := g.explain(t, head).Node; again != next {
			t.Fatalf("%s, then %s", next.Address, again.Address)
		}
		c.send(head)
		if got := c.answer().body; got != names[next.Address] {
			t.Fatalf("%s was to be next, and it was %s", names[next.Address], got)
		}
	}
}

func TestAnExplanationThatNobodyWaitsForEnds(t *testing.T) {
	g := newGateway(t, []string{newNode(t, answering(ok)).addr})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e, err := g.Explain(ctx, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), netip.Addr{}); err == nil && e.Route == nil {
		t.Errorf("%+v", e)
	}
}
