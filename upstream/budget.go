package upstream

import (
	"math"
	"sync/atomic"
	"time"
)

// The budget keeps retries from turning an outage into a flood: of the requests of about the last three seconds, at most a percentage may be sent
// once more, and some a second where that is more, so that a service with little traffic has retries too.
//
// The share is kept by each worker for itself: requests are many, and a count that all workers write would cost every one of them. The
// few a second are kept for all workers together, since that count is touched only where a retry is asked for.

// floor is the few that every second has.
type floor struct {
	word atomic.Uint64 // loop second << 32 | retries granted in it, beyond the share
}

// localBudget is one worker's part.
type localBudget struct {
	second   int64   // loop time of the last decay, in seconds
	requests float64 // of the last seconds, each second counting 0.7 of the one after it: a mean age of three seconds
	retries  float64
	_        [40]byte // two workers' parts never share a cache line
}

const decayPerSecond = 0.7

// forgotten is the age in seconds at which a count has lost all weight: 0.7^26 is below 1/10,000.
const forgotten = 26

// age lets the counts fade up to now, in seconds.
func (l *localBudget) age(now int64) {
	gap := now - l.second
	l.second = now
	if gap >= forgotten {
		l.requests, l.retries = 0, 0
		return
	}
	for ; gap > 0; gap-- {
		l.requests *= decayPerSecond
		l.retries *= decayPerSecond
	}
}

// CountRequest counts a first try. now is the loop's time. Called on the worker's loop.
func (s *Service) CountRequest(worker int, now int64) {
	l := &s.state.local[worker].budget
	if second := now / int64(time.Second); second != l.second {
		l.age(second)
	}
	l.requests++
}

// Grant is a retry that the budget allows and that has not been made yet. The zero value is none, and what it becomes once the retry is made. Loop only.
type Grant struct {
	service *serviceState
	worker  int
	second  int64 // loop time, in seconds
	few     bool  // it is one of the few that every second has
}

// Held reports whether there is a retry to be made.
func (g *Grant) Held() bool { return g.service != nil }

// AllowRetry grants one more try, if the budget has room for it. Called on the worker's loop.
func (s *Service) AllowRetry(worker int, now int64) (g Grant, ok bool) {
	second := now / int64(time.Second)
	l := &s.state.local[worker].budget
	if second != l.second {
		l.age(second)
	}
	if l.retries+1 <= l.requests*float64(s.budgetPercent)/100 {
		l.retries++
		return Grant{service: s.state, worker: worker, second: second}, true
	}
	if l.requests*(1-decayPerSecond)*float64(s.budgetPercent)/100 >= float64(s.minPerSecond) {
		return Grant{}, false // the share of a second is more than the few that are always allowed: they are not for such a service
	}
	if !s.state.floor.take(uint32(second), s.minPerSecond) {
		return Grant{}, false
	}
	return Grant{service: s.state, worker: worker, second: second, few: true}, true
}

// Return gives the retry back to the budget, since it was not made: as much as is left of it by now. It may be called again. Called on the worker's loop.
func (g *Grant) Return(now int64) {
	switch {
	case g.service == nil:
	case g.few:
		g.service.floor.give(uint32(g.second))
	default:
		l, second := &g.service.local[g.worker].budget, now/int64(time.Second)
		if second != l.second {
			l.age(second)
		}
		l.retries = max(0, l.retries-math.Pow(decayPerSecond, float64(second-g.second)))
	}
	*g = Grant{}
}

// take takes one of the retries that every second has.
func (f *floor) take(second uint32, most int) bool {
	for {
		old := f.word.Load()
		used := uint32(0)
		if uint32(old>>32) == second {
			used = uint32(old)
		}
		if int(used) >= most {
			return false
		}
		if f.word.CompareAndSwap(old, uint64(second)<<32|uint64(used+1)) {
			return true
		}
	}
}

// give gives one of a second's back. Those of a second that is over are of no use to anybody.
func (f *floor) give(second uint32) {
	for {
		old := f.word.Load()
		if uint32(old>>32) != second || uint32(old) == 0 || f.word.CompareAndSwap(old, old-1) {
			return
		}
	}
}
