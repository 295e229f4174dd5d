package control

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"sluice/plugin"
)

// closable is a plugin instance that counts.
type closable struct{ open *int }

func (c *closable) RequestHead(plugin.Exchange) plugin.Verdict { return plugin.Verdict{} }
func (c *closable) Close() error                               { *c.open--; return nil }

// testKinds has a plugin that is closed, one that fails to build and one that panics.
func testKinds(open *int) kindLookup {
	build := func(name string, config json.RawMessage) (any, error) {
		switch name {
		case "panics":
			panic("of a plugin")
		case "fails":
			return nil, plugin.Problems{{Path: "x", Text: "is wrong"}}
		}
		*open++
		return &closable{open}, nil
	}
	kinds := map[string]*plugin.Kind{}
	for _, name := range []string{"opens", "fails", "panics"} {
		kinds[name] = &plugin.Kind{Name: name, Build: build}
	}
	return kindLookup{find: func(name string) *plugin.Kind { return kinds[name] }, known: func() []string { return []string{"opens"} }}
}

// A plugin that panics while it is built must cost its route, not the gateway.
func TestAPanicWhileCompilingIsTheErrorOfThatResource(t *testing.T) {
	b := newBench(t)
	open := 0
	b.kinds = testKinds(&open)
	b.resync(put("routes/a", route("/a", "s")), put("routes/b", `{"prefix":"/b","service_name":"s","plugins":{"opens":{},"panics":{}}}`), put("routes/c", route("/c", "s")))
	b.wantErrors("routes/b")
	if !strings.Contains(b.Status().Errors[0].Problems.Error(), "of a plugin") || b.match("/a") != "a" || b.match("/c") != "c" {
		t.Errorf("%+v", b.Status())
	}
	if open != 0 {
		t.Errorf("%d instances leaked", open)
	}
}

// plugin.Kind, step 6: Close also after a failed build.
func TestInstancesOfARouteThatFailsAreClosed(t *testing.T) {
	b := newBench(t)
	open := 0
	b.kinds = testKinds(&open)
	b.resync(put("routes/a", `{"prefix":"/a","service_name":"s","plugins":{"opens":{},"fails":{}}}`),
		put("routes/b", `{"prefix":"/b","service_name":"","plugins":{"opens":{}}}`),
		put("routes/c", `{"prefix":"/c","service_name":"s","status":0,"plugins":{"opens":{}}}`))
	b.wantErrors("routes/a", "routes/b")
	if got := b.Status().Errors[0].Problems.Error(); got != "plugins.fails.x: is wrong" {
		t.Error(got)
	}
	if open != 0 {
		t.Errorf("%d instances are open", open)
	}
	b.apply(put("routes/d", `{"prefix":"/d","service_name":"s","plugins":{"opens":{}}}`))
	if open != 1 {
		t.Errorf("%d instances are open, want 1", open)
	}
	b.Close()
	if open != 0 {
		t.Errorf("%d instances are open after Close", open)
	}
}

func TestConditionsAreAskedWithTheFactsOfTheProxy(t *testing.T) {
	b := newBench(t)
	b.resync(put("routes/a", `{"prefix":"/a","service_name":"s","when":"path == '/a'"}`))
	if b.match("/a") != "" {
		t.Error("a condition holds without facts")
	}
}

var _ io.Closer = (*closable)(nil)
