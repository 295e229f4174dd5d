package upstream

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// Failure is how a try came to nothing.
type Failure uint8

// The failures.
const (
	FailedConnect Failure = iota // there was no connection
	FailedBroken                 // there was, and it ended, or brought nothing in time, or what is not HTTP
	FailedStatus                 // the answer was a 5xx
	failedRate                   // too many of the above
	failedSlow                   // the answers took too long
)

// String returns what a node has done to be ejected.
func (f Failure) String() string {
	return [...]string{"refused connections", "broke off or did not answer", "answered with errors", "success rate", "latency"}[f]
}

// mended reports whether a good probe of that type shows that the failure is over. A frozen process lets connect whoever wants, so connecting proves nothing but that one
// can; and a path that works for the prober says nothing of those that did not for clients.
func (f Failure) mended(probe string) bool {
	return f == FailedConnect || f == FailedBroken && probe != "tcp"
}

// seen is what one worker has seen of one node. The worker alone writes; the sweep reads.
type seen struct {
	answered atomic.Uint64 // tries that had an answer which was not an error
	failed   atomic.Uint64
	micros   atomic.Uint64 // that the answers took
}

// one adds n to a counter that has one writer.
func one(c *atomic.Uint64, n uint64) { c.Store(c.Load() + n) }

// succeeded notes that a try was good.
func (t *Try) succeeded() {
	n := t.node
	if n.failures.Load() != 0 { // or every request would write what all workers read
		n.failures.Store(0)
	}
	if p := t.service.state.passive.Load(); p != nil && p.sweeps() {
		one(&n.pools[t.worker].seen.answered, 1)
		one(&n.pools[t.worker].seen.micros, uint64(t.took/time.Microsecond))
	}
}

// failed notes that it was not, and ejects the node when it has failed too often.
func (t *Try) failed(f Failure) {
	p := t.service.state.passive.Load()
	if p == nil {
		return
	}
	n, s := t.node, t.service.state
	if p.sweeps() {
		one(&n.pools[t.worker].seen.failed, 1)
	}
	if int(n.failures.Add(1)) < p.ConsecutiveFailures || n.health.Load()&ejected != 0 || !s.mayEject() {
		return
	}
	was := n.health.Or(ejected)        // from here on no worker asks it
	s.registry.clock.After(0, func() { // the rest waits for a lock
		s.mu.Lock()
		defer s.mu.Unlock()
		s.followEjection(n, was, f)
	})
}

// mayEject takes one of the ejections that the service may have at once, and reports whether there was one.
func (s *serviceState) mayEject() bool {
	for {
		n := s.ejected.Load()
		if n >= s.maxEjected.Load() {
			return false
		}
		if s.ejected.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// followEjection sees to what follows the setting of a node's bit. The caller holds s.mu.
func (s *serviceState) followEjection(n *Node, was uint32, f Failure) {
	p := s.passive.Load()
	if was&ejected != 0 { // two workers at once: it is out once
		s.ejected.Add(-1)
		return
	}
	switch {
	case n.retired.Load() || s.closed || p == nil:
		s.clearEjected(n)
		s.musterSoon() // a roster that was made in between is without it
		return
	case n.health.Load()&ejected == 0: // what ends ejections has been quicker
		return
	}
	n.ejectedFor = f
	if s.registry.clock.Now().Sub(n.returned) > p.MaxEjection.Std() { // it has been good for long, or is out for the first time
		n.ejections = 0
	}
	n.ejections++
	n.ejectedAt = s.registry.clock.Now()
	s.view.Stats.Ejected()
	s.settle(n, was, fmt.Sprintf("ejected for %v: %v", p.term(n), f))
	s.setTerm(n, p)
}

// term returns how long n is out, this time.
func (p *PassiveHealth) term(n *Node) time.Duration {
	return min(p.MaxEjection.Std(), time.Duration(n.ejections)*p.Ejection.Std())
}

// setTerm sees to it that the ejection of n ends when its time is over, in the place of what was seen to before. The caller holds s.mu.
func (s *serviceState) setTerm(n *Node, p *PassiveHealth) {
	n.term++
	term := n.term
	s.later(max(0, p.term(n)-s.registry.clock.Now().Sub(n.ejectedAt)), func() {
		if n.term == term {
			s.uneject(n, "ejection is over")
		}
	})
}

// review applies a policy to the nodes that another has ejected. The caller holds s.mu.
func (s *serviceState) review(was, p *PassiveHealth) {
	for _, m := range s.members {
		n := m.node
		switch {
		case n.health.Load()&ejected == 0:
		case *p.MaxEjectedPercent < *was.MaxEjectedPercent && s.ejected.Load() > s.maxEjected.Load():
			s.uneject(n, "fewer nodes may be ejected")
		case p.Ejection != was.Ejection || p.MaxEjection != was.MaxEjection:
			s.setTerm(n, p)
		}
	}
}

// uneject ends the ejection of a node, if there is one. The caller holds s.mu.
func (s *serviceState) uneject(n *Node, why string) {
	was := s.clearEjected(n)
	if was&ejected == 0 {
		return
	}
	n.failures.Store(0)
	n.returned = s.registry.clock.Now()
	s.settle(n, was, why)
}

// clearEjected clears a node's bit and gives back what its setting has taken: whoever clears it does, once. It returns what the word was. The caller holds s.mu.
func (s *serviceState) clearEjected(n *Node) (was uint32) {
	if was = n.health.And(^ejected); was&ejected != 0 {
		s.ejected.Add(-1)
	}
	return was
}

// sweeps reports whether the policy looks at more than failures in a row.
func (p *PassiveHealth) sweeps() bool { return p.SuccessPercent > 0 || p.LatencyFactor > 0 }

// sweep judges the nodes by what they have done since the last time. The caller holds s.mu.
func (s *serviceState) sweep() {
	p := s.passive.Load()
	if p == nil || !p.sweeps() {
		return
	}
	s.within(&s.sweeping, p.Interval.Std(), s.sweep)
	type judged struct {
		node *Node
		mean float64 // microseconds
	}
	var timed []judged
	var means []float64
	for _, m := range s.members {
		n := m.node
		answered, failed, micros := n.sinceSweep()
		if answered+failed < uint64(p.MinRequests) {
			continue
		}
		if 100*answered < uint64(p.SuccessPercent)*(answered+failed) {
			s.eject(n, failedRate)
			continue
		}
		if answered > 0 {
			mean := float64(micros) / float64(answered)
			timed = append(timed, judged{n, mean})
			means = append(means, mean)
		}
	}
	if p.LatencyFactor == 0 || len(means) < fewestCompared {
		return
	}
	slices.Sort(means)
	median := max(means[(len(means)-1)/2], float64(leastLatency.Microseconds()))
	for _, j := range timed {
		if j.mean > float64(p.LatencyFactor)*median {
			s.eject(j.node, failedSlow)
		}
	}
}

// Nodes are compared where there are at least three: of two, nobody can say which is the odd one. Below a millisecond nothing is slow: it is noise.
const (
	fewestCompared = 3
	leastLatency   = time.Millisecond
)

// eject takes n out if one more may be. The caller holds s.mu.
func (s *serviceState) eject(n *Node, f Failure) {
	if n.health.Load()&ejected == 0 && s.mayEject() {
		s.followEjection(n, n.health.Or(ejected), f)
	}
}

// sinceSweep returns what all workers have seen of the node since it was called last. The caller holds the service's mu.
func (n *Node) sinceSweep() (answered, failed, micros uint64) {
	var now [3]uint64
	for i := range n.pools {
		seen := &n.pools[i].seen
		now[0] += seen.answered.Load()
		now[1] += seen.failed.Load()
		now[2] += seen.micros.Load()
	}
	before := n.swept
	n.swept = now
	return now[0] - before[0], now[1] - before[1], now[2] - before[2]
}
