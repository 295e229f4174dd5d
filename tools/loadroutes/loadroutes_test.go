package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sluice/control"
)

// What is loaded is what the gateway takes, each under a key of its own; otherwise the figures would be those of refused resources.
func TestEveryResourceIsValidAndHasAKeyOfItsOwn(t *testing.T) {
	const routes, services = 3000, 100
	keys := make(map[string]bool)
	for i := range routes + services {
		op := resource(i, routes, services)
		if err := control.Check(op.Key, op.Value); err != nil {
			t.Fatalf("%s: %v: %s", op.Key, err, op.Value)
		}
		keys[op.Key] = true
	}
	if len(keys) != routes+services {
		t.Errorf("%d keys for %d resources", len(keys), routes+services)
	}
}

func TestCheckFailsForEachFigureAboveItsBound(t *testing.T) {
	o := &options{routes: 100_000, connections: 1, workers: 1, check: true}
	few := figures{rss: 40 << 20, cpu: 10 * time.Microsecond}
	good := figures{load: time.Second, rss: few.rss + 1500*100_000, cpu: 11 * time.Microsecond, changes: []time.Duration{3 * time.Millisecond, time.Millisecond, 2 * time.Millisecond}}
	var out bytes.Buffer
	if err := report(&out, o, few, good); err != nil || !strings.Contains(out.String(), "median 2ms") {
		t.Errorf("%v: %s", err, out.String())
	}
	for what, change := range map[string]func(*figures){
		"load":                  func(f *figures) { f.load = 4 * time.Second },
		"memory":                func(f *figures) { f.rss += 1000 * 100_000 },
		"median of the changes": func(f *figures) { f.changes = []time.Duration{6 * time.Millisecond} },
		"CPU ratio":             func(f *figures) { f.cpu *= 2 },
	} {
		bad := good
		change(&bad)
		if err := report(&out, o, few, bad); err == nil || !strings.HasSuffix(err.Error(), ": "+what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
