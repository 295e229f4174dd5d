// Package observe is what the gateway tells about itself: counters, latency histograms and the access log.
//
// It is built for workers that never wait. Everything that a request touches belongs to one worker: a [Worker] and the memory behind it
// are written by that worker's loop alone and share no cache line with another's. A scrape reads the same memory with atomic loads
// and adds the workers up; it takes no lock that a worker could want, so no scrape, however slow, is felt by a request.
//
//	worker 0 ─► Worker 0 ─┬─► counters ──┐
//	                      └─► log ring ──│──┐
//	worker 1 ─► Worker 1 ─┬─► counters ──┼──│─► Collector (adds up, at a scrape)
//	                      └─► log ring ──┘  ├─► one writer goroutine ─► file
//
// # Cardinality
//
// The series grow with the routes that have been requested, not with those that exist: a route costs nothing in a scrape before its
// first request. One used route has at most 6 series of sluice_http_requests_total (one for each class of status that occurred) and 17 of
// sluice_http_request_duration_seconds (14 bounds, +Inf, sum, count). [MaxRoutes] routes at most have series of their own; those that are first used
// after that are counted together as route="(other)". A service has at most 6 series, and 7 more where the health of its nodes is looked after. The rest is fixed, about 50 series in all.
package observe

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// MaxRoutes is how many routes have series of their own. Its derivation: about 20 series of 100 bytes are 2 kB of text for each
// route, so a scrape stays near 20 MB, which a Prometheus server still takes in within its usual ten seconds.
const MaxRoutes = 10_000

// The names under which requests are counted that have no route's series to go to. A stored route of such a name shares it.
const (
	unmatchedID = ""        // no route matched
	overflowID  = "(other)" // the route came after MaxRoutes others
)

// Registry holds all that is counted in one process. Its methods may be called by any goroutine; none of them is for the data
// path, which has a [Worker], [Route] and [Service] in hand.
type Registry struct {
	workers   []*Worker
	maxRoutes int64
	ownRoutes atomic.Int64 // routes that have series of their own

	unmatched *Route // requests that matched no route
	overflow  *Route // requests of the routes beyond maxRoutes

	mu       sync.Mutex // guards routes and services
	routes   map[string]*Route
	services map[string]*Service

	accessLog atomic.Pointer[AccessLog] // nil = off

	// Told by the control plane.
	started   time.Time
	version   atomic.Pointer[string]
	revision  atomic.Int64
	inError   atomic.Int64
	logins    [loginResults]atomic.Uint64
	heldNodes atomic.Int64
	holds     atomic.Uint64
	snapshots atomic.Uint64
	applied   atomic.Int64                      // unix ms of the last snapshot; 0 = none yet
	store     atomic.Pointer[func() StoreState] // nil = nobody to ask

	rebuildsSame, rebuildsDifferent atomic.Uint64

	// Told by the watch of the memory.
	memoryUsed  atomic.Uint64
	memoryLimit atomic.Uint64
}

// NewRegistry returns a Registry for that many workers, at least one.
func NewRegistry(workers int) *Registry {
	r := &Registry{
		maxRoutes: MaxRoutes,
		routes:    make(map[string]*Route),
		services:  make(map[string]*Service),
		started:   time.Now(),
	}
	r.unmatched = &Route{id: unmatchedID}
	r.overflow = &Route{id: overflowID}
	r.routes[unmatchedID], r.routes[overflowID] = r.unmatched, r.overflow
	r.overflow.stats.grow(0)
	for i := range max(workers, 1) {
		r.workers = append(r.workers, &Worker{registry: r, index: i})
	}
	return r
}

// Worker returns the counters of worker i, counted from 0. It panics where i is out of range.
func (r *Registry) Worker(i int) *Worker { return r.workers[i] }

// Route returns the counters of the route id, which sends to service; the same ones for the same pair until [Registry.ForgetRoute], so
// that counts outlive a change of configuration. If the service of a route changes, its counters begin anew, under the new label.
func (r *Registry) Route(id, service string) *Route {
	id, service = label(id), label(service)
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.routes[id]; old != nil {
		if old.service == service || r.reserved(old) {
			return old
		}
		r.retire(old)
	}
	rt := &Route{id: id, service: service}
	r.routes[id] = rt
	return rt
}

// ForgetRoute ends the series of a route that was deleted. What exchanges in flight still count for it is lost.
func (r *Registry) ForgetRoute(id string) {
	id = label(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	if rt := r.routes[id]; rt != nil && !r.reserved(rt) {
		r.retire(rt)
		delete(r.routes, id)
	}
}

// reserved reports whether rt is one of the two that no route of the store stands behind.
func (r *Registry) reserved(rt *Route) bool { return rt == r.unmatched || rt == r.overflow }

// Service returns the counters of a service; the same ones for the same name until [Registry.ForgetService].
func (r *Registry) Service(name string) *Service {
	name = label(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.services[name]
	if s == nil {
		s = &Service{name: name}
		r.services[name] = s
	}
	return s
}

// ForgetService ends the series of a service that was deleted. What exchanges in flight still count for it is lost.
func (r *Registry) ForgetService(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.services, label(name))
}

// SetRevision tells that a snapshot came into force, and which revision of the store it shows. Every call counts one snapshot.
func (r *Registry) SetRevision(applied int64) {
	r.revision.Store(applied)
	r.applied.Store(time.Now().UnixMilli())
	r.snapshots.Add(1)
}

// SetResourcesInError tells how many resources of the store do not parse or validate.
func (r *Registry) SetResourcesInError(n int) { r.inError.Store(int64(n)) }

// SetMemory tells how much memory is in use, and how much may be.
func (r *Registry) SetMemory(used, limit uint64) {
	r.memoryUsed.Store(used)
	r.memoryLimit.Store(limit)
}

// SetVersion tells the version of the program.
func (r *Registry) SetVersion(version string) {
	version = label(version)
	r.version.Store(&version)
}

// SetAccessLog makes every worker write its finished exchanges to l from the next one on; nil turns the log off. It takes an AccessLog
// opened for at least as many workers as the registry has. The log that was set before is the caller's to close.
func (r *Registry) SetAccessLog(l *AccessLog) {
	r.accessLog.Store(l)
	for i, w := range r.workers {
		if l == nil {
			w.log.Store(nil)
			continue
		}
		w.log.Store(l.lines[i])
	}
}

// label makes s a label that a scrape may carry: Prometheus refuses a whole scrape for one byte that is not UTF-8.
func label(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
