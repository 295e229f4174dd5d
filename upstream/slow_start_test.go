package upstream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/unit"
)

func TestSlowStartRaisesTheWeightOfANodeThatHasComeIn(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 2, active(1, 1))
		defer c.Close()
		c.config.Balancer.SlowStart = unit.Duration(30 * time.Second)
		c.open()
		share := func() float64 {
			got := 0
			for range 2000 {
				if c.service.Pick(0, Want{}).Address == c.specs[1].Upstream {
					got++
				}
			}
			return float64(got) / 2000
		}
		if got := share(); got != 0.5 { // those that were there from the beginning are warm
			t.Errorf("share %.3f at the start", got)
		}
		c.ail(1, true)
		c.pass(3 * time.Second)
		c.ail(1, false)
		c.pass(time.Second)
		last := 0.0
		for i := range 10 {
			now := share()
			if i == 0 && now > 0.11 || now < last {
				t.Errorf("share %.3f after %d steps, %.3f before", now, i, last)
			}
			last = now
			c.pass(3 * time.Second)
		}
		if got := share(); got != 0.5 {
			t.Errorf("share %.3f at the end", got)
		}
	})
}

// A node that takes traffic again after it was drained has come in, as one that is new.
func TestSlowStartIsForANodeThatWasDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 2, nil)
		defer c.Close()
		c.config.Balancer.SlowStart = unit.Duration(30 * time.Second)
		c.specs[1].Weight = 0
		c.open()
		c.specs[1].Weight = 1
		c.open()
		if got := share(c.service, 0)[c.service.Nodes()[1]]; got == 0 || got > 0.11 {
			t.Errorf("share %.3f at the start", got)
		}
		c.open() // that it is named once more does not begin it anew
		c.pass(30 * time.Second)
		if got := share(c.service, 0)[c.service.Nodes()[1]]; got < 0.49 {
			t.Errorf("share %.3f at the end", got)
		}
	})
}

// Each step of a slow start is one new roster, however many nodes have come in meanwhile: where they come all the time work would pile up without end.
func TestStepsOfASlowStartAreTakenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 2, nil)
		defer c.Close()
		c.config.Balancer.SlowStart = unit.Duration(warmSteps * time.Second)
		c.open()
		for i := range 9 {
			c.specs = append(c.specs, NodeSpec{Upstream: fmt.Sprintf("10.9.9.%d:80", i+1), Weight: 1})
			c.open()
			c.pass(100 * time.Millisecond)
		}
		made := 0
		for range 100 {
			before := c.service.state.roster.Load()
			c.pass(10 * time.Millisecond)
			if c.service.state.roster.Load() != before {
				made++
			}
		}
		if made != 1 {
			t.Errorf("%d rosters in the time of a step", made)
		}
	})
}
