package upstream

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

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

	// Health.
	prober   *prober
	defaults atomic.Pointer[HealthConfig] // for services that say nothing; nil = none
	context  context.Context              // ends with Close
	cancel   context.CancelFunc
}

// NewRegistry returns an empty registry for those workers, in the order of their numbers. What services do is counted in stats.
func NewRegistry(workers []Poster, stats *observe.Registry) *Registry {
	r := &Registry{workers: workers, stats: stats, services: map[string]*serviceState{}, seed: rand.Uint64, prober: newProber()}
	r.context, r.cancel = context.WithCancel(context.Background())
	return r
}

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
	s := &serviceState{name: name, zone: r.zone, registry: r, nodes: map[string]*Node{}, local: make([]localState, len(r.workers))}
	for i := range s.local {
		s.local[i].cursor.seed = r.seed() | 1
		s.local[i].queue.serve = func() { s.serveQueue(i) }
	}
	s.roster.Store(new(roster))
	return s
}

// take puts a view with those nodes in force. The caller holds s.mu.
func (s *serviceState) take(view *Service, specs []NodeSpec) {
	first := s.view == nil
	s.view, s.members = view, nil
	s.bounds.Store(view.bounds)
	if view.hedge != nil && s.heads.counts == nil {
		s.heads.counts = make([]uint64, headBuckets)
		s.heads.recent = make([]float64, headBuckets)
		s.measure()
	}
	if view.adaptive != nil && !s.adaption.running {
		s.adaption = adaption{running: true, limit: adaptInitial}
		s.adapt()
	}
	named := make(map[string]bool, len(specs))
	for i := range specs {
		spec := &specs[i]
		named[spec.Upstream] = true
		node, known := s.nodes[spec.Upstream]
		if !known {
			node = s.newNode(spec.Upstream)
			if !first {
				node.since = time.Now()
			}
			s.nodes[spec.Upstream] = node
		}
		node.useTLS(view.secure)
		if !known {
			s.preconnect(node)
		}
		s.members = append(s.members, member{node, spec.Weight, spec.tier(), spec.Metadata[metaZone]})
		if spec.Weight > 0 {
			view.nodes = append(view.nodes, node)
			view.addCookie(node)
		}
	}
	for _, address := range slices.Collect(maps.Keys(s.nodes)) {
		if !named[address] {
			s.retire(s.nodes[address])
			delete(s.nodes, address)
		}
	}
	s.watchHealth()
	s.muster()
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

func (s *serviceState) newNode(address string) *Node {
	n := &Node{Service: s.name, Address: address, identity: address, owner: s, pools: make([]pool, len(s.local))}
	n.id = max(1, xxhash.Sum64String(s.name+"\x00"+n.identity))
	for i := range n.pools {
		n.pools[i].worker, n.pools[i].stats = i, s.registry.stats.Worker(i)
	}
	if addr, err := netip.ParseAddrPort(address); err == nil {
		n.addr.Store(&addr)
		return n
	}
	n.stop = resolveInBackground(address, &n.addr, resolve)
	return n
}

// retire lets go of a node: no new view has it, and each loop closes what it keeps idle. Exchanges that hold it end as they would. The caller holds s.mu.
func (s *serviceState) retire(n *Node) {
	n.retired.Store(true)
	if n.stop != nil {
		n.stop()
	}
	if n.checker != nil {
		n.checker.stop()
	}
	if n.health.And(^ejected)&ejected != 0 {
		s.ejected.Add(-1)
	}
	for i, w := range s.registry.workers {
		w.Post(func() { n.retire(i) })
	}
}

// merge lists the nodes of the configuration and of discovery in a fixed order, each address once: discovery's word counts.
func merge(config *Config, discovered []NodeSpec) []NodeSpec {
	byAddress := map[string]NodeSpec{}
	if config != nil {
		for _, n := range config.Nodes {
			if spec, in := n.spec(); in {
				byAddress[spec.Upstream] = spec
			}
		}
	}
	for _, n := range discovered {
		byAddress[n.Upstream] = n
	}
	specs := slices.Collect(maps.Values(byAddress))
	slices.SortFunc(specs, func(a, b NodeSpec) int {
		if a.Upstream < b.Upstream {
			return -1
		}
		return 1
	})
	return specs
}

// spec returns the node as the registry takes it, and whether it is in.
func (n *NodeConfig) spec() (NodeSpec, bool) {
	spec := NodeSpec{Upstream: n.Upstream, Weight: DefaultWeight, Metadata: n.Metadata}
	if n.Weight != nil {
		spec.Weight = *n.Weight
	}
	return spec, n.Status == nil || *n.Status == 1
}

// newService fills in a view from the configuration.
func newService(name string, config *Config, state *serviceState) *Service {
	if config == nil {
		config = &Config{}
	}
	s := &Service{
		Name:            name,
		health:          config.Health,
		state:           state,
		Attempts:        valueOr(config.Retry.Attempts, DefaultAttempts),
		HTTP2:           config.HTTP2 || config.Protocol == "grpc",
		ConnectTimeout:  config.Timeout.Connect.Std(),
		ResponseTimeout: config.Timeout.Response.Std(),
		IdleTimeout:     config.Timeout.Idle.Std(),
		TryTimeout:      config.Timeout.PerTry.Std(),
		TotalTimeout:    config.Timeout.Total.Std(),
		Hedges:          config.Retry.Hedge != nil,
		hedge:           config.Retry.Hedge,
		backoff:         config.Retry.Backoff.Std(),
		maxBackoff:      config.Retry.MaxBackoff.Std(),
		maxRequests:     int64(config.Breaker.MaxRequests),
		maxRetries:      int64(config.Breaker.MaxRetries),
		queueTimeout:    config.Breaker.QueueTimeout.Std(),
		adaptive:        config.Breaker.Adaptive,
		budgetPercent:   valueOr(config.Retry.BudgetPercent, DefaultBudgetPercent),
		minPerSecond:    valueOr(config.Retry.MinPerSecond, DefaultMinPerSecond),
		secure:          newSecure(config.TLS, state.secure),
		pool:            newPoolSettings(&config.Pool),
		bounds:          boundsOf(&config.Breaker, &config.Pool),
	}
	s.balance(&config.Balancer)
	s.counted = s.counted || config.Breaker.PerNode.MaxRequests > 0
	on := config.Retry.On
	if on == nil {
		on = []string{"connect", "reset"}
	}
	s.RetryConnect = slices.Contains(on, "connect")
	s.RetryReset = slices.Contains(on, "reset")
	for status, bit := range map[string]StatusSet{"502": has502, "503": has503, "504": has504} {
		if slices.Contains(on, status) {
			s.RetryStatus |= bit
		}
	}
	return s
}

// balance fills in how nodes are picked.
func (s *Service) balance(c *BalancerConfig) {
	s.balancer = Balancer(max(0, slices.Index(balancers, c.Type)))
	if s.balancer == CHash {
		s.HashOn, s.HashKey, s.hashBalance = c.HashOn, c.Key, c.HashBalanceFactor
	}
	s.slowStart = c.SlowStart.Std()
	s.panicPercent = valueOr(c.PanicPercent, DefaultPanicPercent)
	if c.Sticky != nil {
		s.StickyCookie, s.stickyTTL, s.cookies = c.Sticky.Cookie, c.Sticky.TTL.Std(), map[*Node][]byte{}
	}
	s.counted = s.balancer == LeastConn || s.balancer == EWMA || s.hashBalance > 0
}

func valueOr(p *int, otherwise int) int {
	if p == nil {
		return otherwise
	}
	return *p
}
