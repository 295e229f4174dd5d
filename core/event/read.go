package event

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// readsPerTurn bounds what one connection may take of a turn: 4 × 64 KiB is some 100 µs of copying.
const readsPerTurn = 4

// maxUnread bounds what a handler may leave unconsumed: room for the largest head that any limit allows, and its power of two.
const maxUnread = 1 << 20

// Unread returns the bytes that have come and are not consumed. They are valid until the handler returns or closes the connection; a handler that
// is called again finds the unconsumed ones at the beginning of a new slice. When it leaves 1 MiB, nothing more is read until Resume.
func (c *Conn) Unread() []byte { return c.in[c.r:c.w:c.w] }

// Consume takes n bytes off the front of Unread. On a closed connection it does nothing.
func (c *Conn) Consume(n int) {
	if !c.closed {
		c.r += n
	}
}

// Pause stops Data and EOF until Resume. What the peer sends meanwhile stays in the kernel, which slows the peer down.
func (c *Conn) Pause() { c.paused = true }

// IsPaused reports whether the connection waits for Resume.
func (c *Conn) IsPaused() bool { return c.paused }

// Resume lets Data be called again, later in this turn when there is something to tell.
func (c *Conn) Resume() {
	c.paused = false
	if c.r < c.w || c.more || c.broken != nil {
		c.loop.markReady(c)
	}
}

// Yield puts the rest of the unread bytes off until the other connections have had their turn.
func (c *Conn) Yield() {
	c.loop.markReady(c)
}

// read takes what the kernel has, within the bound of a turn.
func (c *Conn) read() { c.readOn(readsPerTurn) }

// readOn is read within another bound.
func (c *Conn) readOn(reads int) {
	switch {
	case c.layer == nil:
		c.readSocket(reads)
	case !c.shaking:
		c.readLayer()
	}
}

// readSocket reads until the kernel has no more or the handler wants no more, and no more than that often.
func (c *Conn) readSocket(reads int) {
	for range reads {
		if c.paused || c.eof {
			return
		}
		if c.passes {
			if dst, most := c.passing(); dst != nil {
				if !c.pass(dst, most) {
					return
				}
				continue
			}
		}
		window := c.window()
		if len(window) == 0 { // the handler lets its input pile up: as good as paused
			return
		}
		n, errno := sysRead(c.fd, window)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0 || n == 0:
			c.readNothing(errno)
			return
		}
		c.noteRead(n, len(window))
		c.handler.Data(c)
		if c.closed {
			return
		}
		c.settle()
		if !c.more || c.onReady || c.shaking { // the handler may have set a layer
			return
		}
	}
	c.loop.markReady(c)
}

// noteRead notes that so many bytes have come where there was room for so many: one that leaves room has emptied the socket.
func (c *Conn) noteRead(n, room int) {
	c.w += n
	c.plenty = n >= plentyLeast
	if n < room && !c.shut {
		c.more = false
	}
}

// readNothing handles a read that has brought no byte: there is none yet, or none will come any more.
func (c *Conn) readNothing(errno unix.Errno) {
	switch errno {
	case 0:
		c.end()
	case unix.EAGAIN:
		c.more = false
		c.settle()
	default:
		c.fail(fmt.Errorf("event: read: %w", errno))
	}
}

// end handles the end of what the kernel has. When a write has taken the socket's error away, a reset reads like an end in order, and must not be told as
// one: an answer that is cut would pass for whole. EPIPE says that the peer's end came before.
func (c *Conn) end() {
	c.more, c.eof = false, true
	if c.broken != nil && !errors.Is(c.broken, unix.EPIPE) {
		c.fail(c.broken)
		return
	}
	c.settle()
	c.handler.EOF(c)
	if c.broken != nil {
		c.loop.markReady(c) // to fail
	}
}

// window returns free space behind the unread bytes, at most one read, of a buffer that is borrowed now if need be. It is empty when there are as many as
// may be.
func (c *Conn) window() []byte {
	if c.in == nil {
		c.in = c.loop.buffers.get(readSize)
		c.r, c.w = 0, 0
		return c.in
	}
	if c.w == len(c.in) {
		unread := c.w - c.r
		switch {
		case unread >= maxUnread:
			return nil
		case unread >= readSize:
			c.moveInput(2 * unread)
		default:
			c.moveInput(readSize)
		}
	}
	return c.in[c.w:min(len(c.in), c.w+readSize)]
}

// settle gives the buffer back, or moves the unread bytes to one that is not larger than they need: an idle connection owns no buffer.
func (c *Conn) settle() {
	if c.in == nil {
		return
	}
	unread := c.w - c.r
	if unread == 0 {
		c.giveBackInput()
	} else if 4*unread <= len(c.in) && len(c.in) > 1<<smallest {
		c.moveInput(2 * unread)
	}
}

// moveInput copies the unread bytes to the front of a buffer of at least size bytes.
func (c *Conn) moveInput(size int) {
	next := c.loop.buffers.get(size)
	n := copy(next, c.in[c.r:c.w])
	c.loop.buffers.put(c.in)
	c.in, c.r, c.w = next, 0, n
}

func (c *Conn) giveBackInput() {
	if c.in != nil {
		c.loop.buffers.put(c.in)
		c.in, c.r, c.w = nil, 0, 0
	}
}
