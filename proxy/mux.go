package proxy

import (
	"sluice/codec"
	"sluice/codec/h2"
	"sluice/core/event"
)

// mux is the sending half of an HTTP/2 connection, of either side. What windows and socket let through is written as it comes; the rest waits at the stream's outlet, and the streams
// that could go on take turns, a frame each. The source of a stream is held while anything of it waits.
type mux struct {
	codec  h2.Conn
	out    *event.Conn
	worker *worker
	shut   bool // nothing is sent any more

	waiting queueH2 // outlets with something to send or to be told
	behind  int     // outlets where something waits
	opened  bool    // a window was, and pump has not looked
}

// outlet is one stream's way out of its connection.
type outlet struct {
	stream h2.Stream
	source source

	left    int64 // of a body with a length; -1 = it has none, or fields may follow it
	backlog backlog
	ending  bool         // all has been said, and our side ends with what waits
	last    codec.Header // the trailer that waits behind the backlog
	trailed bool         // last is to be sent
	told    bool         // congested has said yes, and goOn is owed
	moved   bool         // something was sent since anybody looked
	sent    uint64       // bytes of the body

	queued     bool
	prev, next *outlet
}

// source is whose stream an outlet is. Both calls may end the stream.
type source interface {
	// goOn tells that an outlet that was congested no longer is.
	goOn()
	// sendEnded tells that our side has ended, some time after endSending.
	sendEnded()
}

// framesBuffer is what is gathered into one write of a large body: the frames of one read.
const framesBuffer = 64<<10 + 8*16

// smallRun is what fits beside a head into the buffer that gathers a turn's writes.
const smallRun = 8 << 10

// resumeBelow is how much may wait when a source goes on.
const resumeBelow = 16 << 10

// reset makes the outlet ready for a new stream.
func (o *outlet) reset(owner any, source source) {
	o.stream = h2.Stream{Owner: owner}
	o.source = source
	o.left, o.sent = -1, 0
	o.ending, o.trailed, o.told, o.moved = false, false, false, false
}

// control sends what the protocol owes.
func (m *mux) control() {
	if p := m.codec.Control(); len(p) > 0 && !m.shut {
		m.out.Write(p)
	}
}

// body sends a run of a body, or lets it wait.
func (m *mux) body(o *outlet, p []byte) {
	if o.stream.SendEnded() {
		return
	}
	if o.backlog.size == 0 && !m.out.Congested() {
		if n := min(len(p), m.codec.Room(&o.stream)); n > 0 {
			m.write(o, p[:n])
			p = p[n:]
		}
	}
	m.keep(o, p)
}

// keep lets p wait.
func (m *mux) keep(o *outlet, p []byte) {
	if len(p) == 0 {
		return
	}
	if o.backlog.size == 0 {
		m.behind++
		o.moved = true
	}
	o.backlog.add(m.worker.loop, p)
	m.want(o)
}

// write writes data that the windows let through. Small runs are gathered with what else is written in this turn; a large one is one write.
func (m *mux) write(o *outlet, p []byte) {
	w := m.worker
	o.sent += uint64(len(p))
	if len(p) <= smallRun {
		m.out.Commit(m.codec.AppendData(m.out.Buffer(), &o.stream, p, o.isLast(len(p))))
		return
	}
	if w.frames == nil {
		w.frames = make([]byte, 0, framesBuffer)
	}
	for len(p) > 0 {
		n := min(len(p), 64<<10)
		w.frames = m.codec.AppendData(w.frames[:0], &o.stream, p[:n], o.isLast(n))
		m.out.Write(w.frames)
		p = p[n:]
	}
}

// isLast counts n bytes of the body, and reports whether the stream ends with them.
func (o *outlet) isLast(n int) bool {
	if o.left < 0 {
		return false
	}
	o.left -= int64(n)
	return o.left == 0
}

// trailer sends the fields that end our side, or lets them wait behind the body.
func (m *mux) trailer(o *outlet, trailer *codec.Header) {
	switch {
	case o.stream.SendEnded():
	case o.backlog.size == 0:
		m.out.Commit(m.codec.AppendTrailer(m.out.Buffer(), &o.stream, trailer))
	default:
		o.keepTrailer(trailer)
	}
}

func (o *outlet) keepTrailer(trailer *codec.Header) {
	o.trailed = true
	o.last.Reset(nil)
	for i := range trailer.Len() {
		if !trailer.Removed(i) {
			o.last.Add(string(trailer.Name(i)), trailer.Value(i))
		}
	}
}

// endSending ends our side of the stream, behind what waits.
func (m *mux) endSending(o *outlet) {
	switch {
	case o.stream.SendEnded():
	case o.backlog.size > 0:
		o.ending = true
	case o.trailed:
		m.out.Commit(m.codec.AppendTrailer(m.out.Buffer(), &o.stream, &o.last))
	default:
		m.out.Commit(m.codec.AppendData(m.out.Buffer(), &o.stream, nil, true))
	}
}

// congested reports whether the source of a stream has to wait; goOn follows.
func (m *mux) congested(o *outlet) bool {
	if o.backlog.size == 0 && !m.out.Congested() {
		return false
	}
	o.told = true
	m.want(o)
	return true
}

// want gives an outlet a turn: a window may have opened for it.
func (m *mux) want(o *outlet) {
	if o.backlog.size > 0 || o.told {
		m.waiting.add(o)
	}
}

// drop gives up what an outlet has to send.
func (m *mux) drop(o *outlet) {
	if o.backlog.size > 0 {
		m.behind--
		o.backlog.drop(m.worker.loop)
	}
	m.waiting.remove(o)
}

// windowOpened notes that the peer has opened a window, of the connection where o is nil. What it lets through is sent when all that was read has been taken, see [mux.pumpOpened].
func (m *mux) windowOpened(o *outlet) {
	m.opened = true
	if o != nil {
		m.want(o)
	}
}

// pumpOpened sends what windows let through that were opened since: those of one read together, since a peer gives back what each frame has taken, and would be sent ever smaller ones.
func (m *mux) pumpOpened() {
	if m.opened {
		m.pump()
	}
}

// pump sends what the windows let through. An outlet whose own window is shut leaves the queue, and comes back with a window update of its own.
func (m *mux) pump() {
	m.opened = false
	for !m.shut && !m.out.Congested() {
		o := m.next()
		if o == nil {
			return
		}
		m.waiting.remove(o)
		if o.backlog.size == 0 {
			m.caughtUp(o)
			continue
		}
		n := min(m.codec.Room(&o.stream), h2.MaxFrame)
		if n > 0 && m.sendWaiting(o, n) {
			m.want(o)
		}
	}
}

// next returns the outlet whose turn it is, nil where there is none. While the window of the connection is shut, only those have one that have no data to send, but perhaps their end.
func (m *mux) next() *outlet {
	o := m.waiting.first
	for o != nil && o.backlog.size > 0 && m.codec.ConnRoom() == 0 {
		o = o.next
	}
	return o
}

// sendWaiting sends up to n bytes of a backlog. It reports whether the outlet still stands: what follows from having caught up may end it.
func (m *mux) sendWaiting(o *outlet, n int) bool {
	p := o.backlog.front(n)
	o.moved = true
	o.sent += uint64(len(p))
	m.out.Commit(m.codec.AppendDataHeader(m.out.Buffer(), &o.stream, len(p), o.isLast(len(p))))
	m.out.Write(p)
	o.backlog.skip(m.worker.loop, len(p))
	if o.backlog.size == 0 {
		m.behind--
	}
	if o.backlog.size > resumeBelow {
		return true
	}
	return m.caughtUp(o)
}

// caughtUp goes on with an outlet where little or nothing waits, and reports whether it still stands.
func (m *mux) caughtUp(o *outlet) bool {
	id := o.stream.ID
	if o.backlog.size == 0 && o.ending {
		o.ending = false
		m.endSending(o)
		o.source.sendEnded()
		return false
	}
	if o.told {
		o.told = false
		o.source.goOn()
	}
	return o.stream.ID == id && !o.stream.SendEnded()
}

// queueH2 is outlets in the order of their turns.
type queueH2 struct{ first, last *outlet }

func (q *queueH2) add(o *outlet) {
	if o.queued {
		return
	}
	o.queued = true
	o.prev, o.next = q.last, nil
	if q.last != nil {
		q.last.next = o
	} else {
		q.first = o
	}
	q.last = o
}

func (q *queueH2) remove(o *outlet) {
	if !o.queued {
		return
	}
	if o.prev != nil {
		o.prev.next = o.next
	} else {
		q.first = o.next
	}
	if o.next != nil {
		o.next.prev = o.prev
	} else {
		q.last = o.prev
	}
	o.queued, o.prev, o.next = false, nil, nil
}
