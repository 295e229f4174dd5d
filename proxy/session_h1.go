package proxy

import (
	"errors"
	"time"

	"sluice/codec"
	"sluice/codec/h1"
	"sluice/core/event"
	"sluice/internal/fault"
)

// session is an HTTP/1.x connection of a client. It takes one request at a time: what is pipelined behind it waits unread.
//
//	        bytes          head           end of body          answered, kept alive
//	idle ──────────► head ──────► body ───────────────► wait ─────────────────────► idle
//	                  │            │                     ▲ │
//	                  └────────────┼─── no body ─────────┘ │ answered, not kept alive
//	                               │                       ▼
//	                               └─ answered early ─► drain ──► linger ──► closed
//
// In drain the rest of a body that nobody wants is read, so that the next request can be found; in linger our side has ended and the client's is read
// until it ends too, since closing with bytes unread would reset the connection and take the answer with it (RFC 9112 §9.6).
type session struct {
	worker *worker
	conn   *event.Conn
	client client
	set    *settings // as they were when the latest request began

	request *request // under way, or being drained; nil while idle
	phase   phase
	reuse   bool // another request may follow the one under way
	served  bool // a request head has come
	timer   event.Timer
	linger  int   // bytes that drain still puts up with
	parting int64 // loop time up to which linger does

	// A slow reader.
	sendTimer event.Timer
	sentMark  uint64 // conn.Delivered when the timer was set

	seat seat
	born int64 // loop time
}

// request is a request under way on a session. It is the worker's again when it is over.
type request struct {
	Exchange
	head    []byte // borrowed: the bytes that the request's fields point into
	body    h1.BodyDecoder
	chunked bool // the answer is sent in chunks
	over    bool // the exchange is finished
}

// phase is what the session is waiting for.
type phase uint8

const (
	phaseIdle phase = iota
	phaseHead
	phaseBody
	phaseWait
	phaseDrain
	phaseTunnel
	phaseLinger
	phaseClosed
)

// What a client may still send once it has its answer. Up to 256 KiB, two round trips of a fast connection, are read for the connection's sake, so that the next request can
// be found. Where the connection ends with the answer, the rest is read for the answer's sake: until the client has been silent for 5 s, and for 30 s at most, as nginx does.
const (
	lingerBytes = 256 << 10
	lingerTime  = 5 * time.Second
	lingerMost  = 30 * time.Second
)

// greetTime is how long a drain waits for the first request of a connection. The client may have sent it before it could know.
const greetTime = time.Second

// partTime is how long a drain waits before it looks again at a connection that rests and is not through with it.
const partTime = 50 * time.Millisecond

var (
	errHeadTimeout = errors.New("proxy: the request head did not come in time")
	errBodyTimeout = errors.New("proxy: the request body did not come in time")
	errSendTimeout = errors.New("proxy: the client did not take the answer in time")
	errTruncated   = errors.New("proxy: the client ended the connection within a request")
)

func newSession(w *worker, c *event.Conn, from client) *session {
	s := &session{worker: w, conn: c, client: from, set: w.server.settings.Load(), born: w.loop.Now()}
	s.timer.Owner, s.sendTimer.Owner = s, s
	c.FailOnHangup(true)
	w.link(&s.seat, s, &s.client)
	w.loop.SetTimer(&s.timer, s.set.timeouts.requestHeader)
	return s
}

// Data works through what has come, as far as it goes without waiting and within the bound of a turn.
func (s *session) Data(c *event.Conn) {
	if !s.served && s.prefaceCame() {
		return
	}
	for range s.set.limits.pipeline {
		var more bool
		switch s.phase {
		case phaseIdle, phaseHead:
			more = s.readHead()
		case phaseBody:
			more = s.readBody()
		case phaseDrain:
			more = s.drainBody()
		case phaseTunnel:
			s.readTunnel()
			return
		case phaseLinger:
			s.discard()
			return
		case phaseWait, phaseClosed:
			return
		}
		if !more || c.IsClosed() || c.IsPaused() {
			return
		}
	}
	c.Yield()
}

// readHead parses a request head and begins its exchange. It reports whether there may be more to do at once.
func (s *session) readHead() bool {
	buf := s.conn.Unread()
	first := s.request == nil
	if first && onlyNewlines(buf, s.set.limits.heads.RequestLine) {
		return false
	}
	if first {
		s.set = s.worker.server.settings.Load()
		s.request = s.worker.newRequest(s)
	}
	r := s.request
	n, err := h1.ParseRequest(buf, &r.req, &s.set.limits.heads)
	if err != nil {
		s.reject(fault.New("read request head", fault.Downstream, rejectKind(err), err))
		return false
	}
	if n == 0 {
		if first {
			s.phase = phaseHead
			s.worker.loop.SetTimer(&s.timer, s.set.timeouts.requestHeader)
		}
		return false
	}
	// The head outlives this event: it is needed for another try and for the log. The buffer it came in goes back.
	r.head = s.worker.loop.Borrow(n)
	copy(r.head, buf[:n])
	r.req.Rebase(r.head[:n])
	s.conn.Consume(n)
	s.served = true
	s.reuse = r.req.KeepAlive
	r.body.Reset(r.req.Framing, &s.set.limits.heads)
	if r.body.Done() {
		s.complete()
		r.begin(true)
		return true
	}
	s.phase = phaseBody
	s.conn.Passes(r.body.Ahead() >= passLeast)
	s.worker.loop.SetTimer(&s.timer, s.set.timeouts.requestBody)
	r.begin(false)
	return true
}

// onlyNewlines reports whether b is nothing but empty lines, and no more of them than a request may have in front of it (RFC 9112 §2.2): no request has begun.
// Some clients send one behind a body.
func onlyNewlines(b []byte, limit int) bool {
	if len(b) > limit {
		return false
	}
	for i, c := range b {
		if c != "\r\n"[i&1] {
			return false
		}
	}
	return true
}

// complete notes that the whole request has come. The connection rests until it is answered.
func (s *session) complete() {
	s.phase = phaseWait
	s.conn.Passes(false)
	s.conn.Pause()
	s.worker.loop.StopTimer(&s.timer)
}

// readBody hands on what there is of a request body.
func (s *session) readBody() bool {
	r := s.request
	data, n, err := r.body.Next(s.conn.Unread())
	if err != nil {
		s.reject(fault.New("read request body", fault.Downstream, rejectKind(err), err))
		return false
	}
	s.conn.Consume(n)
	if len(data) > 0 {
		s.worker.loop.SetTimer(&s.timer, s.set.timeouts.requestBody)
		r.requestBody(data)
	}
	if s.phase != phaseBody {
		return n > 0 // it was answered while the body came
	}
	if r.body.Done() {
		s.complete()
		r.requestEnd(r.body.Trailer())
		return true
	}
	return n > 0
}

// drainBody throws away the rest of a body whose request has been answered.
func (s *session) drainBody() bool {
	r := s.request
	_, n, err := r.body.Next(s.conn.Unread())
	if s.linger -= n; err != nil || s.linger < 0 {
		s.endSide()
		return false
	}
	s.conn.Consume(n)
	if r.body.Done() {
		s.nextRequest()
		return true
	}
	return n > 0
}

// discard throws away what comes after our side has ended.
func (s *session) discard() {
	s.conn.Consume(len(s.conn.Unread()))
	left := time.Duration(s.parting - s.worker.loop.Now())
	if left <= 0 && s.conn.Queued() == 0 {
		s.close()
		return
	}
	s.worker.loop.SetTimer(&s.timer, min(s.worker.lingerTime(), max(left, 0)))
}

// reject refuses what the client has sent: nothing behind it can be trusted to be a request.
func (s *session) reject(e *fault.Error) {
	s.holdHead()
	s.reuse = false
	s.complete()
	s.request.requestFailed(e)
}

// holdHead lets the record of a request whose head is not whole have what there is of that, which may have moved since it was parsed.
func (s *session) holdHead() {
	if s.phase == phaseHead {
		s.request.req.Rebase(s.conn.Unread())
	}
}

// EOF is the end of the client's side. A request that is whole is still answered.
func (s *session) EOF(*event.Conn) {
	switch s.phase {
	case phaseBody:
		if s.request.state == stateRelaying { // the node has answered early, and the client need not send the rest
			s.reuse = false
			s.complete()
			return
		}
		fallthrough
	case phaseHead:
		s.reject(fault.New("read request", fault.Downstream, fault.BadRequest, errTruncated))
	case phaseWait:
		s.reuse = false
	case phaseTunnel:
		s.request.tunnelUpEnd()
	default:
		switch {
		case s.conn.Queued() == 0:
			s.close()
		case s.phase != phaseLinger:
			s.endSide() // a slow reader has yet to get its answer
		}
	}
}

// Closed is the end of the connection: an answer under way has nobody to go to.
func (s *session) Closed(_ *event.Conn, err error) {
	if r := s.request; r != nil && !r.over {
		if s.phase == phaseHead {
			r.req.Reset(nil) // what there was of the head has gone with the connection
		}
		r.requestFailed(fault.New("client connection", fault.Downstream, fault.ClientGone, err))
		return
	}
	s.close()
}

// Drained tells that the client has caught up with the answer.
func (s *session) Drained(*event.Conn) {
	s.worker.loop.StopTimer(&s.sendTimer)
	switch r := s.request; {
	case s.phase == phaseIdle:
		s.conn.Resume()
	case r != nil && !r.over:
		r.downDrained()
	}
}

// Opened never happens to a session: it begins when its connection is ready.
func (s *session) Opened(*event.Conn) {}

// Expired is one of the timers: the client has taken too long.
func (s *session) Expired(t *event.Timer) {
	if t == &s.sendTimer {
		s.sendExpired()
		return
	}
	switch s.phase {
	case phaseHead:
		s.reject(fault.New("read request head", fault.Downstream, fault.RequestTimeout, errHeadTimeout))
	case phaseBody:
		s.reject(fault.New("read request body", fault.Downstream, fault.RequestTimeout, errBodyTimeout))
	case phaseWait, phaseTunnel:
	case phaseIdle:
		if s.worker.parts() {
			s.part()
			return
		}
		s.endResting()
	default:
		s.endResting()
	}
}

// endResting closes a connection on which nothing is under way, once its client has taken what there is.
func (s *session) endResting() {
	if s.sending() || s.worker.draining && s.worker.loop.Now() < s.parting && !s.delivered() {
		s.worker.loop.SetTimer(&s.timer, s.worker.lingerTime())
		return
	}
	s.close()
}

// sending reports whether the client has yet to take some of an answer that is whole, and makes sure that it goes on taking it.
func (s *session) sending() bool {
	if s.conn.Queued() == 0 {
		return false
	}
	if !s.sendTimer.Armed() {
		s.watchSending()
	}
	return true
}

// sendExpired resets the connection of a client that takes nothing: an end in order could pass for the end of the body.
func (s *session) sendExpired() {
	switch {
	case s.conn.Queued() == 0:
	case s.conn.Delivered() != s.sentMark:
		s.watchSending()
	default:
		s.conn.Reset()
		s.Closed(s.conn, errSendTimeout)
	}
}

func (s *session) watchSending() {
	s.sentMark = s.conn.Delivered()
	s.worker.loop.SetTimer(&s.sendTimer, s.set.timeouts.send)
}

// rejectKind is what the client is told of a message that its parser has refused.
func rejectKind(err error) *fault.Kind {
	var reject *codec.Reject
	if !errors.As(err, &reject) {
		return fault.BadRequest
	}
	switch reject.Class {
	case codec.RejectLineTooLong:
		return fault.URITooLong
	case codec.RejectHeadersTooLarge:
		return fault.HeadersTooLarge
	case codec.RejectTooLarge:
		return fault.TooLarge
	case codec.RejectVersion:
		return fault.VersionUnsupported
	case codec.RejectNotImplemented:
		return fault.NotImplemented
	case codec.RejectExpectation:
		return fault.Expectation
	}
	return fault.BadRequest
}

var _ event.Passer = (*session)(nil)
