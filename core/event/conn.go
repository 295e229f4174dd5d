package event

import (
	"fmt"
	"net/netip"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"
)

// Handler is what a connection's owner wants to know. Every method is called on the loop, must not block, and may close the connection, change its
// handler, or write to and close any other connection of the same loop. None is called from within a call to the connection: what Write or Resume
// bring about is told later in the turn.
type Handler interface {
	// Opened tells that the connection is ready for use: an outgoing one is established and, where there is a [Layer], its handshake is done. An accepted one
	// without a layer is ready from the start, and hears nothing.
	Opened(c *Conn)
	// Data tells that Unread has grown or that Resume was called with bytes unread. What the handler does not consume is kept.
	Data(c *Conn)
	// EOF tells that the peer sends no more. Everything before it has been seen; writing is still possible. Called once.
	EOF(c *Conn)
	// Drained tells that a connection that was Congested is no longer.
	Drained(c *Conn)
	// Closed tells that the connection has failed and is closed, or with a nil error that CloseWhenSent is done. Not called after the handler's own
	// Close.
	Closed(c *Conn, err error)
}

// Bounds of the write queue. A reader is paused above the high mark and resumed below the low one. 64 KiB is one read: so a slow connection holds two
// reads at most, 128 KiB.
const (
	highWater = 64 << 10
	lowWater  = 16 << 10
)

// Conn is one connection. It belongs to its loop from accept or dial to close: only that loop's goroutine may call it.
type Conn struct {
	loop    *Loop
	handler Handler
	fd      int
	slot    token
	remote  netip.AddrPort

	layer   Layer    // nil for plain TCP
	beneath *beneath // what is between it and the socket; nil where there was never one

	// Read side.
	in         []byte     // borrowed; nil when there is nothing unread
	r, w       int        // in[r:w] is unread
	paused     bool       // no Data until Resume
	more       bool       // the kernel may have bytes: an edge was seen and not yet answered by EAGAIN or a short read
	fetched    fetched    // what the ring has read and no event has told yet
	fetchErrno unix.Errno // when that is an error
	wet        bool       // with a layer: more is about the layer, and this about the kernel beneath it
	eof        bool       // EOF has been told
	passes     bool       // what comes may go on to another connection: the handler is a Passer
	plenty     bool       // the latest read or pass has brought so much that the next may pass
	shut       bool       // the peer has ended its side or the connection is broken, so a short read does not mean that all was read

	// Write side.
	out       []byte              // borrowed; written in this turn and not yet handed to the kernel
	pipe      *pipe               // what has come from another connection and the kernel did not take, ahead of the queue; nil when empty
	queue     *netpoll.LinkBuffer // what the kernel did not take; nil when empty
	sent      uint64              // bytes that the kernel took
	full      bool                // the kernel takes no more until EPOLLOUT; also while connecting
	congested bool                // Congested has said yes, and Drained is owed
	finish    finish              // what follows once everything is written
	broken    error               // a write failed; told later in the turn
	ending    bool                // what is being written is the last

	// State.
	connecting    bool
	shaking       bool // the handshake of the layer is not done: what is written is gathered in out, whatever its size
	inHandshakes  bool // stands in the loop's queue of handshakes
	layerEnded    bool // the layer has ended our side
	closed        bool
	onReady       bool // stands in the loop's ready list
	dirty         bool // stands in one of the loop's flush lists
	gathers       bool // in that of the end of the turn
	dirtySince    int  // the loop's cursor when it was put there
	failOnHangup  bool
	congestMarked bool
}

// finish is what a connection does when its write queue has run empty.
type finish uint8

const (
	finishNothing finish = iota
	finishShutdown
	finishClose
)

// Loop returns the loop that owns c.
func (c *Conn) Loop() *Loop { return c.loop }

// Remote returns the peer's address.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// Local returns the address of our side, or the zero value when the connection is closed. It asks the kernel.
func (c *Conn) Local() netip.AddrPort {
	if c.closed {
		return netip.AddrPort{}
	}
	return localAddr(c.fd)
}

// SetHandler makes h the owner of c from the next event on.
func (c *Conn) SetHandler(h Handler) { c.handler, c.passes = h, false }

// FailOnHangup says whether a hangup fails the connection at once even while it is paused. For connections whose reader has nothing to lose by it: where our side has
// ended, a hangup may be the peer's end in order, behind bytes that are not read yet.
func (c *Conn) FailOnHangup(yes bool) { c.failOnHangup = yes }

// IsClosed reports whether the connection is gone.
func (c *Conn) IsClosed() bool { return c.closed }

// IsConnected reports whether the connection is ready for use: see [Handler.Opened].
func (c *Conn) IsConnected() bool { return !c.connecting && !c.shaking && !c.closed }

// PeerShut reports whether the peer has ended its side or broken the connection, as far as the kernel has told: a last look before reuse.
func (c *Conn) PeerShut() bool {
	return c.shut || c.eof || c.broken != nil || c.closed || c.fetched == fetchedEnd || c.fetched == fetchedError
}

// Silent reports whether the peer has sent nothing that was not consumed, as far as the kernel has told: then closing makes no reset.
func (c *Conn) Silent() bool { return c.r == c.w && !c.more && (c.layer == nil || !c.wet) }

// Quiet asks the kernel whether the peer has neither ended its side nor said anything, of which the loop may not have heard yet. It costs a system call.
func (c *Conn) Quiet() bool {
	if c.PeerShut() || c.r < c.w || c.layer != nil && c.beneath.r < c.beneath.w {
		return false
	}
	_, errno := sysPeek(c.fd)
	return errno == unix.EAGAIN
}

// Close closes the connection at once. What is queued is lost. It may be called again.
func (c *Conn) Close() {
	if c.closed {
		return
	}
	l := c.loop
	if c.dirty && !c.gathers && c.dirtySince != l.cursor { // written for an earlier event: it is only on account of the batch that it is not sent
		c.push()
	}
	if c.layer != nil {
		c.leaveLayer()
	}
	c.closed = true
	l.release(c.slot)
	l.conns--
	// Closing takes the descriptor out of the epoll set, since nothing else refers to the socket.
	_ = unix.Close(c.fd)
	c.giveBackInput()
	c.dropOut()
	c.dropPipe()
	if c.queue != nil {
		_ = c.queue.Close() // never fails
		c.queue = nil
	}
}

// Abandon closes the connection at once, and what was written and has not been sent is not sent: Sent is final.
func (c *Conn) Abandon() {
	c.dropOut()
	c.Close()
}

func (c *Conn) dropOut() {
	if c.out != nil {
		c.loop.buffers.put(c.out)
		c.out = nil
	}
}

// Reset closes the connection at once in such a way that the peer sees an error and not an end (RST).
func (c *Conn) Reset() {
	if !c.closed {
		c.dropOut()
		c.dropLayer()
		_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		c.Close()
	}
}

// fail closes the connection and tells its handler why.
func (c *Conn) fail(err error) {
	if c.closed {
		return
	}
	c.Close()
	if c.handler != nil { // else accept has panicked
		c.handler.Closed(c, err)
	}
}

// event handles what epoll reported.
func (c *Conn) event(events uint32) {
	if c.connecting {
		c.connected()
		if c.connecting || c.closed {
			return
		}
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.shut = true
	}
	if events&unix.EPOLLOUT != 0 && c.full {
		c.full = false
		c.drainQueue()
	}
	if c.shaking {
		c.shakeOn(events)
		return
	}
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 && !c.closed {
		c.more, c.wet = true, true
		if c.fetched != fetchedNothing {
			if c.layer != nil {
				c.takeFetchedBeneath()
			} else {
				c.takeFetched()
			}
		} else if !c.onReady { // else what is unread has to be seen first, and above all before an end
			c.read()
		}
	}
	if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 && !c.closed && (c.failOnHangup || c.resetAfterEnd(events)) {
		c.fail(fmt.Errorf("event: hangup: %w", c.socketError(unix.ECONNRESET)))
	}
}

// resetAfterEnd reports whether a connection whose peer had ended its side in order has been reset since, which no read would tell any more. One with
// bytes unread keeps them: writing will tell.
func (c *Conn) resetAfterEnd(events uint32) bool {
	return events&unix.EPOLLERR != 0 && c.eof && c.r == c.w
}

// connected finds out how a connect ended.
func (c *Conn) connected() {
	if err := c.socketError(0); err != nil {
		c.fail(fmt.Errorf("event: connect %s: %w", c.remote, err))
		return
	}
	if localAddr(c.fd) == c.remote {
		// TCP's simultaneous open: a connect to a port of the ephemeral range where nobody listens can meet itself.
		c.fail(fmt.Errorf("event: connect %s: %w", c.remote, unix.ECONNREFUSED))
		return
	}
	c.connecting = false
	c.full = false
	if c.shaking {
		c.loop.queueHandshake(c)
		return
	}
	c.handler.Opened(c)
	if !c.closed {
		c.drainQueue()
	}
}

// socketError returns the error that the kernel holds for the socket, or otherwise when it has none.
func (c *Conn) socketError(otherwise unix.Errno) error {
	code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return err
	case code != 0:
		return unix.Errno(code)
	case otherwise != 0:
		return otherwise
	}
	return nil
}

// proceed is a connection's share of the ready list: what was put off or brought about by a call.
func (c *Conn) proceed() {
	if c.broken != nil && (c.failOnHangup || c.finish == finishClose) {
		c.fail(c.broken)
		return
	}
	if c.finish == finishClose {
		return
	}
	if !c.congested && c.congestMarked {
		c.congestMarked = false
		c.handler.Drained(c)
	}
	if c.closed || c.paused {
		return
	}
	if c.r < c.w {
		c.handler.Data(c)
		if c.closed {
			return
		}
		c.settle()
	}
	if c.more && !c.paused && !c.onReady {
		c.read()
	}
	if c.broken != nil && !c.more && !c.paused && !c.onReady && !c.closed {
		c.fail(c.broken) // all that could still be read has been
	}
}
