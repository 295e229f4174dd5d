package proxy

import (
	"sluice/core/event"
)

// Bodies that nobody reads: where both sides are HTTP/1.1 in plain text, no plugin works on the body, and it has a length or ends with the connection, it passes from socket to socket within the kernel. The
// event loop does it ([event.Passer]); what follows is who may, and what is counted.

// passLeast is how much of a body has to be ahead for it to pass. Less is there after a read or two.
const passLeast = 128 << 10

// passAnswer returns where the rest of the node's body may go as it comes, nil where it may not.
func (x *Exchange) passAnswer() *event.Conn {
	if x.state != stateRelaying || len(x.transformers) > 0 {
		return nil
	}
	return x.down.socket()
}

// passRequest returns where the rest of the request body may go as it comes. As long as another try may want it, it is kept and therefore read.
func (x *Exchange) passRequest() *event.Conn {
	if x.call == nil || len(x.transformers) > 0 || x.state != stateRelaying && !(x.state == stateTrying && x.replayLost) {
		return nil
	}
	return x.call.socket()
}

// answerPassed is responseBody for n bytes that have gone to the client.
func (x *Exchange) answerPassed(n int) {
	x.bytesOut += int64(n)
	x.relayed()
}

// requestPassed is requestBody for n bytes that have gone to the node. What a body may have was compared with its length.
func (x *Exchange) requestPassed(n int) {
	x.bytesIn += int64(n)
	x.slowDown()
}

// The session's part.

// socket is where an answer may pass to the client.
func (s *session) socket() *event.Conn {
	if s.request.chunked || s.conn.Layer() != nil {
		return nil
	}
	return s.conn
}

// PassTo says where the rest of a request body may go.
func (s *session) PassTo(*event.Conn) (*event.Conn, int64) {
	if s.phase != phaseBody {
		return nil, 0
	}
	return s.request.passRequest(), s.request.body.Ahead()
}

// Passed tells that n bytes of a request body have gone there.
func (s *session) Passed(_ *event.Conn, n int) {
	r := s.request
	r.body.Skip(n)
	s.worker.loop.SetTimer(&s.timer, s.set.timeouts.requestBody)
	r.requestPassed(n)
	if r.body.Done() {
		s.complete()
		r.requestEnd(nil)
	}
}

// The call's part.

// socket is where a request may pass to the node.
func (k *h1Call) socket() *event.Conn {
	if k.chunked || k.bodiless || k.conn.Layer() != nil {
		return nil
	}
	return k.conn.Conn
}

// PassTo says where the rest of an answer may go.
func (k *h1Call) PassTo(*event.Conn) (*event.Conn, int64) {
	if !k.inBody {
		return nil, 0
	}
	return k.x.passAnswer(), k.body.Ahead()
}

// Passed tells that n bytes of an answer have gone there.
func (k *h1Call) Passed(_ *event.Conn, n int) {
	k.passed = true
	k.body.Skip(n)
	k.x.answerPassed(n)
	if k.body.Done() {
		k.end()
	}
}
