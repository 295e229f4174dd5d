package proxy

import "time"

// drain makes the worker end: it accepts what has already connected, then nothing more; idle sessions end now, the others after their answer, which
// says Connection: close. empty hears of it when the last one is gone.
func (w *worker) drain(empty chan<- struct{}) {
	w.handingOver = false
	w.stopAccepting(empty)
	for s := w.sessions; s != nil; {
		next := s.next
		s.session.drain()
		s = next
	}
	for g := w.greetings.oldest; g != nil; g = g.next {
		g.drain()
	}
	w.tellIfEmpty()
}

// handOver makes the worker end as drain does, except that idle sessions go on until their next answer.
func (w *worker) handOver(empty chan<- struct{}) {
	w.handingOver = true
	w.stopAccepting(empty)
	w.tellIfEmpty()
}

// stop cuts what is under way, so that it is recorded.
func (w *worker) stop() {
	for s := w.sessions; s != nil; {
		next := s.next
		s.session.stop()
		s = next
	}
	for w.greetings.oldest != nil {
		w.greetings.oldest.stop()
	}
}

func (w *worker) stopAccepting(empty chan<- struct{}) {
	w.draining = true
	w.drained = empty
	for _, ln := range w.listeners {
		ln.AcceptRest()
	}
	w.listeners = nil
}

// last reports whether the answer whose head is about to be sent is the last on its connection because memory is short or the worker drains. Requests that have come behind
// this one would be lost then: while another process takes over they are answered first.
func (s *session) last() bool {
	return s.worker.server.short() || s.aged() || s.worker.draining && !(s.worker.handingOver && s.phase == phaseWait && len(s.conn.Unread()) > 0)
}

// parts reports whether sessions that rest are to end.
func (w *worker) parts() bool { return w.draining && !w.handingOver }

// lingerTime is how long a connection whose answer has been sent may be silent before it is closed. In a drain others wait for it, and clients that have heard the end have
// stopped sending within a round trip or few.
func (w *worker) lingerTime() time.Duration {
	if w.parts() {
		return greetTime
	}
	return lingerTime
}

// aged reports whether the connection has lasted as long as one may.
func (s *session) aged() bool {
	age := s.set.timeouts.connectionAge
	return age > 0 && s.worker.loop.Now()-s.born > int64(age)
}

// tellIfEmpty tells who waits for the drain that no session is left.
func (w *worker) tellIfEmpty() {
	if w.drained != nil && w.sessions == nil && w.greetings.count == 0 {
		w.drained <- struct{}{}
		w.drained = nil
	}
}

func (w *worker) countSessions() int {
	n := w.greetings.count
	for s := w.sessions; s != nil; s = s.next {
		n++
	}
	return n
}
