package control

import (
	"fmt"
	"slices"
	"testing"

	"sluice/core/observe"
	"sluice/proxy"
	"sluice/router"
	"sluice/upstream"
)

// bench is an engine and what it has published.
type bench struct {
	*Engine
	t        testing.TB
	revision int64
	now      *proxy.Snapshot
	times    int
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t}
	stats := observe.NewRegistry(1)
	registry := upstream.NewRegistry(nil, stats)
	t.Cleanup(registry.Close)
	b.Engine = NewEngine(Options{Upstream: registry, Stats: stats, Publish: func(s *proxy.Snapshot) { b.now, b.times = s, b.times+1 }})
	return b
}

// put is a change that the next revision writes.
func put(key, value string) Change { return Change{Entry: Entry{Key: key, Value: []byte(value)}} }

func del(key string) Change { return Change{Entry: Entry{Key: key}, Deleted: true} }

// apply works changes in at the next revision.
func (b *bench) apply(changes ...Change) { b.t.Helper(); b.batch(false, changes) }

// resync is a full batch.
func (b *bench) resync(changes ...Change) { b.t.Helper(); b.batch(true, changes) }

func (b *bench) batch(full bool, changes []Change) {
	b.revision++
	for i := range changes {
		if changes[i].ModRevision == 0 {
			changes[i].ModRevision = b.revision
		}
	}
	b.Apply(Batch{Revision: b.revision, Full: full, Changes: changes})
	b.check()
}

// check compares the snapshot with the promises of proxy.Snapshot, which hold whatever came before.
func (b *bench) check() {
	b.t.Helper()
	if b.now == nil {
		b.t.Fatal("nothing is published")
	}
	for r := range b.now.Routes.All() {
		v := r.Value
		if v.Chain == nil || v.Stats == nil || v.ID != r.ID {
			b.t.Errorf("route %s is not complete: %+v", r.ID, v)
		}
		if v.Service < 0 || v.Service >= len(b.now.Services) || b.now.Services[v.Service] == nil || b.now.Services[v.Service].Name != v.ServiceName {
			b.t.Errorf("route %s leads to index %d, which is not %s", r.ID, v.Service, v.ServiceName)
		}
	}
}

// match returns the id of the route for a path, "" where there is none.
func (b *bench) match(path string) string {
	var m router.Match[*proxy.Route]
	if b.now.Routes.Match(&router.Query{Path: []byte(path), Method: []byte("GET")}, &m) != router.Found {
		return ""
	}
	return m.Rule.ID
}

// nodes returns the addresses that a service may pick.
func (b *bench) nodes(service string) (list []string) {
	for _, s := range b.now.Services {
		if s != nil && s.Name == service {
			for _, n := range s.Nodes() {
				list = append(list, n.Address)
			}
		}
	}
	slices.Sort(list)
	return list
}

func (b *bench) wantErrors(keys ...string) {
	b.t.Helper()
	var got []string
	for _, e := range b.Status().Errors {
		got = append(got, e.Key)
	}
	if !slices.Equal(got, keys) {
		b.t.Errorf("in error: %v, want %v: %+v", got, keys, b.Status().Errors)
	}
}

func route(prefix, service string) string {
	return fmt.Sprintf(`{"prefix":%q,"service_name":%q}`, prefix, service)
}

func nodeAt(service, address string) string {
	return fmt.Sprintf(`{"service_name":%q,"upstream":%q}`, service, address)
}
