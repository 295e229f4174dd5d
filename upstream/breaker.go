package upstream

import (
	"errors"
	"sync/atomic"
	"time"
)

// bounds are what a service and its nodes are given at once, all workers together; 0 = no bound. A service without any has none.
type bounds struct {
	pending      int64 // exchanges that wait for a connection or for room
	conns        int64
	nodeRequests int64
	nodePending  int64
	nodeRetries  int64
	nodeConns    int64
}

// boundsOf returns the bounds of a configuration, nil where it has none.
func boundsOf(b *BreakerConfig, p *PoolConfig) *bounds {
	made := bounds{
		pending: int64(b.MaxPending), conns: int64(b.MaxConnections),
		nodeRequests: int64(b.PerNode.MaxRequests), nodePending: int64(b.PerNode.MaxPending), nodeRetries: int64(b.PerNode.MaxRetries), nodeConns: int64(p.MaxPerNode),
	}
	if made == (bounds{}) {
		return nil
	}
	return &made
}

// boundConns reports whether connections are bounded. b may be nil.
func (b *bounds) boundConns() bool { return b != nil && (b.nodeConns > 0 || b.conns > 0) }

// narrower reports whether b lets be fewer connections than a. Either may be nil.
func narrower(a, b *bounds) bool {
	if !b.boundConns() {
		return false
	}
	return a == nil || tighter(a.nodeConns, b.nodeConns) || tighter(a.conns, b.conns)
}

// tighter reports whether the bound b is below a, where 0 is none.
func tighter(a, b int64) bool { return b > 0 && (a == 0 || b < a) }

// Enter counts one more exchange in flight, and reports false where the service has all it may have. Each Enter that returned true is followed by one
// Leave on the same view: one that has no bound counts nothing. Any goroutine may call both.
func (s *Service) Enter() bool {
	if s.maxRequests == 0 && s.adaptive == nil {
		return true
	}
	n := s.state.inFlight.Add(1)
	if s.maxRequests > 0 && n > s.maxRequests || s.adaptive != nil && n > s.state.limit.Load() {
		s.state.inFlight.Add(-1)
		return false
	}
	return true
}

// Leave undoes Enter.
func (s *Service) Leave() {
	if s.maxRequests > 0 || s.adaptive != nil {
		s.state.inFlight.Add(-1)
	}
}

// EnterRetry counts one more exchange that is on a try beyond its first, and reports false where the service has all it may have. LeaveRetry follows on the same view
// when the exchange is over.
func (s *Service) EnterRetry() bool {
	if s.maxRetries == 0 {
		return true
	}
	if s.state.retrying.Add(1) > s.maxRetries {
		s.state.retrying.Add(-1)
		return false
	}
	return true
}

// LeaveRetry undoes EnterRetry.
func (s *Service) LeaveRetry() {
	if s.maxRetries > 0 {
		s.state.retrying.Add(-1)
	}
}

// room reports whether that worker may give the node one more exchange, or one more that was tried elsewhere before.
func (n *Node) room(worker int, retry bool) bool {
	b := n.owner.bounds.Load()
	if b == nil {
		return true
	}
	if b.nodeRequests > 0 && n.load.active.Load() >= b.nodeRequests {
		return false
	}
	if retry && b.nodeRetries > 0 && n.retrying.Load() >= b.nodeRetries {
		return false
	}
	return n.Idle(worker) || !b.connsUsed(n)
}

// connsUsed reports whether there may be no further connection to n now.
func (b *bounds) connsUsed(n *Node) bool {
	return b.nodeConns > 0 && n.conns.Load() >= b.nodeConns ||
		b.conns > 0 && n.owner.conns.Load() >= b.conns ||
		b.nodePending > 0 && n.pending.Load() >= b.nodePending
}

// Busy returns the sum of all that is counted at the service and its nodes as under way, retried or waiting: 0 once nothing is. A count below zero, of what was given back twice, adds to it as
// one above does. Any goroutine may call it.
func (s *Service) Busy() (sum int64) {
	add := func(counts ...*atomic.Int64) {
		for _, c := range counts {
			sum += max(c.Load(), -c.Load())
		}
	}
	st := s.state
	add(&st.inFlight, &st.active, &st.pending, &st.retrying, &st.waiting)
	for _, n := range s.nodes {
		add(&n.load.active, &n.pending, &n.retrying)
	}
	return sum
}

// ErrFull is why there is no connection where the node or the service has all it may have.
var ErrFull = errors.New("upstream: all connections that there may be are in use")

// addConn counts one more connection, unless there are all that may be.
func (n *Node) addConn() bool {
	b := n.owner.bounds.Load()
	mine, all := n.conns.Add(1), n.owner.conns.Add(1)
	if b != nil && (b.nodeConns > 0 && mine > b.nodeConns || b.conns > 0 && all > b.conns) {
		n.dropConn()
		return false
	}
	return true
}

// surplus reports whether there are more connections, to n or of its service, than there may be: the bound was lowered while they were open.
func (n *Node) surplus() bool {
	b := n.owner.bounds.Load()
	return b != nil && (b.nodeConns > 0 && n.conns.Load() > b.nodeConns || b.conns > 0 && n.owner.conns.Load() > b.conns)
}

func (n *Node) dropConn() {
	n.conns.Add(-1)
	n.owner.conns.Add(-1)
	n.owner.freed()
}

// Pending counts an exchange that waits: for a connection to its node, or for room at any. The zero value waits for nothing. Loop only.
type Pending struct {
	service *serviceState
	node    *Node
}

// Enter counts the exchange as waiting for n, or with nil for any node, and reports false where there are all that may be. Leave follows. One that is counted stays as it is.
func (p *Pending) Enter(s *Service, n *Node) bool {
	if p.service != nil {
		return true
	}
	b := s.state.bounds.Load()
	if b == nil || b.pending == 0 && b.nodePending == 0 {
		return true
	}
	p.service, p.node = s.state, n
	if waiting := s.state.pending.Add(1); b.pending > 0 && waiting > b.pending {
		s.state.pending.Add(-1)
		p.service, p.node = nil, nil
		return false
	}
	if n != nil {
		n.pending.Add(1)
	}
	return true
}

// Leave tells that it waits no more. It may be called again.
func (p *Pending) Leave() {
	if p.service == nil {
		return
	}
	s := p.service
	s.pending.Add(-1)
	if p.node != nil {
		p.node.pending.Add(-1)
	}
	p.service, p.node = nil, nil
	s.freed()
}

// Full tells, after a pick that has come to nothing, whether some node would have been picked if it had had room. It may have some by now: nothing stands still meanwhile.
func (s *Service) Full(worker int, w Want) bool {
	if s.state.bounds.Load() == nil {
		return false
	}
	p := picking{roster: s.state.roster.Load(), service: s, worker: worker, want: w}
	p.panicking = p.roster.panicking || p.overtaken()
	for _, n := range p.roster.nodes {
		if p.mayFit(n) {
			return true
		}
	}
	return false
}

// QueueTime returns how long an exchange may wait for room; 0 = not at all. Connections are worth waiting for: the one that another worker keeps idle is given up for it.
func (s *Service) QueueTime(connect time.Duration) time.Duration {
	if s.queueTimeout == 0 && s.bounds.boundConns() {
		return connect
	}
	return s.queueTimeout
}
