package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice/core/observe"
)

// clinic is a service whose nodes are as well as the test says, in a bubble of time of its own.
type clinic struct {
	*Registry
	t       *testing.T
	service *Service
	config  *Config
	specs   []NodeSpec

	mu    sync.Mutex // guards what follows
	sick  map[string]bool
	asked map[string]int

	latest *ActiveHealth // that was probed by, where a test keeps it
}

func newClinic(t *testing.T, nodes int, health *HealthConfig) *clinic {
	c := &clinic{t: t, config: &Config{Health: health}, sick: map[string]bool{}, asked: map[string]int{}}
	c.Registry = NewRegistry([]Poster{asleep{}, asleep{}}, observe.NewRegistry(2))
	c.prober.probe = func(_ context.Context, _ *ActiveHealth, node target) error {
		at := node.addr
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked[at.String()]++
		if c.sick[at.String()] {
			return errors.New("sick")
		}
		return nil
	}
	for i := range nodes {
		c.specs = append(c.specs, NodeSpec{Upstream: fmt.Sprintf("10.0.%d.%d:80", i/200, i%200+1), Weight: 1})
	}
	return c
}

// open takes the configuration in.
func (c *clinic) open() {
	c.config.SetDefaults()
	c.service = c.Update("s", c.config, c.specs)
	synctest.Wait()
}

// ail makes a node sick, or well.
func (c *clinic) ail(node int, sick bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sick[c.specs[node].Upstream] = sick
}

func (c *clinic) probes(node int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[c.specs[node].Upstream]
}

// pass lets time pass, in which everything that is due happens.
func (c *clinic) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// want checks which nodes are asked, by both workers.
func (c *clinic) want(nodes ...int) {
	c.t.Helper()
	synctest.Wait()
	for w := range 2 {
		got := map[string]bool{}
		for range 20 * len(c.specs) {
			if n := c.service.Pick(w, Want{}); n != nil {
				got[n.Address] = true
			}
		}
		for _, i := range nodes {
			if !got[c.specs[i].Upstream] {
				c.t.Errorf("worker %d does not ask node %d", w, i)
			}
		}
		if len(got) != len(nodes) {
			c.t.Errorf("worker %d asks %v, want %d nodes", w, got, len(nodes))
		}
	}
}

// answer makes tries at a node that end with that status; 0 is a connection that broke.
func (c *clinic) answer(node, status, times int) {
	for range times {
		var try Try
		try.Begin(c.service, 0, c.service.Nodes()[node], 0)
		if status == 0 {
			try.Failed(FailedBroken, int64(time.Millisecond))
		} else {
			try.Answered(status, int64(time.Millisecond))
			try.Whole()
		}
		try.End()
	}
	synctest.Wait()
}

func active(failures, successes int) *HealthConfig {
	return &HealthConfig{Active: &ActiveHealth{Unhealthy: UnhealthyAfter{failures}, Healthy: HealthyAfter{successes}}}
}

func TestANodeIsOutAfterSoManyBadProbesAndBackAfterSoManyGoodOnes(t *testing.T) {
	records := silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 3, active(2, 2))
		defer c.Close()
		c.open()
		c.want(0, 1, 2)
		c.ail(1, true)
		c.pass(3 * time.Second) // a bad one
		c.want(0, 1, 2)
		c.pass(time.Second) // and another, at the edge
		c.want(0, 2)
		c.ail(1, false)
		c.pass(time.Second)
		c.want(0, 2)
		c.pass(time.Second)
		c.want(0, 1, 2)
	})
	if *records != 2 {
		t.Errorf("%d lines were logged, want one for each flip", *records)
	}
}

// Recovery takes one interval at most: a node that is out is looked at more often.
func TestANodeThatRecoversIsBackWithinOneInterval(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 2, active(1, 1))
		defer c.Close()
		c.ail(0, true)
		c.open()
		c.want(1)
		for i := range 20 {
			c.pass(time.Duration(i) * 170 * time.Millisecond) // at any moment between two probes
			c.ail(0, false)
			c.pass(3 * time.Second)
			c.want(0, 1)
			c.ail(0, true)
			c.pass(3 * time.Second)
			c.want(1)
		}
	})
}

// Discovery may be quicker than the instance it announces.
func TestANodeThatHasNeverBeenWellIsOutAfterItsFirstProbe(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 2, active(5, 1))
		defer c.Close()
		c.ail(1, true)
		c.open()
		c.want(0)
	})
}

// One prober for the process: the number of workers makes no difference to how often a node is asked, and the moments are spread.
func TestANodeIsProbedOnceAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 2, active(2, 1))
		defer c.Close()
		c.open()
		c.pass(30 * time.Second)
		if n := c.probes(0); n < 10 || n > 13 {
			t.Errorf("%d probes in ten intervals", n)
		}
	})
}

func TestProbesOfThousandsOfNodesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 3*maxProbes, active(2, 1))
		defer c.Close()
		var running, most int
		c.prober.probe = func(ctx context.Context, _ *ActiveHealth, _ target) error {
			c.mu.Lock()
			running++
			most = max(most, running)
			c.mu.Unlock()
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			c.mu.Lock()
			running--
			c.mu.Unlock()
			return nil
		}
		c.open()
		c.pass(10 * time.Second)
		if most != maxProbes {
			t.Errorf("%d probes at once, want %d", most, maxProbes)
		}
	})
}

func TestTooFewNodesLeftIsPanicAndAllAreAsked(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 5, active(1, 1))
		defer c.Close()
		c.open()
		for i := range 3 {
			c.ail(i, true)
		}
		c.pass(3 * time.Second)
		c.want(3, 4)
		c.ail(3, true) // a fifth is left, less than a quarter
		c.pass(3 * time.Second)
		c.want(0, 1, 2, 3, 4)
	})
}

// Picks pass over a node as soon as it is out, and the roster follows a moment later: in between, when it was the last, a request is not told that there is nobody.
func TestUntilTheRosterFollowsTheLastNodesAreAskedAlthoughTheyAreOut(t *testing.T) {
	silence(t)
	for _, balancer := range balancers {
		for _, believing := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				c := newClinic(t, 2, active(1, 1))
				defer c.Close()
				c.config.Balancer = BalancerConfig{Type: balancer}
				if believing {
					c.config.Balancer.PanicPercent = new(int)
				}
				c.open()
				for _, n := range c.service.Nodes() {
					n.health.Or(ejected) // and nobody has mustered
				}
				if n := c.service.Pick(0, Want{}); (n == nil) != believing {
					t.Errorf("%s, panic_percent 0 %v: asks %v", balancer, believing, n)
				}
				if n := c.service.Pick(0, Want{Tried: c.service.Nodes()[:1]}); n != nil {
					t.Errorf("%s: a retry asks %v, which is out", balancer, n)
				}
			})
		}
	}
}

// panic_percent 0 has health believed whatever it says: where nobody is in nobody is asked.
func TestWithoutPanicNobodyIsAskedWhoIsOut(t *testing.T) {
	silence(t)
	for _, balancer := range balancers {
		synctest.Test(t, func(t *testing.T) {
			c := newClinic(t, 2, active(1, 1))
			defer c.Close()
			c.config.Balancer = BalancerConfig{Type: balancer, PanicPercent: new(int)}
			c.open()
			c.ail(0, true)
			c.pass(3 * time.Second)
			c.want(1)
			c.ail(1, true)
			c.pass(3 * time.Second)
			c.want()
			if c.service.Full(0, Want{}) {
				t.Errorf("%s: there is said to be no room, and not nobody", balancer)
			}
			c.ail(1, false)
			c.pass(3 * time.Second)
			c.want(1)
		})
	}
}

func TestABackupStandsByUntilTooFewOfItsBettersAreIn(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 4, active(1, 1))
		defer c.Close()
		c.specs[2].Metadata = map[string]string{"priority": "1"}
		c.specs[3].Metadata = map[string]string{"priority": "2"}
		c.open()
		c.want(0, 1)
		c.ail(0, true)
		c.pass(3 * time.Second)
		c.want(1)
		c.ail(1, true)
		c.pass(3 * time.Second)
		c.want(2)
		c.ail(2, true)
		c.pass(3 * time.Second)
		c.want(3)
		c.ail(3, true)
		c.pass(3 * time.Second)
		c.want(0, 1) // nobody is left: those that ought to be there
		c.ail(1, false)
		c.pass(3 * time.Second)
		c.want(1)
	})
}

// The traffic stays in the gateway's zone while at least half of its nodes there are in.
func TestNodesOfTheGatewaysZoneAreAskedWhileEnoughAreIn(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 5, active(1, 1))
		defer c.Close()
		c.SetZone("a")
		for i := range 3 {
			c.specs[i].Metadata = map[string]string{"zone": "a"}
		}
		c.specs[3].Metadata = map[string]string{"zone": "b"}
		c.open()
		c.want(0, 1, 2)
		c.ail(0, true)
		c.pass(3 * time.Second)
		c.want(1, 2)
		c.ail(1, true)
		c.pass(3 * time.Second)
		c.want(2, 3, 4)
		c.ail(1, false)
		c.pass(3 * time.Second)
		c.want(1, 2)
	})
}

func TestDefaultsHoldForServicesThatSayNothing(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 2, nil)
		defer c.Close()
		c.ail(0, true)
		c.open()
		c.pass(time.Minute)
		if c.probes(0) > 0 {
			t.Error("a service that says nothing is probed")
		}
		defaults := active(1, 1)
		defaults.SetDefaults()
		c.SetHealthDefaults(defaults)
		c.want(1)
		c.config.Health = &HealthConfig{Active: &ActiveHealth{Type: "none"}}
		c.open()
		c.want(0, 1)
		c.config.Health = nil
		c.open()
		c.want(1)
		c.SetHealthDefaults(nil)
		c.want(0, 1)
	})
}

func TestTheStatusTellsHowEachNodeIs(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		health := active(1, 1)
		health.Passive = &PassiveHealth{}
		c := newClinic(t, 4, health)
		defer c.Close()
		c.ail(1, true)
		c.open()
		c.answer(2, 0, 5)
		var got []string
		for _, n := range c.Status() {
			got = append(got, n.Health+" "+n.Why)
		}
		want := []string{"healthy ", "unhealthy probe: sick", "ejected ejected for 30s: broke off or did not answer", "healthy "}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		c.config.Health = nil
		c.open()
		for _, n := range c.Status() {
			if n.Health != "unchecked" {
				t.Errorf("%s is %s", n.Upstream, n.Health)
			}
		}
	})
}
