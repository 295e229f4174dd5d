package proxy

import (
	"errors"
	"time"

	"sluice/codec/h2"
	"sluice/core/event"
	"sluice/internal/fault"
)

// sessionH2 is an HTTP/2 connection of a client: any number of requests at a time, each an exchange of its own.
//
//	       drain          a moment         no stream left
//	open ────────► warned ────────► leaving ─────────────► linger ──► closed
//	  │                                                      ▲
//	  └──────── idle for too long, or a rule is broken ──────┘
//
// A drain first warns the client, since requests may be on their way, and after a moment names the last one that is taken (RFC 9113 §6.8).
//
// What a client may make the gateway keep is bounded: of request bodies the connection's window, since no byte of it is given back before the node has taken it; of answers two reads for
// each stream, and beside them the write queue's high mark, since nothing is read while the client is behind; of heads the limits of a request for each stream.
type sessionH2 struct {
	mux
	conn   *event.Conn
	client client
	set    *settings // as they were when the latest request began

	phase    phaseH2
	requests int         // under way
	served   bool        // a request has come
	timer    event.Timer // for the next request, or what the phase waits for
	frame    event.Timer // for the rest of a frame or of a header block, and at first for the client's settings
	age      event.Timer // for the end of a connection that has lasted long enough
	linger   int         // bytes that linger still puts up with
	filled   int64       // loop time at which the allowance was filled up last

	// A slow reader.
	send     event.Timer
	sentMark uint64 // conn.Delivered when the timer was set

	seat seat
}

type phaseH2 uint8

const (
	h2Open phaseH2 = iota
	h2Warned
	h2Leaving
	h2Linger
	h2Closed
)

const (
	// What a client may have under way to us. 256 KiB fill a path of 50 ms at 40 Mbit/s for each upload; the bound of the connection is what may wait in memory for nodes
	// that are slow, four such uploads.
	h2StreamWindow = 256 << 10
	h2ConnWindow   = 1 << 20

	// refillTime is how often a client's allowance for useless frames is filled up, see codec/h2.
	refillTime = 10 * time.Second

	// framesPerTurn bounds what one connection may take of a turn beside its reads: 64 KiB can hold 7,000 frames.
	framesPerTurn = 512
)

var (
	errH2Silent   = errors.New("proxy: the client did not begin HTTP/2 in time")
	errH2Frame    = errors.New("proxy: the rest of a frame did not come in time")
	errStreamDone = errors.New("proxy: the client gave the stream up")
)

// newSessionH2 makes the session of a connection that speaks HTTP/2: by ALPN, or by prior knowledge as its first bytes have shown.
func newSessionH2(w *worker, c *event.Conn, cl client) *sessionH2 {
	s := &sessionH2{mux: mux{worker: w, out: c}, conn: c, client: cl, set: w.server.settings.Load(), filled: w.loop.Now()}
	s.timer.Owner, s.frame.Owner, s.send.Owner, s.age.Owner = s, s, s, s
	s.codec.Reset(h2.Options{StreamWindow: h2StreamWindow, ConnWindow: h2ConnWindow, Connect: true, MaxBlock: maxBlock(s.set)})
	c.FailOnHangup(true)
	c.GatherTurn()
	w.link(&s.seat, s, &s.client)
	c.Commit(s.codec.AppendPreface(c.Buffer()))
	w.loop.SetTimer(&s.timer, s.set.timeouts.keepAlive)
	if age := s.set.timeouts.connectionAge; age > 0 {
		w.loop.SetTimer(&s.age, age)
	}
	w.loop.SetTimer(&s.frame, s.set.timeouts.requestHeader)
	return s
}

// prefaceCame looks for HTTP/2's preface at the beginning of a connection, and makes way for its session. It reports false where the client speaks HTTP/1.x. "PRI" begins no
// request that anybody sends.
func (s *session) prefaceCame() bool {
	buf := s.conn.Unread()
	whole, maybe := h2.BeginsWithPreface(buf)
	if !whole {
		return maybe && len(buf) >= len("PRI")
	}
	w := s.worker
	s.dropRequest()
	s.phase = phaseClosed
	w.loop.DropTimer(&s.timer)
	w.loop.DropTimer(&s.sendTimer)
	w.unlink(&s.seat)
	next := newSessionH2(w, s.conn, s.client)
	s.conn.SetHandler(next)
	next.Data(s.conn)
	return true
}

// maxBlock bounds a compressed header block. The limits hold for what it becomes, and who is beyond them is told on the stream; what is four times as much even before is not
// worth decompressing, and ends the connection.
func maxBlock(set *settings) int {
	return 4 * (set.limits.heads.Headers + set.limits.heads.RequestLine + 4<<10)
}

// Data works through the frames that have come.
func (s *sessionH2) Data(c *event.Conn) {
	if s.phase >= h2Linger {
		s.discard()
		return
	}
	if now := s.worker.loop.Now(); now-s.filled > int64(refillTime) {
		s.filled = now
		s.codec.Refill()
	}
	opened := 0
	for range framesPerTurn {
		if s.rest() {
			return
		}
		buf := c.Unread()
		ev, n, err := s.codec.Next(buf)
		if err != nil {
			s.fail(err)
			return
		}
		if n == 0 {
			s.watchFrame(len(buf) > 0)
			s.pumpOpened()
			return
		}
		c.Consume(n)
		s.handle(&ev)
		if c.IsClosed() || s.phase >= h2Linger {
			return
		}
		s.control()
		if ev.Kind == h2.EventOpen {
			if opened++; opened >= s.set.limits.pipeline {
				break
			}
		}
	}
	s.watchFrame(false)
	if s.pumpOpened(); !c.IsClosed() {
		c.Yield()
	}
}

func (s *sessionH2) handle(ev *h2.Event) {
	switch ev.Kind {
	case h2.EventOpen:
		s.open(ev)
	case h2.EventData:
		ev.Stream.Owner.(*requestH2).data(ev.Data, ev.End)
	case h2.EventTrailer:
		ev.Stream.Owner.(*requestH2).readTrailer()
	case h2.EventReset:
		ev.Stream.Owner.(*requestH2).reset(ev)
	case h2.EventWindow:
		if ev.Stream == nil {
			s.windowOpened(nil)
		} else {
			s.windowOpened(&ev.Stream.Owner.(*requestH2).outlet)
		}
	case h2.EventSettings:
		s.control() // the acknowledgement comes before what the settings let through (RFC 9113 §6.5.3)
		s.wantAll()
		s.pump()
	case h2.EventGoAway: // the client opens no more streams; those that are open are answered
		if s.phase < h2Leaving {
			s.leave()
		}
	}
}

// open begins the exchange of a new stream.
func (s *sessionH2) open(ev *h2.Event) {
	w := s.worker
	s.set = w.server.settings.Load()
	s.served = true
	s.requests++
	if s.phase == h2Open {
		w.loop.StopTimer(&s.timer)
	}
	r := w.newRequestH2(s)
	s.codec.Open(&r.stream, ev.ID, ev.End)
	lines, err := s.codec.ReadRequest(w.lines, &r.x.req, ev.End, &s.set.limits.heads)
	w.lines = lines[:0]
	// The head outlives this event; it is copied once, to a buffer of its own size.
	r.head = w.loop.Borrow(max(1, len(lines)))
	copy(r.head, lines)
	r.x.req.Rebase(r.head[:len(lines)])
	switch {
	case h2.Broken(err):
		s.fail(err)
	case err != nil:
		r.reject(err)
	default:
		s.codec.Expect(&r.stream, r.x.req.Framing)
		if r.x.req.UpgradeAsks {
			r.addWebSocketKey()
		}
		if !ev.End {
			w.loop.SetTimer(&r.timer, s.set.timeouts.requestBody)
		}
		r.x.begin(ev.End)
	}
}

// watchFrame bounds how long a frame or a header block may take to come (CVE-2019-9511: a byte now and then). partial says that a part of one is there.
func (s *sessionH2) watchFrame(partial bool) {
	switch {
	case !s.codec.Acknowledged(): // the timer of the beginning is running
	case !partial && !s.codec.Within():
		s.worker.loop.StopTimer(&s.frame)
	case !s.frame.Armed():
		s.worker.loop.SetTimer(&s.frame, s.set.timeouts.requestHeader)
	}
}

// fail ends the connection for a rule that the client has broken.
func (s *sessionH2) fail(err error) {
	s.control()
	s.conn.Commit(s.codec.AppendGoAway(s.conn.Buffer(), h2.CodeOf(err), false))
	s.abandon(clientGone(err))
	s.endSide()
}

// abandon ends every exchange: there is nobody to answer any more. Later there is none left.
func (s *sessionH2) abandon(e *fault.Error) {
	if s.phase >= h2Linger {
		return
	}
	s.phase, s.shut = h2Linger, true
	s.codec.Each(func(stream *h2.Stream) {
		stream.Owner.(*requestH2).lost(e)
	})
}

// EOF is the end of the client's side: what has come whole is still answered.
func (s *sessionH2) EOF(*event.Conn) {
	switch {
	case s.phase < h2Linger && s.requests == 0 && s.conn.Queued() > 0:
		s.endSide()
		return
	case s.phase >= h2Linger || s.requests == 0:
		s.close()
		return
	case s.phase < h2Leaving:
		s.leave()
	}
	s.codec.Each(func(stream *h2.Stream) {
		if !stream.RecvEnded() {
			stream.Owner.(*requestH2).lost(clientGone(errTruncated))
		}
	})
}

// Closed is the end of the connection.
func (s *sessionH2) Closed(_ *event.Conn, err error) {
	s.abandon(clientGone(err))
	s.close()
}

// Opened never happens to an accepted connection.
func (s *sessionH2) Opened(*event.Conn) {}

// Expired is one of the timers: the client has taken too long.
func (s *sessionH2) Expired(t *event.Timer) {
	switch t {
	case &s.frame:
		s.frameExpired()
		return
	case &s.send:
		s.sendExpired()
		return
	case &s.age:
		s.drain()
		return
	}
	switch {
	case s.phase == h2Warned:
		s.leave()
	case s.phase >= h2Linger:
		if now := s.conn.Delivered(); now != s.sentMark && (s.conn.Queued() > 0 || now != s.conn.Sent()) {
			s.sentMark = now
			s.worker.loop.SetTimer(&s.timer, lingerTime)
			return
		}
		s.close()
	case s.requests == 0:
		s.leave()
	}
}

// frameExpired ends a connection that owes the rest of a frame, or its settings.
func (s *sessionH2) frameExpired() {
	switch {
	case s.phase >= h2Linger:
	case s.conn.IsPaused(): // the rest may have come
		s.worker.loop.SetTimer(&s.frame, s.set.timeouts.requestHeader)
	case !s.codec.Settled():
		s.fail(&h2.Error{Code: h2.ProtocolError, Text: errH2Silent.Error(), RFC: "RFC 9113 §3.4"})
	case !s.codec.Acknowledged():
		s.fail(&h2.Error{Code: h2.SettingsTimeout, Text: errH2Silent.Error(), RFC: "RFC 9113 §6.5.3"})
	default:
		s.fail(&h2.Error{Code: h2.EnhanceYourCalm, Text: errH2Frame.Error(), RFC: "RFC 9113 §10.5"})
	}
}

// idle sets the time that a connection without a request may stay, or ends one that is to go.
func (s *sessionH2) idle() {
	switch {
	case s.phase >= h2Linger || s.requests > 0:
	case s.phase == h2Leaving:
		s.endSide()
	case s.phase == h2Open:
		s.worker.loop.SetTimer(&s.timer, s.set.timeouts.keepAlive)
	}
}

// clientGone is how an exchange ends whose client is gone.
func clientGone(err error) *fault.Error {
	return fault.New("client connection", fault.Downstream, fault.ClientGone, err)
}

var _ event.Handler = (*sessionH2)(nil)
