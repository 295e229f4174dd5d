package upstream

import (
	"log/slog"
	"reflect"
)

// The health of a node is one word that all workers read. Two parties write it, each its own bit, and the node is in while both are clear:
//
//	           bad probes                        failed exchanges, success rate, latency
//	  ┌────────────────────► unhealthy       ┌──────────────────────────────────────────► ejected
//	healthy ◄──────────────────────┘       healthy ◄──────────────────────────────────────────┘
//	           good probes                       the time is over, or a probe shows that what was wrong no longer is
//
// Whoever changes the word sees to it that the roster follows; until it does, picks pass the node over by its word.
const (
	unhealthy uint32 = 1 << iota // the prober's word
	ejected                      // the word of real requests
)

// out reports whether the node is not to be asked.
func (n *Node) out() bool { return n.health.Load() != 0 }

// settle follows up a change of a node's health from was. The caller holds s.mu.
func (s *serviceState) settle(n *Node, was uint32, why string) {
	now := n.health.Load()
	if (was == 0) == (now == 0) || n.retired.Load() {
		return
	}
	in := now == 0
	level, text := slog.LevelWarn, "upstream: node is out"
	if in {
		level, text = slog.LevelInfo, "upstream: node is in again"
		n.since = s.registry.clock.Now()
		n.load.latency.forget()
		n.silentSince.Store(0)
		if n.warm.pool.preconnect > 0 {
			s.keepWarm(n)
		}
	}
	n.why = why
	s.registry.log().Log(s.registry.context, level, text, "service", s.name, "node", n.Address, "why", why)
	s.view.Stats.Flip(in)
	s.musterSoon()
}

// policy returns the halves of health that are in force: the service's own or, where it has none, those of the settings. The caller holds s.mu.
func (s *serviceState) policy() (active *ActiveHealth, passive *PassiveHealth) {
	if d := s.registry.defaults.Load(); d != nil {
		active, passive = d.Active, d.Passive
	}
	if h := s.view.health; h != nil {
		if h.Active != nil {
			active = h.Active
		}
		if h.Passive != nil {
			passive = h.Passive
		}
	}
	if active != nil && active.Type == "none" {
		active = nil
	}
	return active, passive
}

// watchHealth brings the checks in line with the policy and the members. The caller holds s.mu.
func (s *serviceState) watchHealth() {
	active, passive := s.policy()
	changed := s.probing != nil && active != nil && !reflect.DeepEqual(s.probing, active)
	s.probing = active
	for _, m := range s.members {
		n := m.node
		switch {
		case active == nil && n.checker != nil:
			n.checker.stop()
			n.checker = nil
			s.settle(n, n.health.And(^unhealthy), "it is not probed any more")
		case active != nil && n.checker == nil:
			n.checker = s.startChecker(n)
		case changed:
			s.soon(n.checker)
		}
	}
	was := s.passive.Swap(passive)
	if passive != nil {
		s.maxEjected.Store(int32(s.weighted() * *passive.MaxEjectedPercent / 100))
		if passive.sweeps() {
			s.within(&s.sweeping, passive.Interval.Std(), s.sweep)
		}
		if was != nil && was != passive {
			s.review(was, passive)
		}
		return
	}
	for _, m := range s.members {
		s.uneject(m.node, "nodes are not ejected any more")
	}
}

// weighted returns how many members have a weight. The caller holds s.mu.
func (s *serviceState) weighted() (n int) {
	for _, m := range s.members {
		if m.weight > 0 {
			n++
		}
	}
	return n
}

// SetHealthDefaults says what is done about the health of nodes whose service says nothing itself; nil is nothing. h must have been validated. Called by the
// registry's owner.
func (r *Registry) SetHealthDefaults(h *HealthConfig) {
	if r.defaults.Swap(h) == nil && h == nil {
		return
	}
	for _, s := range r.services {
		s.mu.Lock()
		s.watchHealth()
		s.muster()
		s.mu.Unlock()
	}
}
