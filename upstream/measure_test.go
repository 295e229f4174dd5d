package upstream

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/unit"
)

// answers makes a service see that many answers on each of its two workers.
func (c *clinic) answers(n int, took time.Duration) {
	for i := range n {
		var try Try
		try.Begin(c.service, i%2, c.service.Nodes()[0], 0)
		try.Answered(200, int64(took))
		try.End()
	}
}

// The limit falls while answers take longer than they did, and rises again when they do not and somebody needs it.
func TestTheLimitFollowsTheGradientOfLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 1, nil)
		defer c.Close()
		c.config.Breaker.Adaptive = &AdaptiveConfig{}
		c.open()
		entered := 0
		enter := func() {
			for c.service.Enter() {
				entered++
			}
		}
		period := func(took time.Duration) {
			enter()
			c.answers(100, took)
			c.pass(adaptEvery)
		}
		for range 60 {
			period(10 * time.Millisecond)
		}
		high := c.service.state.limit.Load()
		if high < 3*adaptInitial || entered > int(high) {
			t.Fatalf("the limit is %d with %d in flight, though nothing is slow", high, entered)
		}
		for range entered {
			c.service.Leave()
		}
		entered = 0
		for range 10 {
			period(100 * time.Millisecond) // the service queues
			for range entered {
				c.service.Leave()
			}
			entered = 0
		}
		low := c.service.state.limit.Load()
		if low > high/2 || low < 10 {
			t.Errorf("the limit is %d after five seconds at ten times the latency, was %d", low, high)
		}
		for range 20 { // nobody needs it: it stays
			c.answers(100, 10*time.Millisecond)
			c.pass(adaptEvery)
		}
		if now := c.service.state.limit.Load(); now > 2*low+20 {
			t.Errorf("the limit rose from %d to %d though nobody needed it", low, now)
		}
	})
}

// Quantiles are from buckets of a quarter of an octave: never less than what was measured, at most a quarter more.
func TestTheUsualTimeIsAQuantileOfWhatWasMeasuredLately(t *testing.T) {
	for us := 1; us < 1<<20; us += 1 + us/50 {
		d := time.Duration(us) * time.Microsecond
		if bound := headBound(headBucket(d)); bound <= d || us >= 4 && float64(bound) > 1.26*float64(d) {
			t.Fatalf("%v is in a bucket up to %v", d, bound)
		}
	}
	if headBucket(math.MaxInt64) != headBuckets-1 || headBucket(-1) != 0 {
		t.Error("the ends do not hold")
	}
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 1, nil)
		defer c.Close()
		c.config.Retry.Hedge = &HedgeConfig{}
		c.open()
		if d := c.service.HedgeAfter(); d != 0 {
			t.Errorf("%v before anything is known", d)
		}
		c.answers(94, 10*time.Millisecond)
		c.answers(6, 80*time.Millisecond)
		c.pass(headEvery)
		if d := c.service.HedgeAfter(); d < 80*time.Millisecond || d > 101*time.Millisecond {
			t.Errorf("%v, want the 95th percentile, 80 ms", d)
		}
		for range 60 {
			c.answers(100, 20*time.Millisecond)
			c.pass(headEvery)
		}
		if d := c.service.HedgeAfter(); d < 20*time.Millisecond || d > 26*time.Millisecond {
			t.Errorf("%v, want what has been lately, 20 ms", d)
		}
		c.pass(5 * time.Minute)
		if d := c.service.HedgeAfter(); d != 0 {
			t.Errorf("%v after minutes without an answer", d)
		}
	})
}

// outrun makes tries at a node that others outrun after that long.
func (c *clinic) outrun(node, times int, took time.Duration, now int64) {
	for range times {
		var try Try
		try.Begin(c.service, 0, c.service.Nodes()[node], now-int64(took))
		try.Outrun(now)
		try.End()
	}
	synctest.Wait()
}

// A try that was given up for a quicker one would have taken longer than it has: a quantile of those alone that came to an end would fall, hedges become more, and it fall again. One that
// was given up soon might have been quick.
func TestTriesThatWereGivenUpAreMeasuredToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 2, nil)
		defer c.Close()
		c.config.Retry.Hedge = &HedgeConfig{}
		c.open()
		for round := range 60 {
			c.answers(94, 10*time.Millisecond)
			for i := range 6 { // would take 100 to 220 ms
				took, hedge := time.Duration(100+20*i+round%20)*time.Millisecond, c.service.HedgeAfter()
				if hedge == 0 || took <= hedge {
					c.answers(1, took)
					continue
				}
				c.outrun(0, 1, hedge+10*time.Millisecond, int64(time.Second))
				c.outrun(1, 1, 10*time.Millisecond, int64(time.Second)) // or it is the hedge that loses
			}
			c.pass(headEvery)
			if d := c.service.HedgeAfter(); d < 100*time.Millisecond || d > 150*time.Millisecond {
				t.Fatalf("%v after %d seconds, want the 95th percentile, 120 ms", d, round+1)
			}
		}
	})
}

// What is known of a node whose try was given up is that it is slower than that: it is never worth more for it.
func TestANodeThatIsOutrunIsKnownToBeSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 2, nil)
		defer c.Close()
		c.config.Balancer.Type = "ewma"
		c.config.Retry.Hedge = &HedgeConfig{}
		c.open()
		nodes := c.service.Nodes()
		slow(c.service, nodes[0], 2*time.Millisecond, 0)
		slow(c.service, nodes[1], 2*time.Millisecond, 0)
		c.outrun(0, 1, 50*time.Millisecond, 0)
		if got := share(c.service, 0)[nodes[0]]; got > 0 {
			t.Errorf("it has %v of the requests", got)
		}
		before := nodes[0].load.latency.at(0)
		c.outrun(0, 100, time.Millisecond, 0)
		if after := nodes[0].load.latency.at(0); after != before {
			t.Errorf("%v µs, was %v", after, before)
		}
	})
}

// A node that hangs is outrun again and again, and nothing it is asked comes to an end by itself. Once it has answered nobody for a second it fails as if it had not answered in time; a
// pause of less is none of its faults, nor are tries that it loses while it answers others.
func TestANodeThatIsAlwaysOutrunIsEjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 3, passive(func(*PassiveHealth) {}))
		defer c.Close()
		c.config.Retry.Hedge = &HedgeConfig{}
		c.open()
		at := func(d time.Duration) int64 { return int64(time.Hour + d) }
		const took = 50 * time.Millisecond
		c.outrun(0, 20, took, at(0))
		c.outrun(0, 20, took, at(outrunFor-1))
		c.want(0, 1, 2)
		c.answer(0, 404, 1)
		c.outrun(0, 20, took, at(outrunFor)) // the first since an answer
		c.want(0, 1, 2)
		c.outrun(0, 4, took, at(2*outrunFor))
		c.want(0, 1, 2)
		c.outrun(0, 1, took, at(2*outrunFor))
		c.want(1, 2)
		c.pass(30 * time.Second)
		c.want(0, 1, 2)
		c.outrun(0, 20, took, at(time.Minute)) // it is not held to what it was
		c.want(0, 1, 2)
	})
}

// What is noted of a try costs nothing, whatever looks at it.
func TestATryAllocatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		health := passive(func(p *PassiveHealth) { p.SuccessPercent, p.LatencyFactor = 50, 3 })
		c := newClinic(t, 3, health)
		defer c.Close()
		c.config.Balancer.Type = "ewma"
		c.config.Retry.Hedge = &HedgeConfig{}
		c.config.Breaker = BreakerConfig{MaxRequests: 9, MaxPending: 9, MaxRetries: 9, Adaptive: &AdaptiveConfig{}, PerNode: NodeBreaker{MaxRequests: 9, MaxPending: 9, MaxRetries: 9}}
		c.open()
		s := c.service
		c.answers(2, time.Millisecond)
		var try Try
		var pending Pending
		now := int64(time.Hour)
		if n := testing.AllocsPerRun(1000, func() {
			now += int64(time.Millisecond)
			if !s.Enter() || !s.EnterRetry() {
				t.Error("there is no room")
			}
			node := s.Pick(0, Want{Now: now})
			try.Begin(s, 0, node, now)
			if !try.AsRetry() {
				t.Error("there is no room for a retry")
			}
			pending.Enter(s, node)
			pending.Leave()
			try.Answered(200, now+1)
			try.Whole()
			try.End()
			s.LeaveRetry()
			s.Leave()
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// What a request costs here in a service with all defaults, from entering to leaving: to be held against the 16 to 18 µs that it costs in all.
func BenchmarkRequest(b *testing.B) {
	for _, by := range []string{"roundrobin", "least_conn", "ewma"} {
		b.Run(by, func(b *testing.B) {
			s := balancedBy(b, BalancerConfig{Type: by}, 1, 1, 1, 1)
			var try Try
			var pending Pending
			var now int64
			b.ReportAllocs()
			for b.Loop() {
				now += int64(time.Microsecond)
				s.Enter()
				s.CountRequest(0, now)
				node := s.Pick(0, Want{Now: now})
				try.Begin(s, 0, node, now)
				pending.Enter(s, node)
				pending.Leave()
				try.Answered(200, now)
				try.Whole()
				try.End()
				s.Leave()
			}
		})
	}
}

// A node that has answered nobody, since all it was asked were second tries that were outrun a moment later, is not taken for one that hangs.
func TestANodeThatOnlyLosesToTheFirstTryIsNotTakenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 3, passive(func(*PassiveHealth) {}))
		defer c.Close()
		c.config.Retry.Hedge = &HedgeConfig{Delay: unit.Duration(20 * time.Millisecond)}
		c.open()
		for i := range 7 {
			c.outrun(0, 1, time.Millisecond, int64(time.Hour+time.Duration(i)*2*time.Second))
		}
		c.want(0, 1, 2)
	})
}
