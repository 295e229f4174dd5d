package h2

import "encoding/binary"

// takeHeaders takes HEADERS (RFC 9113 §6.2).
func (c *Conn) takeHeaders(h frameHeader, p []byte) (ev Event, err *Error) {
	id := h.stream()
	if id == 0 {
		return ev, ErrStreamID
	}
	pad := 0
	if h.flags()&flagPadded != 0 {
		if len(p) == 0 {
			return ev, ErrPadding
		}
		pad, p = int(p[0]), p[1:]
	}
	depends := false
	if h.flags()&flagPriority != 0 {
		if len(p) < 5 {
			return ev, ErrFrameSize
		}
		depends = binary.BigEndian.Uint32(p)&maxStreamID == id
		p = p[5:]
	}
	if pad > len(p) {
		return ev, ErrPadding
	}
	p = p[:len(p)-pad]
	c.block.stream, c.block.depends, c.block.frames = id, depends, 1
	c.block.ended = h.flags()&flagEndStream != 0
	return c.gather(h, p)
}

// maxContinuations bounds the frames of a header block: of the size that every peer may use, 64 hold twice the largest limit that can be set.
const maxContinuations = 64

// takeContinuation takes CONTINUATION (RFC 9113 §6.10).
func (c *Conn) takeContinuation(h frameHeader, p []byte) (ev Event, err *Error) {
	if !c.block.open {
		return ev, ErrContinuation
	}
	if c.block.frames++; c.block.frames > maxContinuations {
		return ev, ErrBlockTooLarge
	}
	return c.gather(h, p)
}

// gather adds p to the block on its way. A block of one frame is not copied.
func (c *Conn) gather(h frameHeader, p []byte) (Event, *Error) {
	b := &c.block
	last := h.flags()&flagEndHeaders != 0
	if last && !b.open {
		b.bytes = p
	} else {
		if !b.open {
			b.gathered = b.gathered[:0]
		}
		b.gathered = append(b.gathered, p...)
		b.bytes = b.gathered
	}
	b.open = !last
	if len(b.bytes) > c.opts.MaxBlock {
		return Event{}, ErrBlockTooLarge
	}
	if !last {
		return Event{}, nil
	}
	if err := c.idleFrame(); err != nil { // what comes of it pays it back
		return Event{}, err
	}
	b.waiting = true
	announce := c.announceRequest
	if c.opts.Client {
		announce = c.announceResponse
	}
	ev, err := announce()
	if err == nil && b.waiting && ev.Kind != EventOpen && ev.Kind != EventHead && ev.Kind != EventTrailer {
		err = c.skipBlock()
	}
	return ev, err
}

// skipBlock decodes the block that was announced for the sake of the compression's state.
func (c *Conn) skipBlock() *Error {
	c.fields.reset(c.fields.dst, nil, nil, nothing)
	return c.readBlock()
}

// Skip is for an owner that has no use for the block that an event has announced. The error is a *[Error].
func (c *Conn) Skip() error {
	if err := c.skipBlock(); err != nil {
		return err
	}
	return nil
}

// announceRequest tells of a block that a client has sent: a new stream or the trailers of one.
func (c *Conn) announceRequest() (ev Event, err *Error) {
	id := c.block.stream
	if s := c.streams.find(id); s != nil {
		return c.announceTrailer(s)
	}
	switch {
	case id&1 == 0:
		return ev, ErrStreamOrder
	case c.goneAway && id > c.refused: // it was sent before the client could know
		return ev, nil
	case c.closed.has(id):
		return ev, nil
	case id <= c.lastPeer:
		return ev, ErrClosed
	}
	c.lastPeer = id
	if c.block.depends {
		return ev, c.brokeClosed(id, ErrDependsOnItself)
	}
	if c.streams.n >= MaxStreams { // RFC 9113 §5.1.2
		return ev, c.brokeClosed(id, ErrTooManyStreams)
	}
	c.useful(3)
	return Event{Kind: EventOpen, ID: id, End: c.block.ended}, nil
}

// announceResponse tells of a block that a node has sent.
func (c *Conn) announceResponse() (ev Event, err *Error) {
	id := c.block.stream
	s := c.streams.find(id)
	switch {
	case s == nil && c.idle(id):
		return ev, ErrIdle
	case s == nil: // see wasReset
		return ev, nil
	case s.headSeen || s.recvDone:
		return c.announceTrailer(s)
	}
	c.useful(2)
	if c.block.ended {
		c.endReceiving(s)
	}
	return Event{Kind: EventHead, Stream: s, ID: id, End: c.block.ended}, nil
}

// announceTrailer tells of a second block of a stream, which must be its end.
func (c *Conn) announceTrailer(s *Stream) (Event, *Error) {
	var rule *Error
	switch {
	case s.recvDone:
		rule = ErrStreamData
	case c.block.depends:
		rule = ErrDependsOnItself
	case !c.block.ended:
		rule = ErrTrailerEnd
	case s.bodyLeft > 0:
		rule = ErrLength
	default:
		c.endReceiving(s)
		return Event{Kind: EventTrailer, Stream: s, ID: s.ID, End: true}, nil
	}
	if err := c.skipBlock(); err != nil { // which ends the connection, and the stream with it
		return Event{}, err
	}
	return c.broke(s, rule)
}

// readBlock decodes the block that was announced into c.fields.
func (c *Conn) readBlock() *Error {
	c.block.waiting = false
	b := c.block.bytes
	c.block.bytes = nil
	if !c.decode(b, &c.fields) {
		return ErrCompression
	}
	if cap(c.block.gathered) > MaxFrame { // rare, and not worth keeping
		c.block.gathered = nil
	}
	return nil
}

// readFields decodes the block that was announced, and returns the lines that were kept with the reason why the connection or the message is refused.
func (c *Conn) readFields() ([]byte, error) {
	if err := c.readBlock(); err != nil {
		return c.fields.dst, err
	}
	return c.fields.dst, c.fields.reject
}
