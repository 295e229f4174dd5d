package upstream

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// nameState is a name that nodes are found by, while a view has it.
type nameState struct {
	targets []instance // nil until it has been resolved
	stop    context.CancelFunc
}

// take puts a view with those nodes in force. The caller holds s.mu.
func (s *serviceState) take(view *Service, specs []NodeSpec) {
	first := s.view == nil
	s.view, s.specs = view, specs
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
	s.assemble(!first)
	for _, m := range s.members {
		if m.weight > 0 {
			view.nodes = append(view.nodes, m.node)
		}
	}
}

// assemble makes the members anew, of what is named and what the names lead to. late tells that nodes which are new have come to others. The caller holds s.mu.
func (s *serviceState) assemble(late bool) {
	s.members = nil
	named := make(map[string]bool, len(s.specs))
	for i := range s.specs {
		spec := &s.specs[i]
		if addr, err := netip.ParseAddrPort(spec.Upstream); err == nil {
			s.join(spec, spec.Upstream, instance{host: spec.Upstream, addr: addr, weight: 1}, late)
			named[spec.Upstream] = true
			continue
		}
		n := s.names[spec.Upstream]
		if n == nil {
			n = s.resolve(spec.Upstream)
			s.names[spec.Upstream] = n
		}
		named[spec.Upstream] = true
		for _, t := range n.targets {
			identity := spec.Upstream + "@" + t.addr.String()
			s.join(spec, identity, t, late)
			named[identity] = true
		}
	}
	for _, identity := range slices.Collect(maps.Keys(s.nodes)) {
		if !named[identity] {
			s.retire(s.nodes[identity])
			delete(s.nodes, identity)
		}
	}
	for _, text := range slices.Collect(maps.Keys(s.names)) {
		if !named[text] {
			s.names[text].stop()
			delete(s.names, text)
		}
	}
	s.watchHealth()
	s.muster()
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
	node.useTLS(s.view.secure)
	weight := min(MaxWeight, spec.Weight*t.weight)
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
