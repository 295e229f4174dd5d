package tlsconn

import (
	"io"
	"net"
	"time"

	"sluice/core/event"
)

// socket is a Conn as its tls.Conn sees it: the net.Conn beneath it.
type socket Conn

// Read suspends the handshake while nothing is there: would-block must not be returned then, since the handshake remembers every error. Later it is returned, and the
// tls.Conn keeps what it has of a record.
func (s *socket) Read(p []byte) (int, error) {
	t := (*Conn)(s)
	if len(t.lead) > 0 {
		n := copy(p, t.lead)
		t.given.pass(p[:n])
		if t.lead = t.lead[n:]; len(t.lead) == 0 {
			t.lead = nil
		}
		return n, nil
	}
	for {
		if t.gone {
			return 0, errAborted
		}
		n, err := t.conn.Wire().Read(p)
		t.given.pass(p[:n])
		t.cut = err == io.EOF
		if err != event.ErrWouldBlock || t.yield == nil {
			return n, err
		}
		t.suspend()
	}
}

// Write takes everything: a write error is remembered for good, a temporary one too. What the kernel does not take waits in the connection's queue, and
// every call of the tls.Conn writes here, those for reading included (answers to KeyUpdate, alerts).
func (s *socket) Write(p []byte) (int, error) {
	switch {
	case s.gather == nil:
		s.conn.Wire().Write(p)
	case len(s.gather)+len(p) <= cap(s.gather):
		s.gather = append(s.gather, p...)
	default:
		s.conn.Wire().Write(s.gather)
		s.gather = append(s.gather[:0], p...)
	}
	return len(p), nil
}

// Close does nothing: the loop owns the descriptor.
func (s *socket) Close() error { return nil }

func (s *socket) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(s.conn.Local()) }
func (s *socket) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.conn.Remote()) }

// The loop's timers keep the time.

func (s *socket) SetDeadline(time.Time) error      { return nil }
func (s *socket) SetReadDeadline(time.Time) error  { return nil }
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

var _ net.Conn = (*socket)(nil)
