package upstream

import (
	"slices"
)

// member is a node as one view of a service names it.
type member struct {
	node   *Node
	weight int // 0 drains
	tier   int // the lowest is asked, others stand by
	zone   string
}

// roster is who may be picked now. It is immutable; whenever nodes, weights or health change another is made, off the loops, and put in force by one
// store: every worker sees the same at its next pick, and no pick has to look for who is in.
type roster struct {
	balancer Balancer
	nodes    []*Node
	weights  []int            // by position in nodes; none is 0
	total    int              // the sum of those that are in; at least 1
	order    []uint32         // the schedule: positions in nodes. Not of CHash
	starts   []uint32         // by worker: where in the schedule it begins
	ring     *ring            // of CHash alone
	ids      map[uint64]*Node // for sticky sessions; else nil
	cookies  map[*Node][]byte // the same: what a client is told
	// panicking tells that too few nodes are in for the word of health to be believed: all are asked.
	panicking bool
	// believing tells that the word of health counts whatever it says: there is no panic.
	believing bool
}

// muster makes the roster anew and puts it in force. The caller holds s.mu.
func (s *serviceState) muster() {
	all, in := s.choose()
	r := &roster{balancer: s.view.balancer, panicking: in == nil, believing: s.view.panicPercent == 0}
	use := in
	if r.panicking || r.balancer == CHash { // whose ring is passed over where a node is out
		use = all
	}
	r.nodes, r.weights = make([]*Node, 0, len(use)), make([]int, 0, len(use))
	for _, m := range use {
		r.nodes = append(r.nodes, m.node)
		r.weights = append(r.weights, m.weight)
	}
	if r.balancer == CHash {
		s.ring = s.ring.of(r.nodes, r.weights, s.heaviest())
		r.ring = s.ring
	} else {
		s.warmUp(r)
		r.order = schedule(r.weights)
		r.starts = startsOf(len(s.local), len(r.order))
	}
	for i, w := range r.weights {
		if r.panicking || !r.nodes[i].out() { // a ring holds others too, which carry nothing
			r.total += w
		}
	}
	r.total = max(1, r.total)
	if s.view.StickyCookie != "" {
		r.ids, r.cookies = make(map[uint64]*Node, len(r.nodes)), make(map[*Node][]byte, len(r.nodes))
		for _, n := range r.nodes {
			r.ids[n.id], r.cookies[n] = n, s.view.cookie(n)
		}
	}
	s.roster.Store(r)
	s.tellNodes()
	s.tellAll() // there may be room that nobody has freed
}

// heaviest returns the largest weight of a member, of one that is drained the one it had: when the heaviest drained, all others would be scaled anew, and their keys move too. The caller
// holds s.mu.
func (s *serviceState) heaviest() int {
	most := 1
	for _, m := range s.members {
		most = max(most, m.node.carried)
	}
	return most
}

// musterSoon makes the roster anew in a moment, once for all flips that come until then: a rack that goes out takes thousands of nodes with it. The caller holds s.mu.
func (s *serviceState) musterSoon() {
	if s.mustering {
		return
	}
	s.mustering = true
	s.later(0, func() {
		s.mustering = false
		s.muster()
	})
}

// tellNodes tells how many nodes are in.
func (s *serviceState) tellNodes() {
	if active, passive := s.policy(); active == nil && passive == nil {
		return
	}
	in, out := 0, 0
	for _, m := range s.members {
		switch {
		case m.weight == 0:
		case m.node.out():
			out++
		default:
			in++
		}
	}
	s.view.Stats.SetNodes(in, out)
}

// choose returns the members that the traffic is for, and which of them are in; in is nil where there is panic. The first tier of which enough are in takes
// it; where none has enough, all of the first do, whatever is said of their health. Within a tier the gateway's own zone comes first, as long as enough of it are in.
func (s *serviceState) choose() (all, in []member) {
	tiers, order := s.tiers()
	for _, t := range order {
		all := tiers[t]
		in, ok := enough(all, s.view.panicPercent)
		if !ok {
			continue
		}
		if s.zone == "" {
			return all, in
		}
		near := slices.DeleteFunc(slices.Clone(all), func(m member) bool { return m.zone != s.zone })
		if nearIn, ok := enough(near, zonePercent); ok {
			return near, nearIn
		}
		return all, in
	}
	switch {
	case len(order) == 0:
		return nil, nil
	case s.view.panicPercent == 0: // health is believed, whatever it says
		return tiers[order[0]], []member{}
	}
	return tiers[order[0]], nil
}

// tiers returns the members that have a weight by their tiers, and those in their order. Most services have one, which is what is made room for.
func (s *serviceState) tiers() (tiers map[int][]member, order []int) {
	tiers = make(map[int][]member, 1)
	for i, m := range s.members {
		if m.weight == 0 {
			continue
		}
		tier := tiers[m.tier]
		if tier == nil {
			order = append(order, m.tier)
			if len(order) == 1 {
				tier = make([]member, 0, len(s.members)-i)
			}
		}
		tiers[m.tier] = append(tier, m)
	}
	slices.Sort(order)
	return tiers, order
}

// zonePercent is how many nodes of the gateway's own zone must be in for its traffic to stay there: with less than half, those that are left would have more than twice their load.
const zonePercent = 50

// enough returns the members that are in, and whether they are some and at least that percentage.
func enough(all []member, percent int) (in []member, ok bool) {
	in = make([]member, 0, len(all))
	for _, m := range all {
		if !m.node.out() {
			in = append(in, m)
		}
	}
	return in, len(in) > 0 && 100*len(in) >= percent*len(all)
}

// Slow start: a node that has come in is given a growing part of its weight, from a tenth on, in as many steps.
const (
	warmSteps = 10
	warmScale = 20 // parts of a weight of 1, so that a tenth of it is something
)

// warmUp lowers the weights of nodes that have come in not long ago, and sees to it that they are raised again.
func (s *serviceState) warmUp(r *roster) {
	slow := s.view.slowStart
	if slow == 0 {
		return
	}
	now := s.registry.clock.Now()
	warming := false
	weights := slices.Clone(r.weights)
	for i, n := range r.nodes {
		weights[i] *= warmScale
		if step := int(warmSteps * now.Sub(n.since) / slow); !n.since.IsZero() && step < warmSteps {
			warming = true
			weights[i] = max(1, weights[i]*max(1, step)/warmSteps)
		}
	}
	if !warming {
		return
	}
	r.weights = weights
	s.within(&s.warming, slow/warmSteps, s.muster) // where nodes come all the time there would be one more with each
}
