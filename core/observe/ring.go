package observe

import "sync/atomic"

// ring is a queue of bytes from one producer, a worker, to one consumer, the log's writer. Neither waits for the other: positions only ever
// grow, each has one writer, and each sits on cache lines of its own.
//
//	        tail            head
//	─────────┬───────────────┬──────────────
//	  free   │  to be written│   free            position p is at buf[p % len(buf)]
type ring struct {
	buf []byte // its length is a power of two

	_        [linePad]byte
	head     atomic.Uint64 // end of the last whole line; the producer's
	tailSeen uint64        // what the producer last knew of tail
	dropped  atomic.Uint64 // lines that found no room; the producer's

	_    [linePad]byte
	tail atomic.Uint64 // first byte that is not yet written; the consumer's
	_    [linePad]byte
}

// newRing returns a ring of size bytes, a power of two.
func newRing(size int) *ring {
	if size&(size-1) != 0 {
		panic("BUG: observe: the size of a ring is not a power of two")
	}
	return &ring{buf: make([]byte, size)}
}

// put queues line whole, or drops and counts it where there is no room. It reports whether the consumer should be woken, since more than half
// of the ring is taken. Producer only.
func (r *ring) put(line []byte) (crowded bool) {
	size, head := uint64(len(r.buf)), r.head.Load()
	end := head + uint64(len(line))
	if end-r.tailSeen > size/2 {
		r.tailSeen = r.tail.Load()
		crowded = end-r.tailSeen > size/2
	}
	if end-r.tailSeen > size {
		r.dropped.Add(1)
		return crowded
	}
	at := head & (size - 1)
	n := copy(r.buf[at:], line)
	copy(r.buf, line[n:])
	r.head.Store(end)
	return crowded
}

// peek returns the bytes from tail that lie in one piece, up to the position end, which is not above head. They stay valid until free. Consumer only.
func (r *ring) peek(end uint64) []byte {
	size, tail := uint64(len(r.buf)), r.tail.Load()
	at := tail & (size - 1)
	return r.buf[at:min(at+end-tail, size)]
}

// free gives back the first n bytes that peek has returned. Consumer only.
func (r *ring) free(n int) { r.tail.Add(uint64(n)) }
