package event

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Layer stands between a connection and its socket, as TLS does: what the handler reads and writes is in the clear, and what passes the socket is the
// layer's own. A connection with a layer keeps every promise of one without. Every method is called on the loop and must not block.
type Layer interface {
	// Handshake goes on with the handshake as far as it can without waiting, and reports whether it is done. It is called for the first time once the
	// connection is there and, for an accepted one, bytes have come; and again when more have come or Wire.Wake was called.
	Handshake() (done bool, err error)
	// Read fills p as far as it can. The error tells why there is no more: ErrWouldBlock, io.EOF for an end in order, or what has broken. It may come
	// together with bytes; without one there may be more to read at once.
	Read(p []byte) (n int, err error)
	// Write takes all of p and then of q, either of which may be empty: a head and a body, that are best sent in one piece. An error is the end of the
	// connection.
	Write(p, q []byte) error
	// CloseWrite tells the peer that our side has ended. Called once.
	CloseWrite()
	// Stop gives the layer up. Nothing is called afterwards.
	Stop()
}

// HandshakeHandler is a [Handler] that ends a connection itself whose handshake has failed. Other handlers hear Closed.
type HandshakeHandler interface {
	// HandshakeFailed tells that the handshake has failed. The layer is gone: the connection is plain TCP and still open, so that the peer can be told why.
	HandshakeFailed(c *Conn, err error)
}

// ErrWouldBlock is what Wire.Read returns while nothing is there. It is one value, to be compared with ==, and a temporary net.Error: crypto/tls
// remembers any other error of a read for good.
var ErrWouldBlock error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "event: nothing to read yet" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }

const (
	// handshakesPerTurn bounds the steps of handshakes in a turn. A step costs up to one signature and one key agreement, 0.1 to 0.3 ms: so those that shake
	// hands delay the others by about 1 ms.
	handshakesPerTurn = 4

	// layerBound is how much may wait to be sent before nothing is read through a layer, since a layer may write because of what it reads: a peer that asks for new
	// keys and reads nothing would otherwise fill the memory (TLS: "KeyUpdate, KeyUpdate, …"). It is above what back-pressure lets a source
	// queue (highWater and one read), so that it never stops a peer that asks for nothing.
	layerBound = 256 << 10
)

// SetLayer puts a layer beneath the handler. Nothing may have been written yet, and nothing be unread: what was read already is the layer's to know. A connection that
// was dialed gets its layer at once, before it can be established. now says that the layer has bytes to begin with; otherwise the handshake
// begins with the next event.
func (c *Conn) SetLayer(layer Layer, now bool) {
	c.layer, c.shaking = layer, true
	c.beneath = &beneath{}
	if now || c.more {
		c.wet = c.more
		c.loop.queueHandshake(c)
	}
}

// Layer returns the connection's layer, nil without one.
func (c *Conn) Layer() Layer { return c.layer }

// Wire is a connection as its layer sees it: the bytes of the socket.
type Wire Conn

// Wire returns the layer's view of the connection.
func (c *Conn) Wire() *Wire { return (*Wire)(c) }

// Read reads from the socket. It returns ErrWouldBlock, io.EOF or an error that lasts; never (0, nil).
func (w *Wire) Read(p []byte) (int, error) {
	if n, err := (*Conn)(w).readAhead(p); n > 0 || err != nil {
		return n, err
	}
	for w.wet {
		n, errno := sysRead(w.fd, p)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			w.wet = false
			return 0, ErrWouldBlock
		case errno != 0:
			return 0, fmt.Errorf("event: read: %w", errno)
		case n == 0:
			return 0, io.EOF
		}
		if n < len(p) && !w.shut {
			w.wet = false
		}
		return n, nil
	}
	return 0, ErrWouldBlock
}

// Dry reports whether Read would return ErrWouldBlock without a look at the socket.
func (w *Wire) Dry() bool {
	return !w.wet && w.beneath.r == w.beneath.w && w.fetched == fetchedNothing
}

// Write sends p, or queues what the kernel does not take. Like Conn.Write it never fails.
func (w *Wire) Write(p []byte) {
	switch c := (*Conn)(w); {
	case c.closed:
	case c.beneath.sealing:
		c.beneath.out = append(c.beneath.out, p...)
	default:
		c.transmit(p)
	}
}

// Wake lets Handshake be called again, for a layer that has waited for something but bytes.
func (w *Wire) Wake() {
	if c := (*Conn)(w); c.shaking && !c.closed {
		c.loop.queueHandshake(c)
	}
}

func (l *Loop) queueHandshake(c *Conn) {
	if !c.inHandshakes {
		c.inHandshakes = true
		l.shaking = append(l.shaking, c)
	}
}

// runHandshakes gives the connections that have waited longest for their handshake a step each.
func (l *Loop) runHandshakes() {
	for range handshakesPerTurn {
		if len(l.shaking) == 0 {
			return
		}
		c := l.shaking[0]
		l.shaking[0] = nil
		l.shaking = l.shaking[1:]
		c.inHandshakes = false
		if c.closed || !c.shaking {
			continue
		}
		l.current = c
		c.shake()
		l.flush()
	}
}

// shakeOn is what an event means while the handshake is under way.
func (c *Conn) shakeOn(events uint32) {
	switch {
	case c.closed:
	case events&(unix.EPOLLHUP|unix.EPOLLERR) != 0:
		c.fail(fmt.Errorf("event: hangup in the handshake: %w", c.socketError(unix.ECONNRESET)))
	case events&(unix.EPOLLIN|unix.EPOLLRDHUP) != 0:
		c.more, c.wet = true, true
		c.loop.queueHandshake(c)
	}
}

// shake is one step of the handshake.
func (c *Conn) shake() {
	done, err := c.layer.Handshake()
	switch {
	case c.closed:
	case err != nil:
		c.handshakeFailed(err)
	case c.broken != nil:
		c.fail(c.broken)
	case done:
		c.shaking = false
		c.more = true // bytes may be in the layer already, of which epoll knows nothing
		c.loop.markReady(c)
		c.handler.Opened(c)
		if !c.closed {
			c.drainQueue() // what was gathered goes out, and may be what had congested the connection
		}
	}
}

func (c *Conn) handshakeFailed(err error) {
	c.dropLayer()
	c.more = true
	if h, ok := c.handler.(HandshakeHandler); ok {
		h.HandshakeFailed(c, err)
		return
	}
	c.fail(fmt.Errorf("event: handshake with %s: %w", c.remote, err))
}

// dropLayer makes the connection plain TCP without a word to the peer.
func (c *Conn) dropLayer() {
	if c.layer != nil {
		c.layer.Stop()
		c.beneath.drop(c.loop)
		c.layer, c.shaking = nil, false
		c.dropOut() // it was for the layer to pass on, and must not go without it
	}
}

// endLayer tells the peer that our side ends.
func (c *Conn) endLayer() {
	if !c.layerEnded && c.broken == nil {
		c.layerEnded = true
		c.layer.CloseWrite()
	}
}

// leaveLayer is the part of Close that is the layer's. The peer is told where that takes no waiting and nothing is lost: an end in order behind a part of what was written would
// make it look whole.
func (c *Conn) leaveLayer() {
	if !c.shaking && c.queue == nil && !c.full && len(c.out) == 0 {
		c.endLayer()
	}
	c.dropLayer()
}

// readLayer is read through a layer. An end that the socket reports in the middle of the layer's own messages is a failure.
func (c *Conn) readLayer() {
	for range readsPerTurn {
		if c.paused || c.eof || c.Queued() > layerBound {
			return
		}
		window := c.window()
		if len(window) == 0 {
			return
		}
		n, err := c.layer.Read(window)
		c.w += n
		c.more = err != ErrWouldBlock
		switch {
		case n > 0:
			c.handler.Data(c)
			if c.closed {
				return
			}
			c.settle()
			if !c.more || c.onReady {
				return
			}
		case !c.more:
			c.settle()
			return
		case err == io.EOF:
			c.end()
			return
		case err != nil:
			c.fail(fmt.Errorf("event: read: %w", err))
			return
		}
	}
	c.loop.markReady(c)
}
