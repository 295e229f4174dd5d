package proxy

import (
	"net/http"
	"strings"
	"testing"

	"sluice/plugin"
	"sluice/plugin/cors"
	"sluice/plugin/proxyrewrite"
)

func withCORS(t testing.TB, config string) option {
	t.Helper()
	return withKind(t, &cors.Kind, config)
}

const oneOrigin = `{"allow_origins":"https://a.test","allow_credential":true,"allow_methods":"PUT","allow_headers":"X-A"}`

// A preflight is the gateway's to answer, on a connection that serves on; what follows is the node's, with our word in the place of its own.
func TestPreflightsAreAnsweredInPlaceOfTheNode(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		for head := c.head(); head != ""; head = c.head() {
			if strings.HasPrefix(head, "OPTIONS") {
				c.write("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
				continue
			}
			c.write("HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nVary: Accept\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	rewrite := withKind(t, &proxyrewrite.Kind, `{"headers":{"set":{"Origin":"https://inner.test"}}}`)
	g := newGateway(t, []string{n.addr}, withCORS(t, oneOrigin), rewrite)
	b := g.connect(t)
	for range 2 {
		b.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-a\r\n\r\n")
		a := b.answer()
		a.want(t, 204, "")
		if a.get("Access-Control-Allow-Origin") != "https://a.test" || a.get("Access-Control-Allow-Methods") != "PUT" || a.get("Access-Control-Allow-Headers") != "X-A" ||
			a.get("Access-Control-Max-Age") != "5" || a.get("Access-Control-Allow-Credentials") != "true" || a.get("Vary") != "Origin" {
			t.Errorf("preflight: %q", a.head)
		}
		b.send("PUT / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\nContent-Length: 0\r\n\r\n")
		a = b.answer()
		a.want(t, 200, "ok")
		if a.get("Access-Control-Allow-Origin") != "https://a.test" || strings.Count(strings.ToLower(a.head), "access-control-allow-origin") != 1 || !strings.Contains(strings.ToLower(a.head), "vary: accept\r\n") ||
			a.get("Access-Control-Max-Age") != "" {
			t.Errorf("answer: %q", a.head)
		}
		b.send("GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.test\r\n\r\n")
		a = b.answer()
		a.want(t, 200, "ok")
		if a.get("Access-Control-Allow-Origin") != "" || !strings.Contains(strings.ToLower(a.head), "vary: origin\r\n") {
			t.Errorf("answer to another: %q", a.head)
		}
	}
}

// A page can only read why it was refused if the refusal says that it may; and a preflight comes through, since it has nothing to be refused by.
func TestPagesMayReadTheErrorsOfTheGateway(t *testing.T) {
	g := newGateway(t, nil, withCORS(t, oneOrigin), restricted(t, `{"blacklist":["127.0.0.0/8"]}`))
	b := g.connect(t)
	b.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\nAccess-Control-Request-Method: GET\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\n\r\n")
	b.answer().want(t, 204, "")
	a := b.answer()
	a.wantError(t, 403, "forbidden")
	if a.get("Access-Control-Allow-Origin") != "https://a.test" {
		t.Errorf("%q", a.head)
	}
}

// The client's library sees the same over HTTP/2.
func TestPreflightsAreAnsweredOverHTTP2(t *testing.T) {
	g := newGateway(t, nil, withCORS(t, `{"allow_headers":"**"}`))
	for range 2 {
		req, _ := http.NewRequest("OPTIONS", "http://"+g.addr+"/", nil)
		req.Header.Set("Origin", "https://a.test")
		req.Header.Set("Access-Control-Request-Method", "PUT")
		req.Header.Set("Access-Control-Request-Headers", "authorization")
		resp, err := h2cClient(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if h := resp.Header; resp.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Headers") != "authorization" || h.Get("Access-Control-Allow-Methods") != "*" {
			t.Errorf("%d %v", resp.StatusCode, h)
		}
	}
}

// keeper keeps what a field of the request says, and tells it on the answer.
type keeper struct{ name string }

func (k *keeper) RequestHead(x plugin.Exchange) plugin.Verdict {
	x.Keep(k, []byte("replaced"))
	if value := x.Request().Header.Get(k.name); value != nil {
		x.Keep(k, value)
	}
	return plugin.Verdict{}
}

func (k *keeper) ResponseHead(x plugin.Exchange) {
	x.Response().Header.Add(k.name, x.Kept(k))
	if x.Kept(k.name) != nil {
		x.Response().Header.Add("X-Wrong", nil)
	}
}

// What plugins keep is their own, and of one exchange; a long value does not stay with an exchange that waits for use.
func TestWhatPluginsKeepIsTheirOwnAndOfOneExchange(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withPlugin(2, &keeper{"X-A"}), withPlugin(1, &keeper{"X-B"}))
	b := g.connect(t)
	long := strings.Repeat("x", 4*keptMost)
	for _, c := range [][2]string{{"1", "2"}, {long, "2"}, {"3", long}} {
		b.send("GET / HTTP/1.1\r\nHost: a\r\nX-A: " + c[0] + "\r\nX-B: " + c[1] + "\r\n\r\n")
		a := b.answer()
		a.want(t, 200, "ok")
		if a.get("X-A") != c[0] || a.get("X-B") != c[1] || strings.Contains(a.head, "X-Wrong") {
			t.Errorf("%.200q", a.head)
		}
	}
	b.wantGet("ok")
	if mode.down.http2 {
		return
	}
	g.await(t, "the exchange to have let go", func(w *worker) bool {
		r, ok := w.spareRequests.Take()
		if !ok {
			return false
		}
		defer w.spareRequests.Put(r)
		return len(r.kept) == 0 && cap(r.keptBytes) <= keptMost && r.kept[:1][0].owner == nil
	})
}
