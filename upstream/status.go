package upstream

import (
	"cmp"
	"slices"
)

// NodeStatus is what is known of one node.
type NodeStatus struct {
	Service     string
	Upstream    string // as it was registered, or as its SRV record says
	Address     string // where that is
	Weight      int
	Priority    int
	Zone        string
	Health      string // "healthy", "unhealthy" by its probes, "ejected" for what it answered, "unresolved" while its name is, or "unchecked" where nobody looks
	Why         string // of the latest change, and of the latest probe where that was bad
	Probed      bool   // there are probes, so that one that died is seen to be unhealthy without a request
	Connections int    // open, of all workers
}

// Status lists the nodes of all services, by service and node. Any goroutine may call it.
func (r *Registry) Status() []NodeStatus {
	r.mu.Lock()
	states := make([]*serviceState, 0, len(r.services))
	for _, s := range r.services {
		states = append(states, s)
	}
	r.mu.Unlock()
	var all []NodeStatus
	for _, s := range states {
		all = append(all, s.status()...)
	}
	slices.SortFunc(all, func(a, b NodeStatus) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Upstream, b.Upstream), cmp.Compare(a.Address, b.Address))
	})
	return all
}

func (s *serviceState) status() []NodeStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	active, passive := s.policy()
	list := make([]NodeStatus, 0, len(s.members))
	for _, m := range s.members {
		n := m.node
		one := NodeStatus{Service: s.name, Upstream: n.Address, Address: n.addr.String(), Weight: m.weight, Priority: m.tier, Zone: m.zone, Why: n.why, Probed: active != nil, Connections: n.Conns()}
		if n.checker != nil && n.checker.last != nil {
			one.Why = "probe: " + n.checker.last.Error()
		}
		switch word := n.health.Load(); {
		case word&ejected != 0:
			one.Health = "ejected"
		case word != 0:
			one.Health = "unhealthy"
		case active == nil && passive == nil:
			one.Health = "unchecked"
		default:
			one.Health = "healthy"
		}
		list = append(list, one)
	}
	for i := range s.specs {
		if spec := &s.specs[i]; s.names[spec.Upstream] != nil && s.names[spec.Upstream].targets == nil {
			list = append(list, NodeStatus{Service: s.name, Upstream: spec.Upstream, Weight: spec.Weight, Health: "unresolved"})
		}
	}
	return list
}
