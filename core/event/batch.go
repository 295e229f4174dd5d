package event

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// A system call costs a quarter of a microsecond and more before it has done anything, and a small exchange needs four: two reads and two writes. With a
// ring the first reads of a batch of events, and the writes that the batch before has led to, are one call. Nothing else changes: each is complete when the
// ring has been entered, as if it had been made alone.

// batchSize is how many events share an entry into the kernel. With more of them the first in a batch wait for the last, and little is gained.
const batchSize = 16

// batched is a read or a write that is made through the ring.
type batched struct {
	conn  *Conn
	out   []byte     // what a write sends, borrowed; nil of a read
	size  int        // of a read's window
	n     int        // what came of it, once it is made
	errno unix.Errno // or why it failed
	made  bool
}

// fetched is what a read through the ring has brought, until the connection's event is handled.
type fetched uint8

const (
	fetchedNothing fetched = iota // there was none
	fetchedShort                  // bytes, and there are no more
	fetchedFull                   // as many bytes as there was room for
	fetchedAgain                  // EAGAIN
	fetchedEnd                    // the peer sends no more
	fetchedError
)

// dispatchBatches is dispatch with a ring.
func (l *Loop) dispatchBatches() {
	for l.cursor < l.pending {
		if l.cursor >= l.batchEnd {
			l.batchEnd = min(l.cursor+batchSize, l.pending)
			l.batch()
		}
		for l.cursor < l.batchEnd {
			l.dispatchNext()
		}
	}
	l.batch()
}

// batch sends what was written since the last time, and reads for the events of the batch that begins.
func (l *Loop) batch() {
	if l.ring == nil { // it has just broken
		l.flush()
		return
	}
	for l.flushApart() {
	}
	for _, c := range l.dirty {
		l.prepareWrite(c)
	}
	clear(l.dirty)
	l.dirty = l.dirty[:0]
	for i := l.cursor; i < l.batchEnd; i++ {
		events, t := l.poller.event(i)
		if s := &l.slots[t.index]; s.gen == t.gen {
			if c, ok := s.source.(*Conn); ok && c.fetchable(events) {
				l.prepareRead(c)
			}
		}
	}
	l.makeCalls()
	l.settleCalls()
}

// flushApart flushes the connections that have more to do than one write, and those beyond the ring's room, and reports whether there was one. It may call handlers,
// which may do anything to the others: so it is over, and has found nothing, before the first call is prepared.
func (l *Loop) flushApart() (found bool) {
	kept := 0
	for i := 0; i < len(l.dirty); i++ {
		c := l.dirty[i]
		l.dirty[i] = nil
		if c == nil { // left by a panic
			continue
		}
		if kept < len(l.ring.sqes)-batchSize && c.batchable() {
			l.dirty[kept] = c
			kept++
			continue
		}
		found = true
		c.dirty = false
		if !c.closed {
			l.current = c
			c.flush()
		}
	}
	clear(l.dirty[kept:])
	l.dirty = l.dirty[:kept]
	return found
}

// batchable reports whether one write is all that a flush would do, but for what follows it. A layer would have to be told of its end before.
func (c *Conn) batchable() bool {
	return len(c.out) > 0 && !c.Behind() && !c.full && !c.closed && (c.layer == nil || c.finish == finishNothing) && !c.connecting && !c.shaking && c.broken == nil
}

func (l *Loop) prepareWrite(c *Conn) {
	c.dirty = false
	out := c.out
	if c.layer != nil {
		l.current = c // should it panic
		out = c.seal(out)
		l.buffers.put(c.out)
	}
	c.out = nil
	if len(out) == 0 { // the layer has failed
		l.buffers.put(out)
		return
	}
	flags := uint32(0)
	if c.finish != finishNothing { // see Conn.send
		flags = unix.MSG_MORE
	}
	l.ring.prepare(opSend, c.fd, out, flags, uint64(len(l.calls)))
	l.calls = append(l.calls, batched{conn: c, out: out})
}

// fetchable reports whether the first thing that an event does is to read.
func (c *Conn) fetchable(events uint32) bool {
	return events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 && !c.full && !c.paused && !c.eof && !c.onReady && !(c.passes && c.plenty) &&
		!c.connecting && !c.shaking && c.broken == nil && (c.layer == nil || c.beneath.r == c.beneath.w && c.fetched == fetchedNothing)
}

func (l *Loop) prepareRead(c *Conn) {
	var window []byte
	if c.layer != nil {
		window = c.beneath.window(l)
	} else if window = c.window(); len(window) == 0 {
		return
	}
	l.ring.prepare(opRecv, c.fd, window, 0, uint64(len(l.calls)))
	l.calls = append(l.calls, batched{conn: c, size: len(window)})
}

// makeCalls enters the kernel, and notes what has come of every call. No handler is called.
func (l *Loop) makeCalls() {
	if len(l.calls) > 1 {
		err := l.ring.enter()
		for {
			id, n, errno, ok := l.ring.completed()
			if !ok {
				break
			}
			call := &l.calls[id]
			call.n, call.errno, call.made = n, errno, true
		}
		if err != nil { // nobody has seen it
			l.opts.Logger.Error("event: the ring is given up", "error", err)
			l.ring.close()
			l.ring = nil
		}
	} else if len(l.calls) == 1 { // cheaper alone
		l.ring.prepared = 0
	}
	for i := range l.calls {
		call := &l.calls[i]
		call.made = call.made && call.errno != unix.EINTR && call.errno != unix.ECANCELED
		if call.out != nil {
			call.conn.noteWritten(call)
		} else {
			call.conn.noteFetched(call)
		}
	}
}

// noteFetched keeps what a read has brought for the event. One that was not made is the event's to make.
func (c *Conn) noteFetched(call *batched) {
	window := c.in[c.w:]
	if c.layer != nil {
		window = c.beneath.in
	}
	if !call.made {
		call.n, call.errno = sysRead(c.fd, window[:call.size])
	}
	if c.layer != nil {
		c.noteFetchedBeneath(call.n, call.errno)
		return
	}
	switch {
	case call.errno == unix.EINTR:
	case call.errno == unix.EAGAIN:
		c.fetched = fetchedAgain
	case call.errno != 0:
		c.fetched, c.fetchErrno = fetchedError, call.errno
	case call.n == 0:
		c.fetched = fetchedEnd
	default:
		c.fetched = fetchedShort
		if call.n == call.size {
			c.fetched = fetchedFull
		}
		c.w += call.n
		c.plenty = call.n >= plentyLeast
	}
}

// noteWritten keeps what the kernel has not taken of a write. One that was not made is made now.
func (c *Conn) noteWritten(call *batched) {
	if call.made {
		c.enqueue(call.out[c.taken(call.n, call.errno, len(call.out)):])
	} else {
		c.ending = c.finish != finishNothing
		c.transmit(call.out)
		c.ending = false
	}
	c.loop.buffers.put(call.out)
}

// endBatch ends a batch that a panic has cut short.
func (l *Loop) endBatch() {
	if l.ring != nil && l.ring.prepared > 0 { // no call that was prepared may be forgotten: the kernel would make it with the next batch
		l.makeCalls()
	}
	l.settleCalls()
}

// settleCalls carries out what was to follow the writes. It may call handlers, and so comes when all calls of the batch have been noted.
func (l *Loop) settleCalls() {
	for l.settled < len(l.calls) {
		call := &l.calls[l.settled]
		l.settled++
		if c := call.conn; call.out != nil && !c.closed && !c.dirty && c.finish != finishNothing && !c.Behind() && c.broken == nil {
			l.current = c
			c.finishNow()
		}
	}
	clear(l.calls)
	l.calls, l.settled = l.calls[:0], 0
}

// takeFetched does what read would have done with the first of its reads.
func (c *Conn) takeFetched() {
	what := c.fetched
	c.fetched = fetchedNothing
	switch what {
	case fetchedShort:
		c.more = c.shut
	case fetchedAgain:
		c.more = c.shut
	case fetchedError:
		if err := fmt.Errorf("event: read: %w", c.fetchErrno); c.paused || c.onReady {
			c.breakWith(err)
			c.settle()
		} else {
			c.fail(err)
		}
		return
	}
	if c.paused || c.onReady { // since it was read; Resume and the ready list find the bytes
		c.settle()
		return
	}
	if what == fetchedShort || what == fetchedFull {
		c.handler.Data(c)
		if c.closed {
			return
		}
	}
	c.settle()
	if c.more && !c.onReady && !c.shaking {
		c.readOn(readsPerTurn - 1) // an end is told by the kernel as often as it is asked
	}
}
