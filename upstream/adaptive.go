package upstream

import (
	"math"
	"sync/atomic"
	"time"
)

// Adaptive concurrency finds out how much a service can take, by the gradient of its latency: as long as answers take no longer than they did over the last minute, a little more is let
// in; as soon as they do, the service has begun to queue, and in proportion to it less is.
const (
	adaptEvery    = 500 * time.Millisecond
	adaptLeast    = 10  // answers that say something about a period
	adaptMemory   = 120 // periods, a minute, over which the usual latency is a mean
	adaptSmooth   = 0.2 // part of a new limit that comes into force at once
	adaptHalf     = 0.5 // the most that one period takes away
	adaptInitial  = 20
	adaptRecovers = 0.95 // per period, of a usual latency that is twice what is measured: it was learned in bad times
)

// answered is what one worker has seen of a service's answers. The worker alone writes.
type answered struct {
	count  atomic.Uint64
	micros atomic.Uint64
}

// adaption is how far it has come. The service's mu guards it.
type adaption struct {
	running       bool
	limit         float64
	usual         float64 // microseconds
	count, micros uint64  // up to the latest period
}

// adapt sets the limit anew and sees to the next time. The caller holds s.mu.
func (s *serviceState) adapt() {
	c := s.view.adaptive
	a := &s.adaption
	if c == nil {
		a.running = false
		return
	}
	s.later(adaptEvery, s.adapt)
	var count, micros uint64
	for i := range s.local {
		count += s.local[i].answered.count.Load()
		micros += s.local[i].answered.micros.Load()
	}
	n, sum := count-a.count, micros-a.micros
	a.count, a.micros = count, micros
	if n >= adaptLeast {
		a.learn(c, float64(sum)/float64(n), float64(s.inFlight.Load()))
	}
	s.keepLimit()
}

// keepLimit puts the limit in force, within what the service says. The caller holds s.mu.
func (s *serviceState) keepLimit() {
	a, c := &s.adaption, s.view.adaptive
	a.limit = min(max(a.limit, float64(c.MinLimit)), float64(c.MaxLimit))
	s.limit.Store(int64(a.limit))
}

// learn takes in the mean latency of a period at whose end so many exchanges were in flight.
func (a *adaption) learn(c *AdaptiveConfig, latency, inFlight float64) {
	switch {
	case a.usual == 0:
		a.usual = latency
	case a.usual > 2*latency:
		a.usual *= adaptRecovers
	default:
		a.usual += (latency - a.usual) / adaptMemory
	}
	gradient := min(1, max(adaptHalf, a.usual*float64(c.TolerancePercent)/100/latency))
	if gradient == 1 && inFlight < a.limit/2 {
		return // nobody needs more
	}
	next := a.limit*gradient + math.Sqrt(a.limit) // the root is what may queue at its best
	a.limit += (next - a.limit) * adaptSmooth
}
