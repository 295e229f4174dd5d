package upstream

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"sluice/core/observe"
)

// Poster is a worker's loop as the registry sees it.
type Poster interface{ Post(f func()) }

// Registry keeps the identity of services and nodes over the snapshots. One goroutine, the one that builds snapshots, owns it; Status may be called by any.
type Registry struct {
	workers  []Poster
	stats    *observe.Registry
	mu       sync.Mutex // guards services, which the owner alone changes
	services map[string]*serviceState
	zone     string        // where the gateway is; "" = not known
	seed     func() uint64 // of random numbers
	clock    Clock
	quiet    bool // nothing is logged
	find     lookup

	// Health.
	prober   *prober
	defaults atomic.Pointer[HealthConfig] // for services that say nothing; nil = none
	context  context.Context              // ends with Close
	cancel   context.CancelFunc
}

// NewRegistry returns an empty registry for those workers, in the order of their numbers. What services do is counted in stats.
func NewRegistry(workers []Poster, stats *observe.Registry) *Registry {
	r := &Registry{workers: workers, stats: stats, services: map[string]*serviceState{}, seed: rand.Uint64, find: resolve, prober: newProber(), clock: realClock()}
	r.context, r.cancel = context.WithCancel(context.Background())
	return r
}

// SetZone says where the gateway is: nodes of the same zone are preferred, by services that are named from then on. Called by the registry's owner, before it names any.
func (r *Registry) SetZone(zone string) { r.zone = zone }

// Update returns the view of a service with that configuration (nil = all defaults; it must have been validated) and those nodes beside the ones
// that the configuration names. A node that was there before keeps its connections; one that is no longer named is retired.
func (r *Registry) Update(name string, config *Config, discovered []NodeSpec) *Service {
	state := r.services[name]
	if state == nil {
		state = r.newState(name)
		r.mu.Lock()
		r.services[name] = state
		r.mu.Unlock()
	}
	s := newService(name, config, state)
	s.Stats = r.stats.Service(name)
	state.mu.Lock()
	defer state.mu.Unlock()
	state.secure = s.secure
	state.take(s, merge(config, discovered))
	return s
}

// newState returns what a service that has just been named has: nothing.
func (r *Registry) newState(name string) *serviceState {
	s := &serviceState{name: name, zone: r.zone, registry: r, nodes: map[string]*Node{}, names: map[string]*nameState{}, local: make([]localState, len(r.workers))}
	for i := range s.local {
		s.local[i].cursor.seed = r.seed() | 1
		s.local[i].queue.serve = func() { s.serveQueue(i) }
	}
	s.roster.Store(new(roster))
	return s
}

// Remove forgets a service and retires its nodes.
func (r *Registry) Remove(name string) {
	state := r.services[name]
	if state == nil {
		return
	}
	state.mu.Lock()
	state.closed = true
	for _, node := range state.nodes {
		state.retire(node)
	}
	for _, n := range state.names {
		n.stop()
	}
	state.mu.Unlock()
	r.mu.Lock()
	delete(r.services, name)
	r.mu.Unlock()
	r.stats.ForgetService(name)
}

// Close retires every node. Connections in use are closed by their loops.
func (r *Registry) Close() {
	r.cancel()
	for name := range r.services {
		r.Remove(name)
	}
	r.prober.close()
}
