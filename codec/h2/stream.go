package h2

import "sluice/codec"

// Stream is one stream of a connection. Its memory is its owner's, who embeds it in what it keeps for the stream; everything in it but Owner is the connection's.
type Stream struct {
	Owner any // for the owner: what the events of the stream concern
	ID    uint32

	next     *Stream // in the table
	linked   bool
	sendDone bool // END_STREAM or RST_STREAM was sent
	recvDone bool // END_STREAM or RST_STREAM has come
	headSeen bool // the head of the message from the peer, the final one, has come

	send     int32 // window: what may be sent; below zero after a change of the initial window
	recv     int32 // window: what may come
	owed     int32 // of recv: what has been passed on and not yet given back
	bodyLeft int64 // what content-length says is still to come; -1 = it says nothing
}

// Ended reports whether both directions have ended, so that the connection has let go of the stream.
func (s *Stream) Ended() bool { return !s.linked }

// SendEnded reports whether our direction has ended.
func (s *Stream) SendEnded() bool { return s.sendDone }

// RecvEnded reports whether the peer's direction has ended.
func (s *Stream) RecvEnded() bool { return s.recvDone }

// BodyLeft returns how many bytes of the body are still to come by what content-length says; -1 = it says nothing.
func (s *Stream) BodyLeft() int64 { return s.bodyLeft }

// expect notes how much data a head promises.
func (s *Stream) expect(f codec.Framing) {
	if f.Kind == codec.BodyLength {
		s.bodyLeft = f.Length
	}
}

// table finds streams by their identifier. Identifiers of one side go up in twos, so that their half, modulo the size, spreads them perfectly.
type table struct {
	buckets []*Stream
	n       int
}

const smallestTable = 8 // streams: one page's worth of requests

func (t *table) bucket(id uint32) **Stream { return &t.buckets[id>>1&uint32(len(t.buckets)-1)] }

func (t *table) find(id uint32) *Stream {
	if t.n == 0 {
		return nil
	}
	s := *t.bucket(id)
	for s != nil && s.ID != id {
		s = s.next
	}
	return s
}

func (t *table) add(s *Stream) {
	if t.n >= len(t.buckets) {
		t.grow()
	}
	b := t.bucket(s.ID)
	s.next, *b = *b, s
	s.linked = true
	t.n++
}

func (t *table) grow() {
	old := t.buckets
	t.buckets = make([]*Stream, max(smallestTable, 2*len(old)))
	for _, s := range old {
		for s != nil {
			next := s.next
			b := t.bucket(s.ID)
			s.next, *b = *b, s
			s = next
		}
	}
}

func (t *table) remove(s *Stream) {
	if !s.linked {
		return
	}
	b := t.bucket(s.ID)
	for *b != s {
		b = &(*b).next
	}
	*b = s.next
	s.next, s.linked = nil, false
	t.n--
}

// each calls f for every stream; f may remove the one it is called for, and no other.
func (t *table) each(f func(s *Stream)) {
	for i := range t.buckets {
		for s := t.buckets[i]; s != nil; {
			next := s.next
			f(s)
			s = next
		}
	}
}
