package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"sluice/internal/testnet"
)

// Contract, section 3: a service with no services/ key runs on the defaults that are shown there. Its nodes are probed, what one node answers with 502 or 503 is asked of another, and a
// node that fails five times in a row is ejected. So is it with a service whose key says nothing of that.
func TestAServiceWithoutAKeyRunsOnTheDefaults(t *testing.T) {
	g := startTest(t, nil)
	var failed atomic.Int64
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		failed.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer bad.Close()
	good := startOrigin(t, "good")
	for _, c := range []struct{ path, body string }{
		{"/v1/services/stored", `{}`},
		{"/v1/routes/bare", `{"prefix":"/bare/*","service_name":"bare"}`},
		{"/v1/routes/stored", `{"prefix":"/stored/*","service_name":"stored"}`},
	} {
		if status, text := g.call(t, "PUT", c.path, c.body); status != 201 {
			t.Fatalf("%s: %d %s", c.path, status, text)
		}
	}
	for _, service := range []string{"bare", "stored"} {
		failed.Store(0)
		for _, address := range []string{bad.Listener.Addr().String(), good.Addr()} {
			if status, text := g.call(t, "POST", "/v1/nodes", fmt.Sprintf(`{"service_name":%q,"upstream":%q}`, service, address)); status != 201 {
				t.Fatalf("%d %s", status, text)
			}
		}
		health := func(upstream string) string {
			_, text := g.call(t, "GET", "/v1/status", "")
			var said struct {
				Health []struct{ Service, Upstream, Health string }
			}
			if err := json.Unmarshal([]byte(text), &said); err != nil {
				t.Fatal(err)
			}
			for _, n := range said.Health {
				if n.Service == service && n.Upstream == upstream {
					return n.Health
				}
			}
			return ""
		}
		testnet.Await(t, "both nodes to be probed", func() bool {
			return health(good.Addr()) == "healthy" && health(bad.Listener.Addr().String()) == "healthy"
		})
		testnet.Await(t, "the failing node to be ejected", func() bool {
			if status, text := g.get(t, "/"+service+"/x"); status != 200 && failed.Load() < 2 { // further retries in the same second may be more than the budget
				t.Fatalf("%d %s", status, text)
			}
			return health(bad.Listener.Addr().String()) == "ejected"
		})
		if n := failed.Load(); n != 5 {
			t.Errorf("%s: ejected after %d failures, want 5", service, n)
		}
	}
}
