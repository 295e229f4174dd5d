package cli

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/control"
	"sluice/control/file"
	"sluice/internal/testnet"
)

// seedToken is a token in the form that ws-cloud-gateway's have; its benchmark script sends one.
const seedToken = "0123456789abcdef0123456789abcdef"

// curl is curl -d, as ws-cloud-gateway's scripts have it: to the listener, with a token in a field, and a body that claims to be a form.
func (g *gateway) curl(t *testing.T, path, body string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+g.server.Addrs()[0].String()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Token", seedToken)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// What ws-cloud-gateway's benchmark script does, step by step, on its own prefix and at the gateway's port.
func TestTheBenchmarkScriptOfWsCloudGatewayRuns(t *testing.T) {
	g := startTest(t, func(c *file.Config) {
		c.Admin.Token, c.Admin.Expose, c.Etcd.Prefix = seedToken, true, "/my/cloud/"
	})
	o := startOrigin(t, "hello")
	for path, body := range map[string]string{
		"/admin/routes/save": `
{
    "key": "/innerapi/hello/*",
    "protocol": "http",
    "remark": "",
    "prefix": "/innerapi/hello/*",
    "service_name": "hello",
    "status": 1,
    "plugins": [
        "discovery",
        "tracing",
        "rewrite"
    ],
    "props": {
        "rewrite_url_regex": "^/innerapi/(.*)/",
        "rewrite_replace": "/"
    }
}`,
		"/admin/services/save": `
{
    "key": "/hello/` + o.Addr() + `",
    "service_name": "hello",
    "upstream": "` + o.Addr() + `",
    "weight": 1,
    "status": 1
}`,
	} {
		if status, text := g.curl(t, path, body); status != 200 || text != "ok" {
			t.Fatalf("%s: %d %q", path, status, text)
		}
	}
	var body string
	testnet.Await(t, "an answer from the node", func() bool {
		var status int
		status, body = g.curl(t, "/innerapi/hello/api", "")
		return status == 200
	})
	if !strings.Contains(body, "/api") || strings.Contains(body, "innerapi") || !strings.Contains(body, "X-Trace-Id") {
		t.Errorf("the node was asked for %s", body)
	}
	// What it has stored is where ws-cloud-gateway looks for it.
	for _, key := range []string{control.Routes.Key(control.RouteID("/innerapi/hello/*")), control.Nodes.Key(control.NodeID("hello", o.Addr()))} {
		if _, err := g.store.Get(t.Context(), key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// admin.expose may be turned on and off while the gateway runs, and without it the paths are routes' like any other.
func TestExposeCanBeReloaded(t *testing.T) {
	g := startTest(t, func(c *file.Config) { c.Admin.Token = seedToken })
	next := *g.config
	g.load = func() (*file.Config, error) { return &next, nil }
	for _, on := range []bool{false, true, false, true} {
		next.Admin.Expose = on
		g.reload()
		status, text := g.curl(t, "/admin/plugins/list", "")
		if want := map[bool]int{true: 200, false: 404}[on]; status != want || strings.Contains(text, "discovery") != on {
			t.Errorf("exposed %v: %d %s", on, status, text)
		}
		// The rest of the admin API is never there.
		if status, _ := g.curl(t, "/v1/status", ""); status != 404 {
			t.Errorf("/v1/status on the listener: %d", status)
		}
	}
}
