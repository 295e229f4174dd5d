package upstream

import "time"

// Try is what is counted of one try at a node. An exchange keeps one for each try that is under way; the zero value is none. Loop only.
type Try struct {
	service *Service
	node    *Node
	worker  int
	start   int64         // loop time
	took    time.Duration // to the head of an answer
	counted bool
	retry   bool // it is counted as one
	good    bool // the answer's head has come, and is not an error
}

// Begin counts a try at n that begins at loop time now; End follows. It returns false, and counts nothing, where another worker has taken the last room there was.
func (t *Try) Begin(s *Service, worker int, n *Node, now int64) bool {
	if s.counted {
		b := s.state.bounds.Load()
		if active := n.load.active.Add(1); b != nil && b.nodeRequests > 0 && active > b.nodeRequests {
			n.load.active.Add(-1)
			s.state.freed() // who has looked meanwhile has seen one too many
			return false
		}
		s.state.active.Add(1)
	}
	*t = Try{service: s, worker: worker, node: n, start: now, counted: s.counted}
	return true
}

// AsRetry tells that the try is not the first of its exchange. It returns false where the node has all of those that it may have.
func (t *Try) AsRetry() bool {
	b := t.service.state.bounds.Load()
	if b == nil || b.nodeRetries == 0 {
		return true
	}
	if t.node.retrying.Add(1) > b.nodeRetries {
		t.node.retrying.Add(-1)
		return false
	}
	t.retry = true
	return true
}

// Answered tells that the head of an answer with that status has come at loop time now.
func (t *Try) Answered(status int, now int64) {
	if n := t.node; n.silentSince.Load() != 0 {
		n.silentSince.Store(0)
	}
	if status >= 500 {
		t.Failed(FailedStatus, now)
		return
	}
	t.good, t.took = true, time.Duration(now-t.start)
	s := t.service
	if s.balancer == EWMA {
		t.node.load.latency.sample(t.took, now)
	}
	if s.hedge != nil {
		s.state.noteHead(t.worker, t.took)
	}
	if s.adaptive != nil {
		seen := &s.state.local[t.worker].answered
		one(&seen.count, 1)
		one(&seen.micros, uint64(t.took/time.Microsecond))
	}
}

// outrunFor is for how long a node must have answered nobody for tries that others have outrun to be failures: less is a pause that any process may make.
const outrunFor = time.Second

// Outrun tells that another try of the exchange was answered first, at loop time now, and this one is given up: it would have taken longer than it has, by which it is known. Or hedging
// would hide a node that hangs: nothing that it is asked would ever come to an end.
func (t *Try) Outrun(now int64) {
	s, n, took := t.service, t.node, time.Duration(now-t.start)
	if s.balancer == EWMA {
		n.load.latency.atLeast(took, now)
	}
	if usual := s.HedgeAfter(); usual > 0 {
		if took < usual { // it may have been about to be quick, as a node that only gets second tries always is
			return
		}
		s.state.noteHead(t.worker, took)
	}
	switch since := n.silentSince.Load(); {
	case since == 0:
		n.silentSince.CompareAndSwap(0, now)
	case time.Duration(now-since) >= outrunFor:
		t.failed(FailedBroken)
	}
}

// Whole tells that the answer is whole.
func (t *Try) Whole() {
	if t.good {
		t.succeeded()
	}
}

// failurePenalty is the least that a failed try counts as: a node that fails fast would otherwise look like the best of all.
const failurePenalty = time.Second

// Failed tells that the try has come to nothing at loop time now.
func (t *Try) Failed(f Failure, now int64) {
	if t.service.balancer == EWMA {
		t.node.load.latency.sample(max(failurePenalty, time.Duration(now-t.start)), now)
	}
	t.failed(f)
}

// End tells that the node has nothing more to do with the try. It may be called again.
func (t *Try) End() {
	if t.retry {
		t.retry = false
		t.node.retrying.Add(-1)
		t.service.state.freed()
	}
	if t.counted {
		t.counted = false
		t.node.load.active.Add(-1)
		t.service.state.active.Add(-1)
		t.service.state.freed()
	}
	t.service, t.node = nil, nil
}
