package upstream

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sluice/core/observe"
	"sluice/internal/unit"
)

// visit is an exchange as a service counts it.
type visit struct {
	service *Service
	worker  int
	tries   [2]Try
	grant   Grant
	retries bool
	pending Pending
	waiter  Waiter
}

// Room is refused: those who wait here are served by the test, or leave.
func (v *visit) Room() bool { return false }

// ledger lets visits come, be retried, wait, end in every way, or be abandoned, while the service, its nodes and their health change under them.
type ledger struct {
	*clinic
	rnd      *rand.Rand
	visits   []*visit
	services map[*serviceState]*Service // the latest view of each
	nodes    map[*Node]bool             // all there ever were
}

// Whatever becomes of an exchange, of its nodes and of its service meanwhile, and in whatever order: what was counted returns to nothing, and nothing is given back twice.
func TestAllThatIsCountedReturnsToNothing(t *testing.T) {
	silence(t)
	for seed := range uint64(15) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{clinic: newClinic(t, 5, nil), rnd: rand.New(rand.NewPCG(seed, 0)), services: map[*serviceState]*Service{}, nodes: map[*Node]bool{}}
				l.Registry.workers = []Poster{&letters{}, &letters{}}
				l.change()
				for range 400 {
					l.step()
				}
				for len(l.visits) > 0 {
					l.leave(0)
				}
				l.pass(time.Hour)
				l.wantNothing()
				l.Close()
				synctest.Wait()
				l.wantNothing()
			})
		})
	}
}

// step lets one thing happen. What follows of it off the loops is sometimes waited for, and sometimes met by the next.
func (l *ledger) step() {
	switch n := l.rnd.IntN(20); {
	case n < 6:
		l.arrive()
	case n < 9:
		l.retry()
	case n < 14:
		l.end()
	case n < 16 && len(l.visits) > 0:
		l.leave(l.rnd.IntN(len(l.visits)))
	case n == 16:
		l.change()
	case n == 17:
		l.ail(l.rnd.IntN(len(l.specs)), l.rnd.IntN(2) == 0)
	case n == 18:
		l.pass(time.Duration(l.rnd.IntN(3000)) * time.Millisecond)
	case n == 19 && l.rnd.IntN(10) == 0:
		l.Remove("s")
		l.change()
	}
	if l.rnd.IntN(3) == 0 {
		synctest.Wait()
		l.wantEjected()
	}
}

// change puts another configuration and other nodes in force.
func (l *ledger) change() {
	few := func() int { return max(0, l.rnd.IntN(6)-2) }
	c := &Config{
		Balancer: BalancerConfig{Type: balancers[l.rnd.IntN(len(balancers))], HashBalanceFactor: 0},
		Breaker: BreakerConfig{
			MaxRequests: 2 * few(), MaxPending: few(), MaxConnections: few(), MaxRetries: few(), QueueTimeout: unit.Duration(time.Second),
			PerNode: NodeBreaker{MaxRequests: few(), MaxPending: few(), MaxRetries: few()},
		},
	}
	if l.rnd.IntN(3) == 0 {
		c.Breaker.Adaptive = &AdaptiveConfig{MinLimit: 1}
	}
	if l.rnd.IntN(2) == 0 {
		c.Retry.Hedge = &HedgeConfig{}
	}
	switch l.rnd.IntN(4) {
	case 0:
		c.Health = &HealthConfig{Passive: &PassiveHealth{ConsecutiveFailures: 1, Ejection: unit.Duration(time.Second)}}
	case 1:
		c.Health = &HealthConfig{Active: &ActiveHealth{Type: "http"}, Passive: &PassiveHealth{ConsecutiveFailures: 2, SuccessPercent: 90, MinRequests: 1, Interval: unit.Duration(time.Second)}}
	case 2:
		c.Health = &HealthConfig{Active: &ActiveHealth{Type: "none"}}
	}
	c.SetDefaults()
	var specs []NodeSpec
	for _, s := range l.specs {
		if s.Weight = l.rnd.IntN(3); l.rnd.IntN(4) > 0 {
			specs = append(specs, s)
		}
	}
	l.service = l.Update("s", c, specs)
	l.services[l.service.state] = l.service
	for _, n := range l.service.state.nodes {
		l.nodes[n] = true
	}
}

func (l *ledger) now() int64 { return time.Now().UnixNano() }

// arrive is a first try.
func (l *ledger) arrive() {
	v := &visit{service: l.service, worker: l.rnd.IntN(2)}
	v.waiter.Owner = v
	if !v.service.Enter() {
		return
	}
	v.service.CountRequest(v.worker, l.now())
	l.visits = append(l.visits, v)
	n := v.service.Pick(v.worker, Want{Key: l.rnd.Uint64(), Now: l.now()})
	switch {
	case n == nil:
		if v.pending.Enter(v.service, nil) {
			v.service.Wait(v.worker, &v.waiter)
		}
	case v.tries[0].Begin(v.service, v.worker, n, l.now()):
		v.pending.Enter(v.service, n)
	}
}

// retry makes one more try, after or beside the first; or does not, after all.
func (l *ledger) retry() {
	if len(l.visits) == 0 {
		return
	}
	v := l.visits[l.rnd.IntN(len(l.visits))]
	if !v.retries && !v.service.EnterRetry() {
		return
	}
	v.retries = true
	if !v.grant.Held() {
		v.grant, _ = v.service.AllowRetry(v.worker, l.now())
	}
	n := v.service.Pick(v.worker, Want{Now: l.now()})
	try := &v.tries[l.rnd.IntN(2)]
	try.End()
	switch {
	case n == nil || l.rnd.IntN(4) == 0 || !try.Begin(v.service, v.worker, n, l.now()):
		v.grant.Return(l.now())
		v.grant.Return(l.now())
	case !try.AsRetry():
		try.End()
	default:
		v.grant = Grant{}
	}
}

// end lets a try come to its end.
func (l *ledger) end() {
	if len(l.visits) == 0 {
		return
	}
	v := l.visits[l.rnd.IntN(len(l.visits))]
	v.pending.Leave()
	for i := range v.tries {
		try := &v.tries[i]
		if try.service == nil {
			continue
		}
		switch l.rnd.IntN(7) {
		case 0:
			try.Answered(200, l.now())
			try.Whole()
		case 1:
			try.Answered(503, l.now())
		case 2:
			if try.service.Hedges {
				try.Outrun(l.now())
			}
		case 3, 4:
			try.Failed(FailedConnect, l.now())
		case 5:
			try.Failed(FailedBroken, l.now())
		}
		try.End()
		try.End()
	}
}

// leave is the end of an exchange, whatever of it is still under way.
func (l *ledger) leave(i int) {
	v := l.visits[i]
	l.visits = slices.Delete(l.visits, i, i+1)
	for k := range v.tries {
		v.tries[k].End()
	}
	for range 2 { // all but the counts of the service itself may be given back by whoever comes by
		v.pending.Leave()
		v.waiter.Cancel()
		v.grant.Return(l.now())
	}
	if v.retries {
		v.service.LeaveRetry()
	}
	v.service.Leave()
}

// wantEjected fails the test where other nodes are counted as ejected than are.
func (l *ledger) wantEjected() {
	for s := range l.services {
		out := int32(0)
		for _, n := range s.nodes {
			if n.health.Load()&ejected != 0 && !n.retired.Load() {
				out++
			}
		}
		if n := s.ejected.Load(); n != out {
			l.t.Fatalf("%d nodes are counted as ejected, and %d are", n, out)
		}
	}
}

// wantNothing fails the test where something is counted yet.
func (l *ledger) wantNothing() {
	for s, view := range l.services {
		if n := view.Busy(); n != 0 {
			l.t.Errorf("%d are under way", n)
		}
		if n := s.ejected.Load(); n != 0 {
			l.t.Errorf("%d are ejected", n)
		}
		for i := range s.local {
			if q := &s.local[i].queue; q.first != nil || q.last != nil || q.waiting.Load() != 0 {
				l.t.Errorf("worker %d has a queue", i)
			}
		}
	}
	for n := range maps.Keys(l.nodes) {
		if a, p, r, c := n.load.active.Load(), n.pending.Load(), n.retrying.Load(), n.conns.Load(); a != 0 || p != 0 || r != 0 || c != 0 {
			l.t.Errorf("%s: %d active, %d pending, %d retried, %d connections", n.Address, a, p, r, c)
		}
	}
}

// What a retry takes of the budget and is not made for comes back once, as much as is left of it; what is a second's own comes back in that second alone.
func TestAGrantComesBackOnce(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, time.Minute} {
		s := NewRegistry(make([]Poster, 1), observe.NewRegistry(1)).Update("s", &Config{}, nil)
		for range 15 {
			s.CountRequest(0, 0)
		}
		var grants []Grant
		for {
			g, ok := s.AllowRetry(0, 0)
			if !ok {
				break
			}
			grants = append(grants, g)
		}
		if len(grants) != 3+DefaultMinPerSecond {
			t.Fatalf("%d retries of 15 requests in one second", len(grants))
		}
		for i := range grants {
			again := grants[i]
			grants[i].Return(int64(after))
			grants[i].Return(int64(after))
			if grants[i].Held() || !again.Held() {
				t.Error("what was returned is held, or what was not is not")
			}
		}
		l := &s.state.local[0].budget
		if l.retries < 0 || l.retries > 1e-9 {
			t.Errorf("%v after: %v are left of what was returned", after, l.retries)
		}
		n, now := 0, int64(after)
		for _, ok := s.AllowRetry(0, now); ok; _, ok = s.AllowRetry(0, now) {
			n++
		}
		if want := int(l.requests*DefaultBudgetPercent/100) + DefaultMinPerSecond; n != want {
			t.Errorf("%v after: %d retries are allowed, want %d", after, n, want)
		}
	}
}
