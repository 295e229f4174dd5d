package proxy

import (
	"time"

	"sluice/codec"
	"sluice/codec/h1"
	"sluice/internal/fault"
)

// The session as the downstream side of its exchange, and what follows the end of one.

func (s *session) sendInformational(resp *codec.Response) {
	s.conn.Commit(h1.AppendResponseHead(s.conn.Buffer(), resp, h1.ResponseOptions{}))
}

func (s *session) sendHead(resp *codec.Response) {
	r := s.request
	framing := h1.ClientFraming(resp, r.req.Method, r.req.Version)
	r.chunked = framing.Kind == codec.BodyStream
	if framing.Kind == codec.BodyClose || s.last() || r.refused() || s.phase == phaseBody && !s.worthDraining() {
		s.reuse = false
	}
	s.conn.Commit(h1.AppendResponseHead(s.conn.Buffer(), resp, h1.ResponseOptions{
		Version: r.req.Version, KeepAlive: s.reuse, Framing: framing,
	}))
}

// refused reports whether the request was malformed or ambiguous, its path too: who sends one such request is not asked for another on the same connection.
func (r *request) refused() bool { return r.failed != nil && r.failed.Kind == fault.BadRequest }

// worthDraining reports whether an answer that comes before the end of the request's body leaves the connection usable. A client that waits for 100 (Continue) may
// never send the body, and one whose body is too large should stop sending it.
func (s *session) worthDraining() bool {
	r := s.request
	tooLarge := r.failed != nil && r.failed.Kind == fault.TooLarge
	return !tooLarge && !r.req.Expect100 && r.body.Remaining() <= lingerBytes
}

func (s *session) sendBody(p []byte) {
	if len(p) == 0 {
		return // a chunk of nothing is the last one
	}
	if !s.request.chunked {
		s.conn.Write(p)
		return
	}
	s.conn.Commit(h1.AppendChunkHeader(s.conn.Buffer(), len(p)))
	s.conn.Write(p)
	s.conn.Commit(h1.AppendChunkEnd(s.conn.Buffer()))
}

func (s *session) sendTrailer(trailer *codec.Header) {
	if s.request.chunked {
		s.request.chunked = false // the end is written
		s.conn.Commit(h1.AppendLastChunk(s.conn.Buffer(), trailer))
	}
}

func (s *session) congested() bool {
	if !s.conn.Congested() {
		return false
	}
	if !s.sendTimer.Armed() {
		s.watchSending()
	}
	return true
}

func (s *session) holdBody() {
	s.conn.Pause()
	s.worker.loop.StopTimer(&s.timer)
}

func (s *session) wantBody() {
	switch s.phase {
	case phaseBody:
		s.worker.loop.SetTimer(&s.timer, s.set.timeouts.requestBody)
		s.conn.Resume()
	case phaseTunnel:
		s.conn.Resume()
	}
}

// done is the end of the exchange: on to the next request, or to the end of the connection.
func (s *session) done(cut bool) {
	r := s.request
	r.over = true
	switch {
	case s.conn.IsClosed():
		s.close()
	case cut:
		s.cut()
	default:
		if r.chunked {
			s.conn.Commit(h1.AppendLastChunk(s.conn.Buffer(), nil))
		}
		if s.conn.Behind() && !s.sendTimer.Armed() {
			s.watchSending() // the end of an answer may be too little for its source to have been stopped
		}
		switch {
		case !s.reuse:
			s.endSide()
		case s.phase == phaseBody:
			s.phase, s.linger = phaseDrain, lingerBytes
			s.worker.loop.SetTimer(&s.timer, lingerTime)
			s.conn.Resume()
		default:
			s.nextRequest()
		}
	}
}

// cut ends the connection so that the client sees that the answer is not whole: a missing length or last chunk shows it behind what there is; where the end of the
// connection would be the end of the body, only a reset does.
func (s *session) cut() {
	if r := s.request; r.chunked || r.resp.Framing.Kind == codec.BodyLength {
		s.endSide()
		return
	}
	s.conn.Reset()
	s.close()
}

// nextRequest makes the session ready for the next request, which may have come already.
func (s *session) nextRequest() {
	s.dropRequest()
	s.phase = phaseIdle
	s.conn.Passes(false)
	s.worker.loop.SetTimer(&s.timer, s.set.timeouts.keepAlive)
	if s.worker.parts() {
		s.drain()
	}
	if s.conn.IsClosed() {
		return
	}
	if s.congested() { // or a pipeline of requests whose answers nobody reads would fill the memory
		s.conn.Pause()
		return
	}
	s.conn.Resume()
}

// endSide ends our side of the connection once all is sent, and waits for the client to end its own, unless that is done with it anyway.
func (s *session) endSide() {
	done := s.clientIsDone()
	s.dropRequest()
	s.phase, s.parting = phaseLinger, s.worker.loop.Now()+int64(lingerMost)
	s.worker.loop.SetTimer(&s.timer, s.worker.lingerTime())
	if done {
		s.conn.CloseWhenSent()
		return
	}
	s.conn.Shutdown()
	s.conn.Resume()
}

// clientIsDone reports whether the client has asked for the end behind this answer and has sent nothing behind the request: there is nothing whose arrival could make
// the kernel answer with a reset, so that nobody needs to wait for the client's own end.
func (s *session) clientIsDone() bool {
	r := s.request
	return r != nil && r.failed == nil && !r.req.KeepAlive && s.phase == phaseWait && s.conn.Silent()
}

// drain ends the session as soon as nothing is under way. A client that has just come may have sent its first request before it could know.
func (s *session) drain() {
	switch s.phase {
	case phaseIdle:
	case phaseLinger:
		s.worker.loop.SetTimer(&s.timer, greetTime)
		return
	default:
		return
	}
	now := s.worker.loop.Now()
	s.parting = now + int64(greetTime)
	if !s.served {
		s.parting = s.born + int64(greetTime)
	}
	if !s.served && now < s.parting {
		s.worker.loop.SetTimer(&s.timer, time.Duration(s.parting-now))
		return
	}
	s.part()
}

// part closes a connection that rests where nobody needs to wait for the client's own end: the client has acknowledged all that it was sent and has sent nothing that is unread, so
// that no reset takes an answer with it. Else it looks again in a moment, in which a request that has come already is read and answered.
func (s *session) part() {
	switch {
	case s.delivered() && s.conn.Quiet():
		s.close()
	case s.worker.loop.Now() < s.parting:
		s.worker.loop.SetTimer(&s.timer, partTime)
	default:
		s.endSide()
	}
}

// delivered reports whether the client has acknowledged all that it was sent.
func (s *session) delivered() bool {
	return s.conn.Queued() == 0 && s.conn.Delivered() == s.conn.Sent()
}

// shed ends a session that rests between two requests.
func (s *session) shed() bool {
	if s.phase != phaseIdle || !s.served || s.conn.Queued() > 0 || len(s.conn.Unread()) > 0 {
		return false
	}
	s.close()
	return true
}

// stop cuts what is under way.
func (s *session) stop() {
	if s.request == nil && s.phase == phaseIdle && len(s.conn.Unread()) > 0 { // what may have become HTTP/2's preface
		s.readHead()
	}
	s.holdHead()
	if r := s.request; r != nil && !r.over {
		r.requestFailed(fault.New("stop", fault.Internal, fault.Stopped, nil))
	}
}

// close is the end of the session.
func (s *session) close() {
	s.phase = phaseClosed
	s.conn.Close()
	s.dropRequest()
	s.worker.loop.DropTimer(&s.timer)
	s.worker.loop.DropTimer(&s.sendTimer)
	s.worker.leave(&s.seat)
}

func (s *session) dropRequest() {
	if r := s.request; r != nil {
		s.request = nil
		s.worker.freeRequest(r)
	}
}

var _ downstream = (*session)(nil)
