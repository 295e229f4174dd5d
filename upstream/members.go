package upstream

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// nameState is a name that nodes are found by, while a view has it.
type nameState struct {
	targets []instance // nil until it has been resolved
	round   uint64     // of assemble, which named it last
	stop    context.CancelFunc
}

// take puts a view with those nodes in force. The caller holds s.mu.
func (s *serviceState) take(view *Service, specs []NodeSpec) {
	was := s.view
	first := was == nil
	s.view, s.specs = view, specs
	s.bounds.Store(view.bounds)
	if view.hedge != nil && s.heads.counts == nil {
		s.heads.counts = make([]uint64, headBuckets)
		s.heads.recent = make([]float64, headBuckets)
		s.measure()
	}
	switch {
	case view.adaptive == nil:
	case s.adaption.running:
		s.keepLimit()
	default:
		s.adaption = adaption{running: true, limit: adaptInitial}
		s.adapt()
	}
	s.assemble(!first)
	if was != nil && (was.pool != view.pool || narrower(was.bounds, view.bounds)) {
		s.fitPools()
	}
	view.nodes = make([]*Node, 0, len(s.members))
	for _, m := range s.members {
		if m.weight > 0 {
			view.nodes = append(view.nodes, m.node)
		}
	}
}

// assemble makes the members anew, of what is named and what the names lead to. late tells that nodes which are new have come to others. The caller holds s.mu.
func (s *serviceState) assemble(late bool) {
	s.members = make([]member, 0, len(s.specs))
	s.round++
	for i := range s.specs {
		spec := &s.specs[i]
		if t, ok := s.literal(spec.Upstream); ok {
			s.join(spec, spec.Upstream, t, late)
			continue
		}
		n := s.names[spec.Upstream]
		if n == nil {
			n = s.resolve(spec.Upstream)
			s.names[spec.Upstream] = n
		}
		n.round = s.round
		for _, t := range n.targets {
			s.join(spec, spec.Upstream+"@"+t.addr.String(), t, late)
		}
	}
	for identity, node := range s.nodes {
		if node.round != s.round {
			s.retire(node)
			delete(s.nodes, identity)
		}
	}
	for text, n := range s.names {
		if n.round != s.round {
			n.stop()
			delete(s.names, text)
		}
	}
	s.watchHealth()
	s.muster()
}

// literal returns the instance that an address names; false where it is a name. What is a node already need not be read once more. The caller holds s.mu.
func (s *serviceState) literal(upstream string) (instance, bool) {
	if known := s.nodes[upstream]; known != nil {
		return instance{host: upstream, addr: known.addr, weight: 1}, true
	}
	addr, err := netip.ParseAddrPort(upstream)
	return instance{host: upstream, addr: addr, weight: 1}, err == nil
}

// join makes an instance a member. Its node is the one of before, if there is one.
func (s *serviceState) join(spec *NodeSpec, identity string, t instance, late bool) {
	node, known := s.nodes[identity]
	if !known {
		node = s.newNode(identity, t)
		if late {
			node.since = s.registry.clock.Now()
		}
		s.nodes[identity] = node
	}
	node.round = s.round
	node.useTLS(s.view.secure)
	node.http2.Store(s.view.HTTP2)
	weight := min(MaxWeight, spec.Weight*t.weight)
	if known && node.weight == 0 && weight > 0 {
		node.since = s.registry.clock.Now()
	}
	node.weight = weight
	if weight > 0 {
		node.carried = weight
	}
	s.preconnect(node, weight)
	s.members = append(s.members, member{node, weight, spec.tier() + t.tier, spec.Metadata[metaZone]})
}

// resolve begins to look up a name.
func (s *serviceState) resolve(text string) *nameState {
	n := &nameState{}
	ctx, cancel := context.WithCancel(s.registry.context)
	n.stop = cancel
	resolveInBackground(ctx, text, s.registry.find, func(targets []instance) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if ctx.Err() != nil || s.closed {
			return
		}
		late := n.targets != nil
		n.targets = targets
		s.assemble(late)
	})
	return n
}

func (s *serviceState) newNode(identity string, t instance) *Node {
	n := &Node{Service: s.name, Address: t.host, identity: identity, addr: t.addr, owner: s, pools: make([]pool, len(s.local))}
	n.id = max(1, xxhash.Sum64String(s.name+"\x00"+identity))
	for i := range n.pools {
		n.pools[i].worker, n.pools[i].stats = i, s.registry.stats.Worker(i)
	}
	return n
}

// retire lets go of a node: no new view has it, and each loop closes what it keeps idle. Exchanges that hold it end as they would. The caller holds s.mu.
func (s *serviceState) retire(n *Node) {
	n.retired.Store(true)
	if n.checker != nil {
		n.checker.stop()
	}
	s.clearEjected(n)
	for i, w := range s.registry.workers {
		w.Post(func() { n.retire(i) })
	}
}

// merge lists the nodes of the configuration and of discovery in the order of their addresses, each once: discovery's word counts. discovered has each address once, and is
// the caller's no more.
func merge(config *Config, discovered []NodeSpec) []NodeSpec {
	specs := discovered
	if config != nil && len(config.Nodes) > 0 {
		told := make(map[string]bool, len(discovered)+len(config.Nodes))
		for i := range discovered {
			told[discovered[i].Upstream] = true
		}
		for i := len(config.Nodes) - 1; i >= 0; i-- { // of two with one address the last counts
			if spec, in := config.Nodes[i].spec(); in && !told[spec.Upstream] {
				told[spec.Upstream] = true
				specs = append(specs, spec)
			}
		}
	}
	// Discovery's come in this order but for those that have just come, and a sort that has nothing to do is a look at each.
	slices.SortFunc(specs, func(a, b NodeSpec) int { return strings.Compare(a.Upstream, b.Upstream) })
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
