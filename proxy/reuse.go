package proxy

// Objects that are used again.

// newRequest returns a request for s, used before if there is one.
func (w *worker) newRequest(s *session) *request {
	r, ok := w.spareRequests.Take()
	if !ok {
		r = new(request)
	}
	r.chunked, r.over = false, false
	r.Exchange.reset(w, s, &s.client)
	r.set = s.set
	return r
}

// freeRequest takes a request back.
func (w *worker) freeRequest(r *request) {
	if !r.over { // its head never came: there was no exchange
		w.loop.DropTimer(&r.timer)
	}
	w.loop.Return(r.head)
	r.head = nil
	r.down, r.client = nil, nil
	r.req.Reset(nil)
	r.resp.Reset(nil)
	w.spareRequests.Put(r)
}
