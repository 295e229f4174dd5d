package proxy

import (
	"math"

	"sluice/codec/h2"
	"sluice/internal/fault"
)

// drain warns the client, and lets it go after a moment: requests that it sends until it has heard are answered.
func (s *sessionH2) drain() {
	if s.phase != h2Open {
		return
	}
	s.phase = h2Warned
	s.conn.Commit(s.codec.AppendGoAway(s.conn.Buffer(), h2.NoError, true))
	s.worker.loop.SetTimer(&s.timer, greetTime)
}

// shed lets a client go that has nothing under way.
func (s *sessionH2) shed() bool {
	if s.phase != h2Open || !s.served || s.requests > 0 || s.conn.Queued() > 0 {
		return false
	}
	s.leave()
	return true
}

// stop cuts what is under way.
func (s *sessionH2) stop() {
	s.abandon(fault.New("stop", fault.Internal, fault.Stopped, nil))
}

// leave names the last stream that is taken. The connection ends with the last answer.
func (s *sessionH2) leave() {
	s.phase = h2Leaving
	s.worker.loop.StopTimer(&s.timer)
	s.conn.Commit(s.codec.AppendGoAway(s.conn.Buffer(), h2.NoError, false))
	s.idle()
}

// endSide ends our side once all is sent, and waits for the client to end its own.
func (s *sessionH2) endSide() {
	s.phase, s.linger, s.shut = h2Linger, lingerBytes, true
	s.worker.loop.StopTimer(&s.frame)
	s.worker.loop.StopTimer(&s.send)
	s.sentMark = s.conn.Delivered()
	if s.worker.parts() {
		s.sentMark = math.MaxUint64 // a moment is too short for a client that acknowledges nothing
	}
	s.worker.loop.SetTimer(&s.timer, s.worker.lingerTime())
	s.conn.Shutdown()
	s.conn.Resume()
}

// discard throws away what comes after our side has ended.
func (s *sessionH2) discard() {
	n := len(s.conn.Unread())
	s.conn.Consume(n)
	if s.linger -= n; s.linger < 0 {
		s.close()
	}
}

// close is the end of the session.
func (s *sessionH2) close() {
	s.phase = h2Closed
	s.conn.Close()
	s.worker.loop.DropTimer(&s.timer)
	s.worker.loop.DropTimer(&s.frame)
	s.worker.loop.DropTimer(&s.send)
	s.worker.loop.DropTimer(&s.age)
	s.worker.leave(&s.seat)
}
