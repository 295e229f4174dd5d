package event

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Passer is a [Handler] of a connection whose bytes may go on to another one without being read: they pass through a pipe, within the kernel, and are never in memory of ours. Nothing else
// changes: to the one who sends it is as if they had been consumed, to the one that gets them as if they had been written. Its failure is its own, and told to its own handler.
type Passer interface {
	Handler
	// PassTo returns where the bytes are to go that come next, and how many of them at most; nil where they are to be read. It is asked before every read of a connection that passes, of which
	// nothing is unread. The two must be of one loop.
	PassTo(c *Conn) (dst *Conn, most int64)
	// Passed tells that n bytes have gone there, in the place of Data. Data comes as ever where they could not: where dst has not taken yet what it had been given, or has a layer, or where no pipe is
	// to be had.
	Passed(c *Conn, n int)
}

const (
	// passSize is what passes in one go, and stays in the pipe where the other side takes nothing: four reads. Where it is not taken at once, no more passes until it is.
	passSize = 4 * readSize

	// plentyLeast is what a read or a pass has to bring for the next one to pass: with less, the two calls that it takes are dearer than a copy, and no part of a batch.
	plentyLeast = readSize / 4
)

// Passes says whether bytes of the connection may pass, until it has another handler. The one it has must be a [Passer].
func (c *Conn) Passes(yes bool) { c.passes = yes && c.layer == nil && !c.loop.pipes.off }

// Passed returns how many bytes have passed from a connection of the loop to another so far.
func (l *Loop) Passed() uint64 { return l.pipes.bytes }

// passing returns where what comes next is to go, with a pipe to take it there, or nil where it has to be read.
func (c *Conn) passing() (dst *Conn, most int64) {
	if !c.plenty || c.r < c.w || c.loop.pipes.off {
		return nil, 0
	}
	dst, most = c.handler.(Passer).PassTo(c)
	if dst == nil || most <= 0 || !dst.takesPass() {
		return nil, 0
	}
	if dst.pipe = c.loop.pipes.get(c.loop.now); dst.pipe == nil {
		return nil, 0
	}
	return dst, most
}

// takesPass reports whether bytes that come from elsewhere would be the next that the connection sends, once all that was written has been.
func (c *Conn) takesPass() bool {
	if c.layer != nil || c.connecting || c.closed || c.finish != finishNothing {
		return false
	}
	c.push()
	return !c.Behind() && !c.full && c.broken == nil
}

// pass moves what has come into the pipe of dst, and on to dst as far as that takes it. It reports whether to go on reading.
func (c *Conn) pass(dst *Conn, most int64) bool {
	n, errno := c.loop.pipes.splice(c.fd, dst.pipe.w, int(min(most, passSize)))
	if errno == 0 && n > 0 {
		dst.pipe.held = n
		c.loop.pipes.bytes += uint64(n)
		dst.drainPipe()
		c.plenty = n >= plentyLeast
		if int64(n) == most && !c.shut {
			// Nobody would ask for more now, and it should be known whether there is.
			_, errno = sysPeek(c.fd)
			c.more = errno != unix.EAGAIN
		}
		c.handler.(Passer).Passed(c, n)
		return !c.closed && c.more && !c.onReady
	}
	dst.dropPipe()
	switch {
	case errno == unix.EINTR:
		return true
	case errno == unix.EAGAIN:
		c.more = false
		c.settle()
	case cannotSplice(errno):
		c.loop.passNothing(errno)
		return true
	case errno != 0:
		c.fail(fmt.Errorf("event: splice: %w", errno))
	default:
		c.end()
	}
	return false
}

// passNothing notes that the kernel does not splice: from here on everything is read and written.
func (l *Loop) passNothing(reason unix.Errno) {
	l.pipes.off = true
	l.opts.Logger.Warn("event: nothing passes from socket to socket", "reason", reason)
}

// drainPipe sends what the pipe holds, as far as the kernel takes it, and gives the pipe back when it is empty.
func (c *Conn) drainPipe() {
	for c.pipe.held > 0 {
		n, errno := c.loop.pipes.splice(c.pipe.r, c.fd, c.pipe.held)
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			c.full = true
			return
		case cannotSplice(errno):
			c.loop.passNothing(errno)
			c.unpipe()
			return
		case errno != 0:
			c.breakWith(fmt.Errorf("event: splice: %w", errno))
			return
		case n == 0: // a pipe that is not empty does not end; were it so, to ask again would be for ever
			c.breakWith(fmt.Errorf("event: splice: %w", unix.EIO))
			return
		default:
			c.pipe.held -= n
			c.sent += uint64(n)
		}
	}
	c.dropPipe()
}

// unpipe sends what the pipe holds as what was written before all that is queued, since the kernel takes it in no other way.
func (c *Conn) unpipe() {
	behind := c.queue
	c.queue = nil
	buf := c.loop.buffers.get(readSize)
	for c.pipe != nil && c.pipe.held > 0 {
		switch n, errno := sysRead(c.pipe.r, buf); {
		case errno == unix.EINTR:
		case errno != 0 || n == 0: // it holds so many bytes, and nobody else reads them
			c.breakWith(fmt.Errorf("event: read a pipe: %w", unix.EIO))
		default:
			c.enqueue(buf[:n])
			c.pipe.held -= n
		}
	}
	c.loop.buffers.put(buf)
	if behind != nil {
		p, _ := behind.Next(behind.Len()) // never more than there is
		c.enqueue(p)
		_ = behind.Close()
	}
	c.dropPipe()
	c.sendQueue()
}

// dropPipe gives the pipe up, with what it holds.
func (c *Conn) dropPipe() {
	if c.pipe != nil {
		c.loop.pipes.put(c.pipe)
		c.pipe = nil
	}
}
