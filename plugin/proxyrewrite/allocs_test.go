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
		for _, path := range []string{"/openapi/demo1/hello", "/open%61pi/../openapi/demo1/hello"} {
			x := plugintest.New("GET "+path+"?a=b", "Host: d")
			n := testing.AllocsPerRun(200, func() {
				x.Again()
				f.RequestHead(x)
			})
			if n > want {
				t.Errorf("%s on %s: %v allocations, want %v", config, path, n, want)
			}
			if got := string(x.Req.Path()); got == path {
				t.Errorf("%s on %s: not rewritten", config, path)
			}
		}
	}
}
