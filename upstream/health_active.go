package upstream

import (
	"context"
	"errors"
	"sync"
	"time"
)

// maxProbes bounds the probes of the process that are under way at once. Each may take its timeout, a second, so a thousand nodes that are dead and probed every three
// seconds keep 333 busy; with more than that the probes of all come later, and no node's come in a burst.
const maxProbes = 512

// prober probes the nodes of all services: one for the process, whatever the number of workers.
type prober struct {
	probe func(ctx context.Context, policy *ActiveHealth, node target) error
	slots chan struct{}

	mu      sync.Mutex // guards what follows, and that nobody enters once closed is set
	closed  bool
	begun   time.Time // when the probe is due that was asked for at once last
	running sync.WaitGroup
}

func newProber() *prober { return &prober{probe: probe, slots: make(chan struct{}, maxProbes)} }

// Probes that are asked for at once, as of all nodes when the gateway starts: so many begin together, and the rest one after the other, or thousands of handshakes would meet the first requests.
const (
	begunTogether = 64
	begunApart    = 200 * time.Microsecond
)

// soon returns how long a probe that is asked for at moment now waits: not at all, or its turn, but no longer than others of its node would be apart.
func (p *prober) soon(now time.Time, interval time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begun.Before(now) || p.begun.Sub(now) > interval {
		p.begun = now
	}
	p.begun = p.begun.Add(begunApart)
	return max(0, p.begun.Sub(now)-begunTogether*begunApart)
}

// enter waits for a slot, and reports false when ctx ends first or the prober is closed. leave follows.
func (p *prober) enter(ctx context.Context) bool {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return false
	}
	p.running.Add(1)
	p.mu.Unlock()
	select {
	case p.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		p.running.Done()
		return false
	}
}

func (p *prober) leave() {
	<-p.slots
	p.running.Done()
}

// close waits for the probes under way, whose contexts have been ended.
func (p *prober) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.running.Wait()
}

// checker probes one node. Its fields are guarded by the service's mu.
type checker struct {
	node    *Node
	context context.Context // ends with it
	stop    context.CancelFunc

	turn      int   // counts the probes that were asked for: the latest counts
	good, bad int   // probes in a row
	proved    bool  // a probe was good
	last      error // of the latest probe
}

// startChecker begins to probe n at once. The caller holds s.mu.
func (s *serviceState) startChecker(n *Node) *checker {
	c := &checker{node: n}
	c.context, c.stop = context.WithCancel(s.registry.context)
	s.soon(c)
	return c
}

// soon probes the node at once, as far as others do not, whatever was to come. The caller holds s.mu.
func (s *serviceState) soon(c *checker) {
	s.again(c, s.registry.prober.soon(s.registry.clock.Now(), s.probing.Interval.Std()))
}

// check probes the node once and sees to the next time, unless another probe was asked for meanwhile.
func (s *serviceState) check(c *checker, turn int) {
	p := s.registry.prober
	if !p.enter(c.context) {
		return
	}
	defer p.leave()
	s.mu.Lock()
	policy, late := s.probing, c.turn != turn
	s.mu.Unlock()
	if policy == nil || late {
		return
	}
	ctx, cancel := context.WithTimeout(c.context, policy.Timeout.Std())
	err := p.probe(ctx, policy, target{c.node.addr, c.node.Address, c.node.tls.Load()})
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = errProbeTimeout
	}
	cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.context.Err() != nil || c.turn != turn {
		return
	}
	s.view.Stats.Probe(err == nil)
	s.judge(c, policy, err)
	next := policy.Interval
	if c.bad > 0 || c.node.health.Load()&unhealthy != 0 {
		next = min(next, policy.EdgeInterval)
	}
	s.again(c, s.jitter(next.Std()))
}

var errProbeTimeout = errors.New("no answer in time")

// again probes once more after d, unless the checker is stopped by then. The caller holds s.mu.
func (s *serviceState) again(c *checker, d time.Duration) {
	c.turn++
	turn := c.turn
	s.registry.clock.After(d, func() { s.check(c, turn) })
}

// jitter returns d or up to a tenth less, so that probes which begin together do not stay together.
func (s *serviceState) jitter(d time.Duration) time.Duration {
	return d - time.Duration(s.registry.seed()%uint64(d/10+1))
}

// judge takes in the outcome of a probe. The caller holds s.mu.
func (s *serviceState) judge(c *checker, policy *ActiveHealth, err error) {
	n := c.node
	c.last = err
	if err != nil {
		c.good = 0
		c.bad++
		if c.bad >= policy.Unhealthy.Failures || !c.proved {
			s.settle(n, n.health.Or(unhealthy), "probe: "+err.Error())
		}
		return
	}
	c.bad = 0
	c.good++
	c.proved = true
	if c.good < policy.Healthy.Successes {
		return
	}
	s.settle(n, n.health.And(^unhealthy), "probe: good")
	if n.ejectedFor.mended(policy.Type) {
		s.uneject(n, "probe: good")
	}
}
