package upstream

import "sync/atomic"

// Waiter is an exchange that waits until some node of its service has room. It is embedded in the exchange, so that waiting allocates nothing. Loop only.
type Waiter struct {
	Owner interface {
		// Room tells that there may be room now, and reports whether the waiter has taken it, in which case it has been cancelled; it may wait again. Called on the loop.
		Room() bool
	}

	service    *serviceState
	worker     int
	next, prev *Waiter
}

// queue is the exchanges of one worker that wait for room at a service, in the order in which they came. Workers share no queue: whoever frees something picks the
// worker that is told by turns.
type queue struct {
	first, last *Waiter      // owned by the worker's loop
	waiting     atomic.Int32 // how many there are
	told        atomic.Bool  // serve is on its way to the loop
	serve       func()       // serves the queue, on the loop
	_           [24]byte     // two workers' queues never share a cache line
}

// Wait puts w at the end of the queue of its worker, until Room takes it out or Cancel is called.
func (s *Service) Wait(worker int, w *Waiter) {
	st := s.state
	w.service, w.worker = st, worker
	q := &st.local[worker].queue
	w.prev, w.next = q.last, nil
	q.link(w)
	st.waiting.Add(1)
	q.waiting.Add(1)
	// What was freed between the pick that failed and now has told nobody.
	st.tell(worker)
	if st.bounds.Load().boundConns() {
		st.reclaim(worker)
	}
}

func (q *queue) link(w *Waiter) {
	if w.prev != nil {
		w.prev.next = w
	} else {
		q.first = w
	}
	if w.next != nil {
		w.next.prev = w
	} else {
		q.last = w
	}
}

// Cancel takes w out of its queue, if it is in one.
func (w *Waiter) Cancel() {
	st := w.service
	if st == nil {
		return
	}
	q := &st.local[w.worker].queue
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.last = w.prev
	}
	w.service, w.next, w.prev = nil, nil, nil
	q.waiting.Add(-1)
	st.waiting.Add(-1)
}

// freed tells a worker where somebody waits that there is room. Any loop may call it.
func (s *serviceState) freed() {
	if s.waiting.Load() == 0 {
		return
	}
	n := len(s.local)
	start := int(s.turn.Add(1) % uint32(n))
	for k := range n {
		if w := (start + k) % n; s.local[w].queue.waiting.Load() > 0 {
			s.tell(w)
			return
		}
	}
}

// tellAll has every worker serve its queue that has one.
func (s *serviceState) tellAll() {
	if s.waiting.Load() == 0 {
		return
	}
	for w := range s.local {
		if s.local[w].queue.waiting.Load() > 0 {
			s.tell(w)
		}
	}
}

// tell has a worker serve its queue.
func (s *serviceState) tell(worker int) {
	if q := &s.local[worker].queue; q.told.CompareAndSwap(false, true) {
		s.registry.workers[worker].Post(q.serve)
	}
}

// serveQueue offers what room there is to those who wait, in their order. Where nobody is left here there may be some for those who wait elsewhere: who was told may have gone before it could
// take what another would have had.
func (s *serviceState) serveQueue(worker int) {
	q := &s.local[worker].queue
	q.told.Store(false)
	for most := q.waiting.Load(); most > 0 && q.first != nil && q.first.Owner.Room(); most-- {
	}
	if q.first == nil {
		s.freed()
	}
}

// reclaim has the other workers give up an idle connection, so that this one may make one.
func (s *serviceState) reclaim(worker int) {
	r := s.roster.Load()
	for w := range s.local {
		if w == worker {
			continue
		}
		s.registry.workers[w].Post(func() {
			for _, n := range r.nodes {
				if n.pools[w].giveUp() {
					return
				}
			}
		})
	}
}
