package proxy

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"sluice/upstream"
)

// withPanel starts a gateway whose panel is exposed, in front of a service for everything.
func withPanel(t *testing.T, options ...option) *gateway {
	t.Helper()
	answer := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, name+" "+r.Method+" "+r.URL.Path+" "+r.Header.Get("X-Real-IP")+" "+string(body))
		}
	}
	g := newGateway(t, []string{origin(t, answer("service"))}, options...)
	own := upstream.NewRegistry(g.Loops(), g.stats)
	t.Cleanup(own.Close)
	g.Expose(own.Update(panelName, &upstream.Config{Nodes: []upstream.NodeConfig{{Upstream: origin(t, answer("panel"))}}}, nil), g.stats)
	return g
}

func (g *gateway) first(t *testing.T, request string, fields ...string) string {
	t.Helper()
	answer := exchangeRaw(t, g.addr, request+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"+strings.Join(append(fields, ""), "\r\n")+"\r\n")
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	return head[len("HTTP/1.1 "):len("HTTP/1.1 200")] + " " + strings.TrimSpace(body)
}

// Contract, section 2, admin.expose: /admin and /dashboard on the listeners.
func TestTheExposedPanelHasItsPathsAndNoOthers(t *testing.T) {
	g := withPanel(t)
	for path, want := range map[string]string{
		"/admin":             "200 panel GET /admin 127.0.0.1",
		"/admin/routes/list": "200 panel GET /admin/routes/list 127.0.0.1",
		"/%61dmin/x":         "200 panel GET /admin/x 127.0.0.1",
		"/dashboard":         "200 panel GET /dashboard 127.0.0.1",
		"/dashboard/":        "200 panel GET /dashboard/ 127.0.0.1",
		"/administrator":     "200 service GET /administrator 127.0.0.1",
		"/a/admin/":          "200 service GET /a/admin/ 127.0.0.1",
		"/dashboards":        "200 service GET /dashboards 127.0.0.1",
	} {
		if got := g.first(t, "GET "+path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	// Dot segments do not lead around it: what is matched is what they mean.
	if got := g.first(t, "GET /x/../admin/login"); !strings.HasPrefix(got, "200 panel ") {
		t.Errorf("dot segments: %s", got)
	}
	answer := exchangeRaw(t, g.addr, "POST /admin/login HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
	if !strings.HasSuffix(answer, "panel POST /admin/login 127.0.0.1 {}") {
		t.Errorf("a body: %s", answer)
	}
}

// Only from loopback and private addresses; the peer's address counts, and another that the client claims only where the peer is a trusted proxy.
func TestTheExposedPanelIsForNearClients(t *testing.T) {
	open := withPanel(t)
	for _, field := range []string{"X-Forwarded-For: 10.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=10.0.0.1", "Via: 1.1 lb"} {
		if got := open.first(t, "GET /admin/x", field); !strings.HasPrefix(got, "404 ") || !strings.Contains(got, `"no_route"`) {
			t.Errorf("a peer that is not trusted and sends %s: %s", field, got)
		}
	}
	behind := withPanel(t, withTrusted("127.0.0.0/8"))
	for client, status := range map[string]string{
		"203.0.113.9": "404", "2001:db8::1": "404", "100.64.0.1": "404", "169.254.1.1": "404", "10.1.2.3, 8.8.8.8": "404",
		"10.1.2.3": "200", "192.168.0.7": "200", "172.31.255.1": "200", "fd00::7": "200", "8.8.8.8, 10.1.2.3": "200", "::1": "200", "::ffff:10.0.0.1": "200",
	} {
		if got := behind.first(t, "GET /admin/x", "X-Forwarded-For: "+client); !strings.HasPrefix(got, status+" ") {
			t.Errorf("X-Forwarded-For: %s through a trusted proxy: %s, want %s", client, got, status)
		}
	}
	if got := behind.first(t, "GET /admin/x", "X-Forwarded-For: 10.1.2.3"); !strings.HasSuffix(got, " 10.1.2.3") {
		t.Errorf("the panel is told %s", got)
	}
}

func TestThePanelIsGoneWhenItIsExposedNoMore(t *testing.T) {
	g := withPanel(t)
	if got := g.first(t, "GET /admin/x"); !strings.HasPrefix(got, "200 panel ") {
		t.Fatal(got)
	}
	g.Expose(nil, nil)
	if got := g.first(t, "GET /admin/x"); !strings.HasPrefix(got, "200 service ") {
		t.Error(got)
	}
}

// A question about a path of the panel is answered with what happens there.
func TestThePanelIsExplained(t *testing.T) {
	g := withPanel(t)
	for from, code := range map[string]string{"10.0.0.7": "", "192.0.2.7": "no_route"} {
		e, err := g.Explain(t.Context(), []byte("GET /admin/routes/list HTTP/1.1\r\nHost: a\r\n\r\n"), netip.MustParseAddr(from))
		if err != nil {
			t.Fatal(err)
		}
		failed := ""
		if e.Failed != nil {
			failed = e.Failed.Kind.Code
		}
		if failed != code || (code == "") != (e.Route != nil && e.Route.ID == panelName && e.Node != nil) {
			t.Errorf("from %s: %q, %+v", from, failed, e)
		}
	}
}
