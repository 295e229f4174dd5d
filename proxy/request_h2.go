package proxy

import (
	"sluice/codec"
	"sluice/codec/h2"
	"sluice/core/event"
	"sluice/internal/fault"
)

// requestH2 is a stream of a client and its exchange, whose downstream side it is. It is the worker's again when both are over.
type requestH2 struct {
	x       Exchange
	session *sessionH2
	outlet
	head  []byte      // borrowed: the bytes that the request's fields point into
	timer event.Timer // for the next byte of the body
	over  bool        // the exchange is finished

	// The request.
	trailer  codec.Header
	lines    []byte  // that the trailer points into
	tunneled bool    // data are bytes of another protocol
	early    backlog // of another protocol, which the node has not agreed to yet
	held     bool    // the node takes the body slower than it comes
	owed     int     // bytes that have come while it was held, or early, and were not given back to the windows
	refused  bool    // the message is malformed: the stream ends with PROTOCOL_ERROR behind the answer
	linger   int     // bytes of the body that are still put up with behind the answer
}

// newRequestH2 returns a request for s, used before if there is one.
func (w *worker) newRequestH2(s *sessionH2) *requestH2 {
	r, ok := w.spareRequestsH2.Take()
	if !ok {
		r = new(requestH2)
	}
	r.session = s
	r.outlet.reset(r, r)
	r.timer.Owner = r
	r.over, r.tunneled, r.held, r.refused = false, false, false, false
	r.owed = 0
	r.x.reset(w, r, &s.client)
	r.x.set = s.set
	return r
}

// release gives the request back: its stream has ended, or its connection has, which then must not find it any more.
func (r *requestH2) release() {
	s := r.session
	w := s.worker
	s.codec.Forget(&r.stream)
	s.drop(&r.outlet)
	w.loop.DropTimer(&r.timer)
	r.early.drop(w.loop)
	w.loop.Return(r.head)
	r.head = nil
	if r.owed > 0 {
		s.codec.CreditConn(r.owed)
		s.control()
	}
	r.session = nil
	r.x.down, r.x.client = nil, nil
	r.x.req.Reset(nil)
	r.x.resp.Reset(nil)
	w.spareRequestsH2.Put(r)
	s.requests--
	if w.draining && s.phase == h2Open {
		s.drain()
	}
	s.idle()
}

// data takes a run of the body, or of what passes through a tunnel.
func (r *requestH2) data(p []byte, end bool) {
	s := r.session
	if r.over {
		r.drainBody(p, end)
		return
	}
	if r.x.req.UpgradeAsks && !r.tunneled {
		r.keepEarly(p)
		return
	}
	if len(p) > 0 {
		if r.tunneled {
			r.x.tunnelUp(p)
		} else {
			s.worker.loop.SetTimer(&r.timer, s.set.timeouts.requestBody)
			r.x.requestBody(p)
		}
		switch {
		case r.over:
			s.codec.CreditConn(len(p))
			return
		case r.held:
			r.owed += len(p)
		default:
			s.codec.CreditConn(len(p))
			s.codec.CreditStream(&r.stream, len(p))
		}
	}
	if end {
		r.bodyEnd(nil)
	}
}

// keepEarly lets bytes of another protocol wait until the node has agreed to it: one that does not would take them for requests that have passed no route (RFC 9110 §7.8,
// RFC 8441 §5). They stay on the stream's window, which bounds them.
func (r *requestH2) keepEarly(p []byte) {
	r.owed += len(p)
	if r.x.state <= stateTrying { // behind an answer they are nobody's
		r.early.add(r.session.worker.loop, p)
	}
}

// bodyEnd tells that the client has sent all.
func (r *requestH2) bodyEnd(trailer *codec.Header) {
	r.session.worker.loop.StopTimer(&r.timer)
	switch {
	case r.tunneled:
		r.x.tunnelUpEnd()
	case !r.x.req.UpgradeAsks: // else tunnel looks whether the stream has ended
		r.x.requestEnd(trailer)
	}
}

// readTrailer takes the fields that follow a body.
func (r *requestH2) readTrailer() {
	s := r.session
	drained := r.over && r.stream.Ended() // the connection has let go of it
	lines, err := s.codec.ReadTrailer(r.lines, &r.trailer, &s.set.limits.heads)
	r.lines = lines
	if h2.Broken(err) {
		s.fail(err)
	}
	switch {
	case drained:
		r.release()
	case h2.Broken(err), r.over:
	case err != nil:
		r.reject(err)
	default:
		r.bodyEnd(&r.trailer)
	}
}

// reject refuses what the client has sent.
func (r *requestH2) reject(err error) {
	kind := rejectKind(err)
	r.refused = kind == fault.BadRequest
	r.x.requestFailed(fault.New("read request", fault.Downstream, kind, err))
}

// reset is the end of a stream that the client gave up, or that has broken a rule.
func (r *requestH2) reset(ev *h2.Event) {
	err := errStreamDone
	if ev.Err != nil {
		err = ev.Err
	}
	r.lost(clientGone(err))
}

// lost ends a stream that cannot be answered any more.
func (r *requestH2) lost(e *fault.Error) {
	switch {
	case !r.over:
		r.x.requestFailed(e)
	case r.stream.SendEnded():
		r.end(h2.NoError)
	default:
		r.end(h2.Cancel)
	}
}

// Expired is the timer: the client has sent nothing of its body for too long. One that has its answer's head may be silent: the streams of gRPC are of that kind.
func (r *requestH2) Expired(*event.Timer) {
	if r.over { // it has its answer, and what it had to send has had its time
		r.end(h2.NoError)
		return
	}
	if r.x.state < stateRelaying && !r.x.requestEnded {
		r.x.requestFailed(fault.New("read request body", fault.Downstream, fault.RequestTimeout, errBodyTimeout))
	}
}

// The request as the downstream side of its exchange.

func (r *requestH2) holdBody() {
	r.held = true
	r.session.worker.loop.StopTimer(&r.timer)
}

func (r *requestH2) wantBody() {
	s := r.session
	if r.held {
		r.held = false
		r.giveBack()
	}
	if !r.tunneled && !r.stream.RecvEnded() {
		s.worker.loop.SetTimer(&r.timer, s.set.timeouts.requestBody)
	}
}

// giveBack opens the windows again for what has been kept.
func (r *requestH2) giveBack() {
	s := r.session
	s.codec.CreditConn(r.owed)
	s.codec.CreditStream(&r.stream, r.owed)
	r.owed = 0
	s.control()
}

// tunnel hands on what the client has sent too early, and its end.
func (r *requestH2) tunnel() {
	r.tunneled = true
	loop := r.session.worker.loop
	loop.StopTimer(&r.timer)
	for r.early.size > 0 {
		p := r.early.front(r.early.size)
		r.x.tunnelUp(p)
		r.early.skip(loop, len(p))
	}
	if r.owed > 0 && !r.held {
		r.giveBack()
	}
	if r.stream.RecvEnded() {
		r.x.tunnelUpEnd()
	}
}

func (r *requestH2) endTunnel() { r.session.endSending(&r.outlet) }

// done is the end of the exchange. What waits for a window is still sent.
func (r *requestH2) done(cut bool) {
	r.over, r.linger = true, lingerBytes
	s := r.session
	s.worker.loop.StopTimer(&r.timer)
	switch {
	case s.phase >= h2Linger:
		r.release()
	case !cut:
		s.endSending(&r.outlet)
		if r.stream.SendEnded() {
			r.answered()
		}
	case r.x.failed != nil && r.x.failed.Kind == fault.ClientGone:
		r.end(h2.Cancel)
	default:
		r.end(h2.InternalError)
	}
}

// answered follows the end of an answer. A rest of the body that is worth it is read, as on HTTP/1.1, before the client is asked to stop: many a client takes a reset within its
// request for the end of the answer too, or for a failure, although RFC 9113 §8.1 says that it must not. The stream counts for what may be open as long.
func (r *requestH2) answered() {
	if r.stream.RecvEnded() || r.refused || r.x.req.UpgradeAsks || r.stream.BodyLeft() > lingerBytes {
		r.end(h2.NoError)
		return
	}
	r.session.worker.loop.SetTimer(&r.timer, lingerTime)
	if r.owed > 0 {
		r.giveBack()
	}
}

// drainBody throws away a run of a body whose request has been answered.
func (r *requestH2) drainBody(p []byte, end bool) {
	s := r.session
	s.codec.CreditConn(len(p))
	r.linger -= len(p)
	switch {
	case !r.stream.SendEnded(): // the answer waits for a window
		s.codec.CreditStream(&r.stream, len(p))
	case end || r.linger < 0:
		r.end(h2.NoError)
	default:
		s.codec.CreditStream(&r.stream, len(p))
	}
}

// end is the end of the stream, with that code where either side has not ended it yet.
func (r *requestH2) end(code h2.Code) {
	if s := r.session; s.phase < h2Linger {
		if r.refused {
			s.conn.Commit(s.codec.AppendBreach(s.conn.Buffer(), &r.stream, h2.ProtocolError))
		} else {
			s.conn.Commit(s.codec.AppendReset(s.conn.Buffer(), &r.stream, code))
		}
	}
	r.release()
}

var (
	_ downstream    = (*requestH2)(nil)
	_ source        = (*requestH2)(nil)
	_ event.Expirer = (*requestH2)(nil)
)
