package h2

import "math"

const (
	defaultWindow = 65535 // of streams and connections (RFC 9113 §6.9.2)
	maxWindow     = math.MaxInt32
)

// ConnRoom returns how many bytes of data the connection lets through, whatever its streams do.
func (c *Conn) ConnRoom() int { return int(max(0, c.send)) }

// Room returns how many bytes of data may be sent on s now.
func (c *Conn) Room(s *Stream) int { return int(max(0, min(c.send, s.send))) }

// AppendData appends p, which has no more bytes than there is room, as DATA; end ends our direction of s.
func (c *Conn) AppendData(dst []byte, s *Stream, p []byte, end bool) []byte {
	for len(p) > MaxFrame {
		dst = append(c.AppendDataHeader(dst, s, MaxFrame, false), p[:MaxFrame]...)
		p = p[MaxFrame:]
	}
	return append(c.AppendDataHeader(dst, s, len(p), end), p...)
}

// AppendDataHeader appends what stands before n bytes of data, at most MaxFrame, that the caller sends itself.
func (c *Conn) AppendDataHeader(dst []byte, s *Stream, n int, end bool) []byte {
	c.send -= int32(n)
	s.send -= int32(n)
	c.dataSent(n)
	if n >= usefulData || end {
		c.useful(2)
	}
	var flags byte
	if end {
		flags = flagEndStream
	}
	dst = appendFrameHeader(dst, n, frameData, flags, s.ID)
	if end {
		c.endSending(s)
	}
	return dst
}

// CreditConn gives n bytes of the connection's window back to the peer: they have been passed on. Small amounts gather: the peer hears of half a window.
func (c *Conn) CreditConn(n int) {
	c.owed += int32(n)
	if c.owed >= c.opts.ConnWindow/2 {
		c.pending = appendWindow(c.pending, 0, c.owed)
		c.recv += c.owed
		c.owed = 0
	}
}

// CreditStream gives n bytes of the window of s back, unless the peer has no more to send.
func (c *Conn) CreditStream(s *Stream, n int) {
	if s.recvDone || !s.linked {
		return
	}
	s.owed += int32(n)
	if s.owed >= c.opts.StreamWindow/2 {
		c.pending = appendWindow(c.pending, s.ID, s.owed)
		s.recv += s.owed
		s.owed = 0
	}
}

// setPeerWindow applies a new initial window to every stream (RFC 9113 §6.9.2).
func (c *Conn) setPeerWindow(n uint32) *Error {
	if n > maxWindow {
		return ErrSettingWindow
	}
	delta := int64(n) - int64(c.peerWindow)
	c.peerWindow = int32(n)
	var err *Error
	c.streams.each(func(s *Stream) {
		if now := int64(s.send) + delta; now > maxWindow {
			err = ErrSettingWindow
		} else {
			s.send = int32(now)
		}
	})
	return err
}
