package event

import (
	"fmt"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"
)

const (
	outSize    = 16 << 10            // what is gathered into one write: a head and a small body
	gatherMost = outSize - outSize/4 // what waits for the end of a turn: a head more, and the buffer has not grown
	iovMax     = 16                  // nodes of the queue for one writev
)

// Buffer returns what has been written in this turn and not yet sent, to be appended to and given back with Commit before anything else is
// called. It has room for a head without growing.
func (c *Conn) Buffer() []byte {
	if c.out == nil {
		c.out = c.loop.buffers.get(outSize)[:0]
	}
	return c.out
}

// Commit takes back what Buffer gave, with more appended. It is sent at the end of the current step of the turn, or of the whole turn where the connection gathers.
func (c *Conn) Commit(b []byte) {
	if c.closed {
		c.out = nil
		c.loop.buffers.put(b)
		return
	}
	c.out = b
	c.markDirty()
	if c.gathers && len(b) > gatherMost {
		c.push()
	}
}

// GatherTurn has what is written sent at the end of the whole turn and not of each step of it. For a connection that carries the messages of many others: their
// events come one after the other, and each would be a write of its own. What has waited becomes a write as soon as it fills a buffer.
func (c *Conn) GatherTurn() { c.gathers = true }

// Write sends p after what was written before. p may be used again once Write has returned: what the kernel does not take at once is copied.
// It never blocks and never fails; the handler's Closed tells when the connection is broken.
func (c *Conn) Write(p []byte) {
	if c.closed || c.broken != nil || len(p) == 0 {
		return
	}
	if len(c.out)+len(p) <= outSize || c.shaking {
		c.out = append(c.Buffer(), p...)
		c.markDirty()
		return
	}
	switch {
	case c.layer != nil:
		out := c.out
		c.out = nil
		c.encrypt(out, p)
		c.loop.buffers.put(out)
	case len(c.out) > 0 && !c.Behind() && !c.full:
		c.sendBoth(p)
	default:
		c.push()
		c.transmit(p)
	}
}

// encrypt gives what is to be sent to the layer.
func (c *Conn) encrypt(p, q []byte) {
	if err := c.layer.Write(p, q); err != nil && c.broken == nil {
		c.breakWith(err)
	}
}

// sendBoth hands what was gathered and p to the kernel in one call: a head and a body that is too large to be copied behind it. Two calls would be two
// segments, each with a wake-up of the peer.
func (c *Conn) sendBoth(p []byte) {
	out := c.out
	c.out = nil
	n := c.sendVector(append(c.loop.iov[:0], vector(out), vector(p)), len(out)+len(p))
	if n < len(out) {
		c.enqueue(out[n:])
		n = len(out)
	}
	c.enqueue(p[n-len(out):])
	c.loop.buffers.put(out)
}

// transmit hands p to the kernel, or to the queue when that is not empty.
func (c *Conn) transmit(p []byte) {
	if !c.Behind() && !c.full && c.broken == nil {
		p = p[c.send(p):]
	}
	c.enqueue(p)
}

// Queued returns the number of bytes that wait to be sent.
func (c *Conn) Queued() int {
	n := len(c.out)
	if c.queue != nil {
		n += c.queue.Len()
	}
	if c.pipe != nil {
		n += c.pipe.held
	}
	return n
}

// Behind reports whether the kernel has not taken all that was handed to it: the peer takes less than it is sent.
func (c *Conn) Behind() bool { return c.queue != nil || c.pipe != nil }

// Sent returns the number of bytes that the kernel has taken so far.
func (c *Conn) Sent() uint64 { return c.sent }

// Delivered returns the number of bytes that the peer has acknowledged so far. It asks the kernel, which may hold megabytes for a slow peer: Sent can rest
// for many seconds while they pass.
func (c *Conn) Delivered() uint64 {
	if c.closed {
		return c.sent
	}
	waiting, err := unix.IoctlGetInt(c.fd, unix.TIOCOUTQ)
	if err != nil {
		return c.sent
	}
	return c.sent - min(uint64(waiting), c.sent)
}

// Congested reports whether so much waits to be sent that its source must pause. Once it has said yes, Drained follows when the queue has run
// low, unless the connection closes before.
func (c *Conn) Congested() bool {
	if !c.congested && c.Queued() > highWater {
		c.push()
		c.congested = c.Queued() > highWater
	}
	c.congested = c.congested || c.pipe != nil // nothing passes before it is empty
	return c.congested
}

// Shutdown ends our side once everything is sent; the peer may still send.
func (c *Conn) Shutdown() { c.finishWith(finishShutdown) }

// CloseWhenSent closes the connection once everything is sent. The handler hears nothing more but Closed, with a nil error then.
func (c *Conn) CloseWhenSent() {
	c.paused = true
	c.finishWith(finishClose)
}

func (c *Conn) finishWith(f finish) {
	if c.closed {
		return
	}
	c.finish = max(c.finish, f)
	c.markDirty()
	if c.broken != nil {
		c.loop.markReady(c)
	}
}

func (c *Conn) markDirty() {
	if c.dirty {
		return
	}
	c.dirty, c.dirtySince = true, c.loop.cursor
	if c.gathers {
		c.loop.gathering = append(c.loop.gathering, c)
	} else {
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// flush pushes, and carries out what was to follow. It may close the connection, so it is for the end of a step and not for within one.
func (c *Conn) flush() {
	c.ending = c.finish != finishNothing && !c.Behind() && c.layer == nil && !c.connecting
	c.push()
	c.ending = false
	if c.finish == finishNothing || c.connecting || c.shaking {
		return
	}
	if c.layer != nil {
		c.endLayer()
	}
	if !c.Behind() && c.broken == nil {
		c.finishNow()
	}
}

// push hands on what was gathered. While the layer shakes hands it stays where it is.
func (c *Conn) push() {
	if c.shaking {
		return
	}
	if len(c.out) > 0 && c.broken == nil {
		if c.layer != nil {
			c.encrypt(c.out, nil)
		} else {
			c.transmit(c.out)
		}
	}
	if c.out != nil {
		c.loop.buffers.put(c.out)
		c.out = nil
	}
}

// send makes one write call and returns how much the kernel took. What our end follows is not sent before it, but together with it, as one
// segment instead of two.
func (c *Conn) send(p []byte) int {
	for {
		var n int
		var errno unix.Errno
		if c.ending {
			n, errno = sysWriteMore(c.fd, p)
		} else {
			n, errno = sysWrite(c.fd, p)
		}
		if errno != unix.EINTR {
			return c.taken(n, errno, len(p))
		}
	}
}

// sendVector is send for several slices, total bytes together.
func (c *Conn) sendVector(iov []unix.Iovec, total int) int {
	for {
		if n, errno := sysWritev(c.fd, iov); errno != unix.EINTR {
			return c.taken(n, errno, total)
		}
	}
}

// taken notes what came of a call that was to write so many bytes, and returns how many are settled: all, where the connection is broken.
func (c *Conn) taken(n int, errno unix.Errno, of int) int {
	switch errno {
	case 0:
		c.sent += uint64(n)
		c.full = n < of
		return n
	case unix.EAGAIN:
		c.full = true
		return 0
	}
	c.breakWith(fmt.Errorf("event: write: %w", errno))
	return of
}

// vector is p as the kernel takes it; p must not be empty.
func vector(p []byte) unix.Iovec {
	v := unix.Iovec{Base: &p[0]}
	v.SetLen(len(p))
	return v
}

// breakWith notes that nothing more can be written. The peer may have answered before it closed, so what it sent is read first.
func (c *Conn) breakWith(err error) {
	c.broken = err
	c.shut = true
	c.dropPipe()
	if c.queue != nil {
		_ = c.queue.Close()
		c.queue = nil
	}
	c.more, c.wet = !c.eof, !c.eof
	if c.congested {
		c.congested, c.congestMarked = false, true
	}
	c.loop.markReady(c)
}

// enqueue copies p to the end of the queue.
func (c *Conn) enqueue(p []byte) {
	if len(p) == 0 || c.broken != nil {
		return
	}
	if c.queue == nil {
		c.queue = netpoll.NewLinkBuffer(len(p))
	}
	// Malloc and Flush fail only for sizes below zero.
	space, _ := c.queue.Malloc(len(p))
	copy(space, p)
	_ = c.queue.Flush()
}

// drainQueue sends what waits, as far as the kernel takes it, and then what was written meanwhile.
func (c *Conn) drainQueue() {
	if c.pipe != nil && c.broken == nil {
		c.drainPipe()
	}
	c.sendQueue()
	c.flush()
	if c.congested && c.pipe == nil && c.Queued() <= lowWater {
		c.congested, c.congestMarked = false, true
		c.loop.markReady(c)
	}
	if c.layer != nil && c.more && c.Queued() <= lowWater {
		c.loop.markReady(c) // readLayer had stopped
	}
}

// sendQueue sends what is queued, as far as the kernel takes it.
func (c *Conn) sendQueue() {
	for c.queue != nil && !c.full && c.broken == nil {
		nodes := c.queue.GetBytes(c.loop.nodes[:])
		iov, total := c.loop.iov[:0], 0
		for _, node := range nodes {
			if len(node) > 0 {
				iov, total = append(iov, vector(node)), total+len(node)
			}
		}
		if n := c.sendVector(iov, total); c.queue != nil {
			c.dropQueued(n)
		}
	}
}

// dropQueued takes n bytes off the queue and gives it up when it is empty.
func (c *Conn) dropQueued(n int) {
	_ = c.queue.Skip(n) // never more than there is
	_ = c.queue.Release()
	if c.queue.Len() == 0 {
		_ = c.queue.Close()
		c.queue = nil
	}
}

// finishNow carries out what was asked for once everything is sent.
func (c *Conn) finishNow() {
	switch c.finish {
	case finishShutdown:
		_ = unix.Shutdown(c.fd, unix.SHUT_WR) // fails only where the connection is gone already
	case finishClose:
		// The last bytes wait for the end (MSG_MORE). If the peer has said something since we last looked, closing answers that with a reset, which takes what waits with it.
		_ = unix.Shutdown(c.fd, unix.SHUT_WR)
		c.fail(nil)
	}
	c.finish = finishNothing
}
