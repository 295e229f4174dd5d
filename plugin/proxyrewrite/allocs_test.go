//go:build !race

// The race detector makes sync.Pool forget at random, and so regexp and the evaluator allocate.

package proxyrewrite

import (
	"testing"

	"sluice/plugin/plugintest"
)

// The package comment: no allocation without groups, one with.
func TestAllocations(t *testing.T) {
	for config, want := range map[string]float64{
		`{"regex_uri":["^/openapi/(.*)/","/openapi/"]}`: 0,
		`{"regex_uri":["demo[0-9]","x"]}`:               0,
		`{"regex_uri":["^/none","/","^/openapi","/o"]}`: 0,
		`{"uri":"/a","headers":{"X-A":"b"},"host":"c"}`: 0,
		`{"regex_uri":["^/openapi/(.*)/(.*)","/$2"]}`:   1,
	} {
		f := mustBuild(t, "proxy-rewrite", config)
		x := plugintest.New("GET /openapi/demo1/hello?a=b", "Host: d")
		n := testing.AllocsPerRun(200, func() {
			x.Again()
			f.RequestHead(x)
		})
		if n > want {
			t.Errorf("%s: %v allocations, want %v", config, n, want)
		}
		if got := string(x.Req.Path()); got == "/openapi/demo1/hello" {
			t.Errorf("%s: not rewritten", config)
		}
	}
}
