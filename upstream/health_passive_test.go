package upstream

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/unit"
)

func passive(change func(*PassiveHealth)) *HealthConfig {
	p := &PassiveHealth{}
	if change != nil {
		change(p)
	}
	return &HealthConfig{Passive: p}
}

func TestANodeThatFailsTooOftenInARowIsEjectedForATime(t *testing.T) {
	records := silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 4, passive(nil))
		defer c.Close()
		c.open()
		c.answer(2, 0, 4)
		c.answer(2, 200, 1) // in a row, or not at all
		c.answer(2, 503, 4)
		c.want(0, 1, 2, 3)
		c.answer(2, 0, 1)
		c.want(0, 1, 3)
		c.pass(29 * time.Second)
		c.want(0, 1, 3)
		c.pass(time.Second)
		c.want(0, 1, 2, 3)
	})
	if *records != 2 {
		t.Errorf("%d lines were logged, want one for each flip", *records)
	}
}

func TestEjectionGrowsWhileANodeComesBackBad(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 4, passive(func(p *PassiveHealth) { p.MaxEjection = unit.Duration(80 * time.Second) }))
		defer c.Close()
		c.open()
		for _, d := range []time.Duration{30, 60, 80, 80} {
			c.answer(0, 500, 5)
			c.want(1, 2, 3)
			c.pass(d*time.Second - time.Millisecond)
			c.want(1, 2, 3)
			c.pass(time.Millisecond)
			c.want(0, 1, 2, 3)
		}
		c.pass(81 * time.Second) // long enough to be forgiven
		c.answer(0, 500, 5)
		c.pass(30 * time.Second)
		c.want(0, 1, 2, 3)
	})
}

func TestNoMoreNodesAreEjectedThanMayBe(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 5, passive(nil))
		defer c.Close()
		c.open()
		for i := range 5 {
			c.answer(i, 0, 10)
		}
		c.want(2, 3, 4) // half of five is two
		c.pass(30 * time.Second)
		c.want(0, 1, 2, 3, 4)
		c.answer(4, 0, 10)
		c.want(0, 1, 2, 3)
	})
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 1, passive(nil))
		defer c.Close()
		c.open()
		c.answer(0, 0, 100)
		c.want(0) // half of one is none
	})
}

// What a node is ejected for may be over before its time is, and a probe that would have seen it says so.
func TestAGoodProbeEndsAnEjectionThatItDisproves(t *testing.T) {
	silence(t)
	for _, c := range []struct {
		probe   string
		failure Failure
		back    bool
	}{
		{"tcp", FailedConnect, true}, {"tcp", FailedBroken, false}, {"http", FailedBroken, true}, {"http", FailedStatus, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			health := passive(nil)
			health.Active = &ActiveHealth{Type: c.probe}
			k := newClinic(t, 3, health)
			defer k.Close()
			k.open()
			for range 5 {
				var try Try
				try.Begin(k.service, 0, k.service.Nodes()[0], 0)
				try.Failed(c.failure, 0)
				try.End()
			}
			k.want(1, 2)
			k.pass(3 * time.Second)
			if c.back {
				k.want(0, 1, 2)
			} else {
				k.want(1, 2)
			}
		})
	}
}

func TestANodeWithABadSuccessRateIsEjected(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 3, passive(func(p *PassiveHealth) { p.SuccessPercent = 90 }))
		defer c.Close()
		c.open()
		for range 20 {
			c.answer(0, 200, 9)
			c.answer(0, 500, 1)
			c.answer(1, 200, 4)
			c.answer(1, 500, 1)
		}
		c.answer(2, 500, 2) // too few to say anything
		c.want(0, 1, 2)
		c.pass(10 * time.Second)
		c.want(0, 2)
	})
}

func TestANodeThatIsMuchSlowerThanTheOthersIsEjected(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 4, passive(func(p *PassiveHealth) { p.LatencyFactor = 3 }))
		defer c.Close()
		c.open()
		for i, took := range []time.Duration{10, 12, 14, 40} {
			for range 20 {
				var try Try
				try.Begin(c.service, 1, c.service.Nodes()[i], 0)
				try.Answered(200, int64(took*time.Millisecond))
				try.Whole()
				try.End()
			}
		}
		c.pass(10 * time.Second)
		c.want(0, 1, 2)
	})
}

// Two failures that are counted at the same moment by two workers are one ejection.
func TestTwoWorkersEjectANodeOnce(t *testing.T) {
	records := silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 4, passive(nil))
		defer c.Close()
		c.open()
		var all sync.WaitGroup
		for w := range 2 {
			all.Go(func() {
				for range 100 {
					var try Try
					try.Begin(c.service, w, c.service.Nodes()[0], 0)
					try.Failed(FailedBroken, 0)
					try.End()
				}
			})
		}
		all.Wait()
		synctest.Wait()
		if n := c.service.state.ejected.Load(); n != 1 {
			t.Errorf("%d are counted", n)
		}
		c.want(1, 2, 3)
		c.specs = c.specs[1:] // it goes while it is out
		c.open()
		if n := c.service.state.ejected.Load(); n != 0 {
			t.Errorf("%d are counted though it has gone", n)
		}
	})
	if *records != 1 {
		t.Errorf("%d lines were logged", *records)
	}
}

// A worker sets a node's bit before anybody holds the lock: where ejecting is switched off in that moment, and the roster made while the bit is still set, the node is back all the same.
func TestANodeThatIsEjectedWhileEjectingIsSwitchedOffIsAskedAgain(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 3, passive(nil))
		defer c.Close()
		c.open()
		s, n := c.service.state, c.node(1)
		if !s.mayEject() {
			t.Fatal("no node may be ejected")
		}
		s.mu.Lock()
		c.config.Health.Passive = nil
		s.watchHealth()
		was := n.health.Or(ejected) // by a worker, which has read the policy of before
		s.muster()
		s.followEjection(n, was, FailedConnect)
		s.mu.Unlock()
		c.want(0, 1, 2)
	})
}
