package upstream

import (
	"testing"
	"testing/synctest"
	"time"
)

// A slow start that is shortened in its midst goes on by its new steps, and one that is taken away is over.
func TestASlowStartIsShortenedInItsMidst(t *testing.T) {
	for _, shorter := range []time.Duration{10 * time.Second, 0} {
		synctest.Test(t, func(t *testing.T) {
			c := newClinic(t, 2, nil)
			defer c.Close()
			c.config.Balancer.SlowStart = dur(10 * time.Hour)
			c.specs[1].Weight = 0
			c.open()
			c.specs[1].Weight = 1
			c.open()
			c.pass(4 * time.Second)
			c.config.Balancer.SlowStart = dur(shorter)
			c.open()
			c.pass(shorter - min(shorter, 4*time.Second))
			if got := share(c.service, 0)[c.node(1)]; got < 0.49 {
				t.Errorf("share %.3f once the shorter time of %v is over", got, shorter)
			}
		})
	}
}

// Connections that rest when a service says something else of its pool are closed at once where they may not rest any more, and otherwise when those are that come to rest today.
func TestConnectionsAtRestFollowTheirPool(t *testing.T) {
	few := 1
	for name, c := range map[string]struct {
		change func(c *Config)
		now    int // that rest after the change, of two that have rested for 6 s and are 10 s old
		later  int // and after 5 s more
	}{
		"nothing":                  {func(*Config) {}, 2, 2},
		"pool.max_idle_per_worker": {func(c *Config) { c.Pool.MaxIdlePerWorker = &few }, 1, 1},
		"pool.idle_timeout":        {func(c *Config) { c.Pool.IdleTimeout = dur(5 * time.Second) }, 0, 0},
		"pool.idle_timeout, later": {func(c *Config) { c.Pool.IdleTimeout = dur(10 * time.Second) }, 2, 0},
		"pool.max_age":             {func(c *Config) { c.Pool.MaxAge = dur(9 * time.Second) }, 0, 0},
		"pool.max_requests":        {func(c *Config) { c.Pool.MaxRequests = 1 }, 0, 0},
		"pool.max_per_node":        {func(c *Config) { c.Pool.MaxPerNode = 1 }, 1, 1},
		"breaker.max_connections":  {func(c *Config) { c.Breaker.MaxConnections = 1 }, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBench(t, nil)
			first, _ := b.acquire(false)
			second, _ := b.acquire(false)
			b.pass(4 * time.Second)
			b.release(first)
			b.release(second)
			b.pass(6 * time.Second)
			config := &Config{}
			c.change(config)
			b.service = b.registry.Update("s", config, []NodeSpec{{Upstream: b.node.Address, Weight: 1}})
			b.do(func() {}) // behind what was posted
			b.expect(c.now, c.now)
			b.pass(5 * time.Second)
			b.expect(c.later, c.later)
		})
	}
}

// One that is busy when there are more than there may be by now is closed when it comes to rest.
func TestConnectionsBeyondALoweredBoundAreNotKept(t *testing.T) {
	b := startBench(t, nil)
	first, _ := b.acquire(false)
	second, _ := b.acquire(false)
	b.service = b.registry.Update("s", &Config{Pool: PoolConfig{MaxPerNode: 1}}, []NodeSpec{{Upstream: b.node.Address, Weight: 1}})
	b.expect(2, 0)
	b.release(first)
	b.expect(1, 0)
	b.release(second)
	b.expect(1, 1)
}

// Whoever waits for room hears of what nobody has given back: a bound that was raised, a node that is new, and one that has recovered.
func TestThoseWhoWaitHearOfRoomThatNobodyHasFreed(t *testing.T) {
	silence(t)
	for name, bring := range map[string]func(c *clinic){
		"a higher bound":   func(c *clinic) { c.config.Breaker.PerNode.MaxRequests = 2; c.open() },
		"no bound":         func(c *clinic) { c.config.Breaker.PerNode.MaxRequests = 0; c.open() },
		"another node":     func(c *clinic) { c.specs = append(c.specs, NodeSpec{Upstream: "10.9.9.9:80", Weight: 1}); c.open() },
		"one that is well": func(c *clinic) { c.ail(1, false); c.pass(3 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClinic(t, 2, active(1, 1))
				defer c.Close()
				workers := []*letters{{}, {}}
				c.Registry.workers = []Poster{workers[0], workers[1]}
				c.config.Breaker.PerNode.MaxRequests = 1
				c.ail(1, true)
				c.open()
				c.pass(time.Second)
				busy(c.service, c.node(0), 1)
				g := guest{room: func() *Node { return c.service.Pick(1, Want{}) }}
				g.waiter.Owner = &g
				c.service.Wait(1, &g.waiter)
				workers[1].deliver()
				if g.try.node != nil {
					t.Fatal("it has found room")
				}
				bring(c)
				synctest.Wait()
				workers[1].deliver()
				if g.try.node == nil {
					t.Error("it waits on though there is room")
				}
			})
		})
	}
}

// Probes that are asked for at once begin together up to a number, and the others one after the other, within the interval.
func TestTheFirstProbesOfThousandsOfNodesAreNoBurst(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 5000, active(1, 1))
		defer c.Close()
		c.open()
		asked := func() (n int) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return len(c.asked)
		}
		if n := asked(); n == 0 || n > begunTogether {
			t.Errorf("%d nodes are probed at the first moment", n)
		}
		c.pass(500 * time.Millisecond)
		if n := asked(); n < 2000 || n > 3000 {
			t.Errorf("%d nodes have been probed in half of the time", n)
		}
		c.pass(500 * time.Millisecond)
		if n := asked(); n != 5000 {
			t.Errorf("%d nodes have been probed in a second", n)
		}
	})
}
