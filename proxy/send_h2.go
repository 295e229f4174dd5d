package proxy

import (
	"encoding/base64"

	"sluice/codec"
	"sluice/codec/h2"
	"sluice/core/event"
)

// How answers leave an HTTP/2 session.

func (r *requestH2) sendInformational(resp *codec.Response) {
	if !r.stream.SendEnded() {
		s := r.session
		s.conn.Commit(s.codec.AppendResponseHead(s.conn.Buffer(), &r.stream, resp, false))
	}
}

func (r *requestH2) sendHead(resp *codec.Response) {
	if r.stream.SendEnded() {
		return
	}
	s := r.session
	if resp.Status == 101 {
		r.sendConnected(resp)
		return
	}
	f := resp.Framing
	if f.Kind == codec.BodyLength && resp.Version != codec.HTTP2 {
		r.left = f.Length // no HTTP/1.1 answer with a length has trailers
	}
	s.conn.Commit(s.codec.AppendResponseHead(s.conn.Buffer(), &r.stream, resp, !f.HasBody()))
}

// addWebSocketKey adds what a client of HTTP/1.1 sends, and one of HTTP/2 does not need to (RFC 6455 §4.1, RFC 8441 §5): 16 bytes that nobody can predict.
func (r *requestH2) addWebSocketKey() {
	var nonce [16]byte
	var text [24]byte
	_, _ = r.session.worker.random.Read(nonce[:]) // never fails
	base64.StdEncoding.Encode(text[:], nonce[:])
	r.x.req.Header.Set("Sec-WebSocket-Key", text[:])
}

// sendConnected tells that a tunnel is there (RFC 8441 §5).
func (r *requestH2) sendConnected(resp *codec.Response) {
	s := r.session
	resp.Status = 200
	resp.Framing = codec.Framing{Kind: codec.BodyStream}
	resp.Header.RemoveName("Sec-WebSocket-Accept") // it answers a key that this client has not sent
	s.conn.Commit(s.codec.AppendResponseHead(s.conn.Buffer(), &r.stream, resp, false))
	resp.Status = 101
}

func (r *requestH2) sendBody(p []byte) {
	s := r.session
	s.body(&r.outlet, p)
	if r.backlog.size > 0 {
		s.watchSending()
	}
}

func (r *requestH2) sendTrailer(trailer *codec.Header) { r.session.trailer(&r.outlet, trailer) }

func (r *requestH2) congested() bool {
	if !r.session.congested(&r.outlet) {
		return false
	}
	r.session.watchSending()
	return true
}

// socket is none: a body goes in frames.
func (r *requestH2) socket() *event.Conn { return nil }

// goOn tells the exchange that its client has caught up.
func (r *requestH2) goOn() {
	if !r.over {
		r.x.downDrained()
	}
}

// sendEnded is the end of the stream where the exchange has ended before.
func (r *requestH2) sendEnded() {
	if r.over {
		r.answered()
	}
}

func (s *sessionH2) wantAll() {
	s.codec.Each(func(stream *h2.Stream) { s.want(&stream.Owner.(*requestH2).outlet) })
}

// rest stops reading while the client is behind with what was written, and reports whether it is: no window bounds heads and what the protocol owes.
func (s *sessionH2) rest() bool {
	if !s.conn.Congested() {
		return false
	}
	s.watchSending()
	s.conn.Pause()
	return true
}

// Drained tells that the client has caught up with what was written.
func (s *sessionH2) Drained(*event.Conn) {
	s.conn.Resume()
	s.pump()
}

// watchSending makes sure that a client whose answers wait goes on taking them.
func (s *sessionH2) watchSending() {
	if !s.send.Armed() {
		s.sentMark = s.conn.Delivered()
		s.worker.loop.SetTimer(&s.send, s.set.timeouts.send)
	}
}

// sendExpired resets a connection whose client takes nothing, and the streams whose windows it keeps shut (CVE-2019-9517, RFC 9113 §10.5).
func (s *sessionH2) sendExpired() {
	if s.phase >= h2Linger {
		return
	}
	if s.conn.Queued() > 0 && s.conn.Delivered() == s.sentMark {
		s.conn.Reset()
		s.Closed(s.conn, errSendTimeout)
		return
	}
	s.codec.Each(func(stream *h2.Stream) {
		r := stream.Owner.(*requestH2)
		if r.backlog.size > 0 && !r.moved {
			r.lost(clientGone(errSendTimeout))
			return
		}
		r.moved = false
	})
	if s.phase < h2Linger && (s.behind > 0 || s.conn.Queued() > 0) {
		s.watchSending()
	}
}
