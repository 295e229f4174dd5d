// Package tlsconn runs crypto/tls, unmodified, on the connections of an event loop: a [Conn] is the [event.Layer] of a TLS connection, for either role.
//
// crypto/tls wants a net.Conn that blocks. What it gets is an adapter over the loop's socket that never does:
//
//	handshake    runs as a coroutine (iter.Pull) on the loop's own goroutine. Where it would block it is suspended, and goes on with the next event.
//	afterwards   the same tls.Conn is used directly. Reads end with one error value, would-block, which crypto/tls does not remember; writes take all.
//
// The rules that make this correct are written where they are kept; each has a test. They come from what crypto/tls remembers: a read error that
// is not a temporary net.Error, any error of the handshake, and any error of a write end the tls.Conn for good.
package tlsconn

import (
	"crypto/tls"
	"errors"
	"io"
	"iter"

	"sluice/core/event"
)

// maxWrite is the most that is given to one call of tls.Conn.Write: one record (RFC 8446 §5.1).
const maxWrite = 16 << 10

// gatherSize is how much is gathered: three full records, which is what a read of the loop brings less a quarter.
const gatherSize = 64 << 10

var errAborted = errors.New("tlsconn: the handshake was given up")

// Conn is TLS on one connection. It belongs to the connection's loop.
type Conn struct {
	Owner  any // for the callbacks of crypto/tls, which find the Conn by Of; not touched here
	conn   *event.Conn
	tls    *tls.Conn
	given  records // what has passed from the socket to tls
	cut    bool    // the socket has ended
	gather []byte  // borrowed: records that go out together; nil = each goes out at once
	lead   []byte  // what was read from the socket before there was a layer; nil when it is used up

	// The handshake; all nil when it is done.
	next  func() (struct{}, bool) // goes on with it
	stop  func()                  // ends it
	yield func(struct{}) bool     // suspends it
	away  bool                    // work for it is done elsewhere, and only the end of that may go on with it
	gone  bool                    // it must end: yield has returned false
	err   error                   // how it ended
}

// Server makes c the server's end of a TLS connection. config may be shared by all loops. lead is what was read from the connection already; it is kept, and may be nil.
func Server(c *event.Conn, config *tls.Config, lead []byte) *Conn {
	t := &Conn{conn: c, lead: lead}
	t.tls = tls.Server((*socket)(t), config)
	c.SetLayer(t, len(lead) > 0)
	return t
}

// Client makes c, which was dialed a moment ago, the client's end.
func Client(c *event.Conn, config *tls.Config) *Conn {
	t := &Conn{conn: c}
	t.tls = tls.Client((*socket)(t), config)
	c.SetLayer(t, false)
	return t
}

// State returns what was agreed upon. It makes a copy of much of it: to be called once, when the handshake is done.
func (t *Conn) State() tls.ConnectionState { return t.tls.ConnectionState() }

// Of returns the Conn that a callback of crypto/tls is called for, by the connection that it is given (ClientHelloInfo.Conn); nil for one that is not this
// package's.
func Of(hello *tls.ClientHelloInfo) *Conn {
	s, _ := hello.Conn.(*socket)
	return (*Conn)(s)
}

// Handshake goes on with the handshake. The coroutine is made, resumed and ended on the loop's locked thread alone: the runtime allows no other for it.
// Handshake has no context, which would need a goroutine to watch it: the loop's timers bound it.
func (t *Conn) Handshake() (bool, error) {
	if t.away {
		return false, nil
	}
	if t.next == nil {
		t.next, t.stop = iter.Pull(t.run)
	}
	if _, suspended := t.next(); suspended {
		return false, nil
	}
	t.next, t.stop, t.yield = nil, nil, nil
	return t.err == nil, t.err
}

// run is the coroutine.
func (t *Conn) run(yield func(struct{}) bool) {
	t.yield = yield
	t.err = t.tls.Handshake()
}

// suspend rests until Handshake is called again, and reports false when the handshake must end instead.
func (t *Conn) suspend() bool {
	if !t.gone && !t.yield(struct{}{}) {
		t.gone = true // yield must not be called any more
	}
	return !t.gone
}

// Read reads until p is full or there is no more: records that are inside the tls.Conn already are invisible to epoll. A peer that ends the connection without
// close_notify may be an attacker who cuts a message short (RFC 8446 §6.1): crypto/tls calls that io.EOF where it is between two records, and
// Read io.ErrUnexpectedEOF.
func (t *Conn) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if t.given.inside == 0 && t.conn.Wire().Dry() {
			return n, event.ErrWouldBlock
		}
		var m int
		m, err = t.tls.Read(p[n:])
		n += m
		switch {
		case m > 0 && n < len(p):
			t.given.taken()
		case err == event.ErrWouldBlock:
			t.given.exhausted()
		}
	}
	if err == io.EOF && t.cut {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Write encrypts p and q, a record at a time. Where there is more than one, they are gathered and go to the kernel together.
func (t *Conn) Write(p, q []byte) (err error) {
	if len(p) > maxWrite || len(q) > 0 {
		t.gather = t.conn.Loop().Borrow(gatherSize)[:0]
	}
	for err == nil && len(p)+len(q) > 0 {
		if len(p) == 0 {
			p, q = q, nil
		}
		var n int
		n, err = t.tls.Write(p[:min(len(p), maxWrite)])
		p = p[n:]
	}
	if t.gather != nil {
		t.conn.Wire().Write(t.gather)
		t.conn.Loop().Return(t.gather)
		t.gather = nil
	}
	return err
}

// CloseWrite sends close_notify.
func (t *Conn) CloseWrite() {
	_ = t.tls.CloseWrite() // fails where the connection is broken, which it hears elsewhere
}

// Stop ends a handshake that is under way.
func (t *Conn) Stop() {
	if t.stop != nil {
		t.stop()
		t.next, t.stop, t.yield = nil, nil, nil
	}
}

var _ event.Layer = (*Conn)(nil)
