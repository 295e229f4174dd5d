package event

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// beneath is what a batch has between a layer and its socket: bytes that were read ahead of the layer, and those that it has made of what is written.
type beneath struct {
	in      []byte // borrowed; nil when the layer has taken all
	r, w    int    // in[r:w] is what it has not
	out     []byte // borrowed while sealing
	sealing bool   // what the layer writes is gathered in out and not sent
}

// window returns room for one read. It is called while nothing is there.
func (b *beneath) window(l *Loop) []byte {
	if b.in == nil {
		b.in = l.buffers.get(readSize)
	}
	b.r, b.w = 0, 0
	return b.in
}

// take moves what is there to p.
func (b *beneath) take(l *Loop, p []byte) int {
	n := copy(p, b.in[b.r:b.w])
	b.r += n
	if b.r == b.w {
		b.giveBack(l)
	}
	return n
}

func (b *beneath) giveBack(l *Loop) {
	l.buffers.put(b.in)
	b.in, b.r, b.w = nil, 0, 0
}

// drop is for a connection that is closed; out is there when the layer has panicked.
func (b *beneath) drop(l *Loop) {
	b.giveBack(l)
	l.buffers.put(b.out)
	b.out = nil
}

// sealRoom is what a layer adds to a small write: a record's header, nonce, padding and tag (RFC 5246 §6.2.3, RFC 8446 §5.2), and as much again.
const sealRoom = 128

// seal returns what the layer makes of p, borrowed; nothing where the connection is broken.
func (c *Conn) seal(p []byte) []byte {
	b := c.beneath
	b.out, b.sealing = c.loop.buffers.get(len(p) + sealRoom)[:0], true
	c.encrypt(p, nil)
	out := b.out
	b.out, b.sealing = nil, false
	if c.broken != nil {
		return out[:0]
	}
	return out
}

// noteFetchedBeneath is noteFetched for a connection with a layer: Wire.Read finds what has come.
func (c *Conn) noteFetchedBeneath(n int, errno unix.Errno) {
	b := c.beneath
	switch {
	case errno == unix.EINTR:
	case errno == unix.EAGAIN:
		c.fetched = fetchedAgain
	case errno != 0:
		c.fetched, c.fetchErrno = fetchedError, errno
	case n == 0:
		c.fetched = fetchedEnd
	case n == len(b.in):
		c.fetched, b.w = fetchedFull, n
	default:
		c.fetched, b.w = fetchedShort, n
	}
	if b.w == 0 {
		b.giveBack(c.loop)
	}
}

// takeFetchedBeneath is takeFetched for a connection with a layer. An end and an error stay until the layer reads so far: the kernel tells an error once.
func (c *Conn) takeFetchedBeneath() {
	if c.fetched == fetchedShort || c.fetched == fetchedAgain {
		c.wet = c.shut
	}
	if c.fetched != fetchedEnd && c.fetched != fetchedError {
		c.fetched = fetchedNothing
	}
	if !c.onReady {
		c.readLayer()
	}
}

// readAhead is what Wire.Read returns without a look at the socket; n is 0 and err nil where there is nothing.
func (c *Conn) readAhead(p []byte) (n int, err error) {
	switch {
	case c.beneath.r < c.beneath.w:
		return c.beneath.take(c.loop, p), nil
	case c.fetched == fetchedEnd:
		return 0, io.EOF
	case c.fetched == fetchedError:
		return 0, fmt.Errorf("event: read: %w", c.fetchErrno)
	}
	return 0, nil
}
