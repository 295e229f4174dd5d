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

	mu      sync.Mutex // guards closed, and that nobody enters once it is set
	closed  bool
	running sync.WaitGroup
}

func newProber() *prober { return &prober{probe: probe, slots: make(chan struct{}, maxProbes)} }

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

	good, bad int   // probes in a row
	proved    bool  // a probe was good
	last      error // of the latest probe
}

// startChecker begins to probe n at once. The caller holds s.mu.
func (s *serviceState) startChecker(n *Node) *checker {
	c := &checker{node: n}
	c.context, c.stop = context.WithCancel(s.registry.context)
	s.again(c, 0)
	return c
}

// check probes the node once and sees to the next time.
func (s *serviceState) check(c *checker) {
	p := s.registry.prober
	if !p.enter(c.context) {
		return
	}
	defer p.leave()
	s.mu.Lock()
	policy, _ := s.policy()
	s.mu.Unlock()
	if policy == nil {
		s.again(c, shortestProbe)
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
	if c.context.Err() != nil {
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

// again probes once more after d, unless the checker is stopped by then.
func (s *serviceState) again(c *checker, d time.Duration) {
	s.registry.clock.After(d, func() { s.check(c) })
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
