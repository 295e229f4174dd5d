package proxy

// seat is a session's place on its worker's list of them.
type seat struct {
	session    drainer
	client     *client
	prev, next *seat
}

// drainer is a session, of whichever protocol, as a drain sees it.
type drainer interface {
	// drain ends the session as soon as nothing is under way.
	drain()
	// shed ends the session if it rests between two requests, and reports whether it did.
	shed() bool
	// stop ends what is under way, since the process ends.
	stop()
}

// link puts a session on the worker's list.
func (w *worker) link(s *seat, session drainer, from *client) {
	s.session, s.client = session, from
	s.next = w.sessions
	if s.next != nil {
		s.next.prev = s
	} else {
		w.oldest = s
	}
	w.sessions = s
}

// unlink takes a session off the list, and reports false where it was off already.
func (w *worker) unlink(s *seat) bool {
	if s.prev == nil && w.sessions != s {
		return false
	}
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		w.sessions = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		w.oldest = s.prev
	}
	s.prev, s.next = nil, nil
	return true
}

// leave takes a session off the list whose connection has ended; it may be called again.
func (w *worker) leave(s *seat) {
	if !w.unlink(s) {
		return
	}
	w.depart(s.client)
}

// depart notes that a client connection is gone.
func (w *worker) depart(from *client) {
	w.stats.ConnClosed()
	w.server.leave()
	w.server.clients.leave(from.counted)
	w.tellIfEmpty()
}
