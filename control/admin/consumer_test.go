package admin

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"sluice/control"
	"sluice/core/observe"
	"sluice/proxy"
	"sluice/upstream"
)

// followed is a store whose consumers are in force as soon as they are written.
type followed struct {
	*memory
	engine *control.Engine
	lists  int // of consumers
}

func newFollowed(t *testing.T) *followed {
	stats := observe.NewRegistry(1)
	registry := upstream.NewRegistry(nil, stats)
	t.Cleanup(registry.Close)
	return &followed{memory: newMemory(), engine: control.NewEngine(control.Options{Upstream: registry, Stats: stats, Publish: func(*proxy.Snapshot) {}})}
}

// apply has everything that is stored put in force.
func (f *followed) apply() {
	entries, revision, _ := f.memory.List(context.Background(), "", "", 0)
	b := control.Batch{Revision: revision, Full: true}
	for _, e := range entries {
		b.Changes = append(b.Changes, control.Change{Entry: e})
	}
	f.engine.Apply(b)
}

func (f *followed) Commit(ctx context.Context, ops []control.Op, guards ...control.Guard) (int64, error) {
	defer f.apply()
	return f.memory.Commit(ctx, ops, guards...)
}

func (f *followed) List(ctx context.Context, prefix, after string, limit int) ([]control.Entry, int64, error) {
	if prefix == control.Consumers.Folder() {
		f.lists++
	}
	return f.memory.List(ctx, prefix, after, limit)
}

// Two consumers with the same key cannot be told apart by it: whoever gives one to the second is told so, in a dry run too, and so is who asks for warnings. The key itself is not said.
func TestConsumersWithTheSameCredentialAreWarnedOf(t *testing.T) {
	store := newFollowed(t)
	g := newGateway(t, func(d *Deps) { d.Store, d.Claimants = store, store.engine.Claimants })
	key := func(k string) string { return fmt.Sprintf(`{"credentials":{"key-auth":{"key":%q}}}`, k) }
	if w := g.do("PUT", "/v1/consumers/ann", key("swordfish")).want(201).header.Values(WarningField); len(w) != 0 {
		t.Errorf("the first: %v", w)
	}
	if w := g.do("PUT", "/v1/consumers/bob", key("other")).want(201).header.Values(WarningField); len(w) != 0 {
		t.Errorf("one with another key: %v", w)
	}
	w := g.do("PUT", "/v1/consumers/bob", key("swordfish")).want(200).header.Values(WarningField)
	if len(w) != 1 || !strings.Contains(w[0], "duplicate: credentials.key-auth.key is also that of consumers/ann") || strings.Contains(w[0], "swordfish") {
		t.Errorf("one with the same key: %v", w)
	}
	if store.lists != 0 {
		t.Errorf("writes have read all consumers %d times", store.lists)
	}
	var l Lint
	g.do("GET", "/v1/lint", "").want(200).into(&l)
	if got := messages(l.Warnings); len(got) != 1 || got[0] != "consumers/bob duplicate" {
		t.Errorf("lint: %v", got)
	}
	g.do("PATCH", "/v1/consumers/ann", `{"status":0}`).want(200) // as if she were not there
	g.do("GET", "/v1/lint", "").want(200).into(&l)
	if len(l.Warnings) != 0 {
		t.Errorf("lint once one is out: %v", l.Warnings)
	}
	// Names that are the ids by default count too: a name may be somebody else's id.
	g.do("PUT", "/v1/consumers/cid", `{"credentials":{"basic-auth":{"password":"p"}}}`).want(201)
	w = g.do("PUT", "/v1/consumers/eve", `{"credentials":{"basic-auth":{"username":"cid","password":"q"}}}`).want(201).header.Values(WarningField)
	if len(w) != 1 || !strings.Contains(w[0], "credentials.basic-auth.username") {
		t.Errorf("the name of another: %v", w)
	}
}

// What is in force may be a moment behind the store: nobody is warned of a credential that another has given up by then.
func TestACredentialThatWasGivenUpIsNotWarnedOf(t *testing.T) {
	store := newFollowed(t)
	g := newGateway(t, func(d *Deps) { d.Store, d.Claimants = store, store.engine.Claimants })
	g.do("PUT", "/v1/consumers/ann", `{"credentials":{"key-auth":{"key":"k"}}}`).want(201)
	store.set("consumers/ann", `{"credentials":{"key-auth":{"key":"another"}}}`)
	var plan Plan
	if g.do("PUT", "/v1/consumers/bob?dry_run=1", `{"credentials":{"key-auth":{"key":"k"}}}`).want(200).into(&plan); len(plan.Warnings) != 0 {
		t.Errorf("%v", plan.Warnings)
	}
	g.do("PUT", "/v1/consumers/bob", `{"credentials":{"key-auth":{"key":"k"}}}`).want(201)
	// Of those who still have it, the first are named.
	var all []string
	for i := range 3 * mostWarnings {
		all = append(all, fmt.Sprintf(`{"kind":"consumers","id":"c%03d","value":{"credentials":{"key-auth":{"key":"k"}}}}`, i))
	}
	g.do("POST", "/v1/apply", `{"resources":[`+strings.Join(all, ",")+`]}`).want(200)
	w := g.do("PUT", "/v1/consumers/zoe", `{"credentials":{"key-auth":{"key":"k"}}}`).want(201).header.Values(WarningField)
	if len(w) != 1 || !strings.Contains(w[0], "consumers/bob") {
		t.Errorf("%v", w)
	}
}
