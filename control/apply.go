package control

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"sluice/core/observe"
	"sluice/internal/problem"
	"sluice/proxy"
	"sluice/router"
	"sluice/upstream"
)

// Options is what an [Engine] works with. All but Configure, Keep and Log is needed.
type Options struct {
	Upstream  *upstream.Registry    // owned by the engine from now on; close it after the engine
	Stats     *observe.Registry     // where the counters of routes come from
	Publish   func(*proxy.Snapshot) // puts a snapshot in force; called by the goroutine that calls Apply
	Configure func(LiveSettings)    // puts changed settings in force, before the snapshot of the same batch; called by the same goroutine; nil = nobody does

	// Keep is told, after a batch, of the resources whose stored value is in force now and of those that are gone; not of the refused ones, whose
	// last good version stays. It must not wait, and may keep the slice. Called by the goroutine that calls Apply; nil = nobody asks.
	Keep func(changes []Change, revision int64)

	Log *slog.Logger // told of resources that go bad and come back; nil = nobody is
}

// Engine keeps what the store holds and publishes it as snapshots. It is a [Sink]: Apply is called by one goroutine at a time. Status may be
// called by any.
//
// Work is by difference: a resource whose value has not changed is not looked at again, a changed route costs the path to its
// leaf in the table, and a changed node touches its service alone. A batch makes one snapshot at most, and none when nothing is different.
//
// A value that does not parse or validate is left out and remembered with its problems; what was in force for its key stays so until a
// good value comes or the key is deleted.
type Engine struct {
	options Options
	kinds   kindLookup

	// Owned by who calls Apply.
	documents map[string]document // by key: the last value looked at, good or bad
	counts    map[Kind]int        // of documents
	errors    errorList
	table     routes
	refused   map[string]candidate // by route id: valid, but refused by the table for what stands beside it
	services  services
	others    others
	status    Status

	published atomic.Pointer[Status]
	acme      atomic.Pointer[[]ACMEName]

	// Rebuild's.
	mu     sync.Mutex                                 // held by Apply, and by Rebuild while it puts another table in place
	routed atomic.Pointer[router.Table[*proxy.Route]] // the table in force
	proven routes                                     // that is known to be right
	build  func([]rule) (routes, error)               // tests change it
}

// routes is a table of routes.
type routes = *router.Table[*proxy.Route]

// document is what tells a changed value from an unchanged one. The revision alone would not: a restored store may count anew.
type document struct {
	revision int64
	hash     uint64
}

// NewEngine returns an engine that has seen nothing yet.
func NewEngine(o Options) *Engine {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Configure == nil {
		o.Configure = func(LiveSettings) {}
	}
	e := &Engine{
		options:   o,
		kinds:     standard,
		documents: make(map[string]document),
		counts:    make(map[Kind]int),
		errors:    errorList{byKey: make(map[string]ResourceError)},
		table:     new(router.Table[*proxy.Route]),
		build:     buildRoutes,
		refused:   make(map[string]candidate),
		services:  newServices(o.Upstream),
		others:    newOthers(),
	}
	e.services.certificates = e.others.certificates
	e.published.Store(new(Status))
	return e
}

// Status returns what is known now. The result is shared and must not be changed.
func (e *Engine) Status() *Status { return e.published.Load() }

// Apply works a batch in and publishes a snapshot if anything is different. The first batch always publishes one.
func (e *Engine) Apply(b Batch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := work{engine: e, put: make(map[string]candidate), take: make(map[string]bool)}
	w.ahead = e.compileAhead(b.Changes)
	if b.Full {
		w.deleteMissing(b.Changes)
	}
	for i := range b.Changes {
		w.change(&b.Changes[i])
	}
	changed := e.others.configure(e.options.Configure)
	changed = w.routes() || changed
	changed = e.updateServices() || changed
	if e.others.compile() {
		changed = true
		wanted := e.others.wanted
		e.acme.Store(&wanted)
	}
	if changed || e.status.Snapshots == 0 {
		e.publish(b.Revision)
	}
	e.tell(b.Revision)
	w.keep(b.Revision)
}

// publish puts what there is now in force.
func (e *Engine) publish(revision int64) {
	e.routed.Store(e.table)
	e.options.Publish(&proxy.Snapshot{Revision: revision, Routes: e.table, Services: e.services.view(),
		Plugins: e.others.plugins, Certificates: e.others.compiled, Challenges: e.others.answering})
	e.status.Snapshots++
	e.status.Published = revision
}

// tell makes the status known.
func (e *Engine) tell(revision int64) {
	e.status.Revision = revision
	e.status.Applied = time.Now()
	e.status.Routes, e.status.Services, e.status.Nodes = e.table.Len(), e.services.len(), e.counts[Nodes]
	e.status.Consumers, e.status.Certificates, e.status.Settings = len(e.others.consumers), len(e.others.certificates), len(e.others.settings)
	e.status.Errors = e.errors.list()
	e.options.Stats.SetResourcesInError(len(e.status.Errors))
	now := e.status
	e.published.Store(&now)
}

// Close closes the plugins of all routes in force. No exchange may run any more.
func (e *Engine) Close() {
	for r := range e.table.All() {
		r.Value.Chain.Close()
	}
	if e.others.plugins != nil {
		e.others.plugins.Close()
	}
}

// work is one batch on its way in.
type work struct {
	engine *Engine
	put    map[string]candidate // by route id
	take   map[string]bool      // route ids that go out
	ahead  ahead
	good   []Change // that took effect, as far as is known before the table and the services are made
}

// candidate is a route on its way into the table, and what it was made from.
type candidate struct {
	rule   rule
	change Change
}

// keep hands on what has come into force, and what is gone.
func (w *work) keep(revision int64) {
	e := w.engine
	if e.options.Keep == nil {
		return
	}
	e.options.Keep(slices.DeleteFunc(w.good, func(c Change) bool {
		_, bad := e.errors.byKey[c.Key]
		return bad
	}), revision)
}

// deleteMissing deletes what a full batch does not have.
func (w *work) deleteMissing(all []Change) {
	there := make(map[string]bool, len(all))
	for i := range all {
		there[all[i].Key] = !all[i].Deleted
	}
	for key := range w.engine.documents {
		if !there[key] {
			w.change(&Change{Entry: Entry{Key: key}, Deleted: true})
		}
	}
}

// change looks at one change.
func (w *work) change(c *Change) {
	e := w.engine
	kind, id, ok := SplitKey(c.Key)
	if ServedByACME(c.Key) {
		kind, id, ok = acmeKind, strings.TrimPrefix(c.Key, ACMEFolder), true
	}
	if !ok || kind == Users {
		return // not a resource at all, or one that the data plane has nothing to do with
	}
	before, known := e.documents[c.Key]
	if c.Deleted {
		if known {
			delete(e.documents, c.Key)
			e.counts[kind]--
			e.errors.clear(c.Key)
			w.remove(kind, c.Key, id)
			w.good = append(w.good, *c)
		}
		return
	}
	now := document{c.ModRevision, xxhash.Sum64(c.Value)}
	e.documents[c.Key] = now
	if !known {
		e.counts[kind]++
	}
	w.good = append(w.good, *c)
	if known && now.hash == before.hash {
		if _, bad := e.errors.byKey[c.Key]; kind == Nodes && !bad {
			e.services.renew(c.Key, now.revision)
		}
		return
	}
	w.takeIn(kind, c, id)
}

// takeIn puts a value that is new in force, or remembers why it cannot be.
func (w *work) takeIn(kind Kind, c *Change, id string) {
	e := w.engine
	problems, stack := guarded(func() problem.Problems { return w.store(kind, c, id) })
	if len(problems) > 0 {
		if kind == Routes {
			delete(e.refused, id) // it was waiting for its turn, and is not wanted any more
		}
		e.refuse(c.Key, c.ModRevision, problems, stack)
		return
	}
	if _, bad := e.errors.byKey[c.Key]; bad {
		e.errors.clear(c.Key)
		e.options.Log.Info("resource is good again", "key", c.Key, "revision", c.ModRevision)
	}
}

// refuse remembers that the stored value of a key is not in force.
func (e *Engine) refuse(key string, revision int64, problems problem.Problems, stack []byte) {
	bad := ResourceError{Key: key, Revision: revision, Problems: problems, Previous: e.inForce(key)}
	old, again := e.errors.byKey[key]
	e.errors.set(bad)
	if again && old.Revision == revision {
		return // tried once more with the same end
	}
	args := []any{"key", key, "revision", revision, "problems", problems.Error(), "previous_version_in_force", bad.Previous}
	if stack != nil {
		args = append(args, "stack", string(stack))
	}
	e.options.Log.Warn("resource refused", args...)
}

func (e *Engine) inForce(key string) bool {
	kind, id, _ := SplitKey(key)
	switch kind {
	case Routes:
		return e.table.Get(id) != nil
	case Services:
		return e.services.configs[id] != nil
	case Nodes:
		_, ok := e.services.nodes[key]
		return ok
	}
	return e.others.has(kind, id)
}

// store takes in a new value, or says what is wrong with it.
func (w *work) store(kind Kind, c *Change, id string) problem.Problems {
	e := w.engine
	switch kind {
	case Routes:
		one, enabled, problems := w.compile(id, c)
		if len(problems) > 0 {
			return problems
		}
		delete(e.refused, id)
		if enabled {
			w.put[id] = candidate{one, *c}
			delete(w.take, id)
		} else {
			w.remove(kind, c.Key, id)
		}
	case Services:
		config, err := decodeServiceAt(id, c.Value)
		if err != nil {
			return asProblems(err)
		}
		e.services.configure(id, config)
	case Nodes:
		n, err := ReadNode(id, c.Value)
		if err != nil {
			return asProblems(err)
		}
		e.services.register(c.Key, c.ModRevision, n)
	default:
		if err := e.others.put(kind, id, c.Value); err != nil {
			return asProblems(err)
		}
		if kind == Certificates {
			e.services.touchCertificate(id)
		}
	}
	return nil
}

// remove takes a resource out.
func (w *work) remove(kind Kind, key, id string) {
	e := w.engine
	switch kind {
	case Routes:
		delete(w.put, id)
		delete(e.refused, id)
		w.take[id] = true
	case Services:
		e.services.configure(id, nil)
	case Nodes:
		e.services.unregister(key)
	default:
		e.others.remove(kind, id)
		if kind == Certificates {
			e.services.touchCertificate(id)
		}
	}
}

// updateServices brings the services that something has changed for up to date, and reports whether there were any.
func (e *Engine) updateServices() bool {
	changed := false
	for name := range e.services.dirty {
		problems, stack := guarded(func() problem.Problems {
			changed = e.services.update(name) || changed
			return nil
		})
		if problems != nil {
			key := Services.Key(name)
			e.refuse(key, e.documents[key].revision, problems, stack)
		}
	}
	clear(e.services.dirty)
	return changed
}

var _ Sink = (*Engine)(nil)
