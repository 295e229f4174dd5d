package h2

// beginData takes the header of a DATA frame (RFC 9113 §6.1). All of the frame counts against the windows, padding too.
func (c *Conn) beginData(h frameHeader) (ev Event, err *Error) {
	id, size := h.stream(), h.length()
	if id == 0 {
		return ev, ErrStreamID
	}
	if int32(size) > c.recv {
		return ev, ErrWindow
	}
	c.recv -= int32(size)
	padded, ended := h.flags()&flagPadded != 0, h.flags()&flagEndStream != 0
	if padded && size == 0 {
		return ev, ErrPadding
	}
	switch {
	case size >= usefulData || ended:
		c.useful(2)
	case size > 0 && !padded: // a message of a stream of gRPC: it neither pays nor is paid for
	default:
		if err := c.idleFrame(); err != nil {
			return ev, err
		}
	}
	s := c.streams.find(id)
	c.data = dataFrame{stream: s, id: id, left: size, ended: ended}
	switch {
	case s == nil && c.idle(id):
		return ev, ErrIdle
	case s == nil:
		if !c.wasReset(id) && id <= c.knownStreams() {
			err = c.brokeClosed(id, ErrStreamData)
		}
	default:
		ev, err = c.admitData(s, size) // which may end the stream
	}
	if err != nil {
		return ev, err
	}
	if padded {
		c.stage = atPadding
		return ev, nil
	}
	return c.beginPayload(ev)
}

// beginPayload holds the frame, whose data without the padding are now known, to what content-length has said.
func (c *Conn) beginPayload(ev Event) (Event, *Error) {
	d := &c.data
	c.stage = inData
	if s := d.stream; s != nil && s.bodyLeft >= 0 {
		s.bodyLeft -= int64(d.left)
		if s.bodyLeft < 0 || d.ended && s.bodyLeft > 0 {
			s.bodyLeft = 0
			broken, err := c.broke(s, ErrLength)
			if err != nil {
				return ev, err
			}
			ev = broken
		}
	}
	if d.left == 0 {
		return c.endData(ev, nil)
	}
	return ev, nil
}

// knownStreams returns the highest stream whose end we would know of: those that a GOAWAY of ours refused are not.
func (c *Conn) knownStreams() uint32 {
	if c.goneAway {
		return c.refused
	}
	return maxStreamID
}

// admitData holds a frame of data to what its stream allows.
func (c *Conn) admitData(s *Stream, size int) (Event, *Error) {
	switch {
	case s.recvDone:
		return c.broke(s, ErrStreamData)
	case !s.headSeen:
		return c.broke(s, ErrDataBeforeHead)
	case int32(size) > s.recv:
		return c.broke(s, ErrStreamWindow)
	}
	s.recv -= int32(size)
	return Event{}, nil
}

// readPadLength takes the length of the padding.
func (c *Conn) readPadLength(buf []byte) (ev Event, n int, err *Error) {
	if len(buf) == 0 {
		return ev, 0, nil
	}
	d := &c.data
	d.left--
	d.pad = int(buf[0])
	if d.pad > d.left {
		return ev, 0, ErrPadding
	}
	d.left -= d.pad
	c.giveBack(1)
	ev, err = c.beginPayload(ev)
	return ev, 1, err
}

// giveBack credits what came and was nobody's data.
func (c *Conn) giveBack(n int) {
	c.CreditConn(n)
	if s := c.data.stream; s != nil {
		c.CreditStream(s, n)
	}
}

// readData hands on what there is of a frame's data.
func (c *Conn) readData(buf []byte) (ev Event, n int, err *Error) {
	d := &c.data
	n = min(len(buf), d.left)
	if n == 0 {
		return ev, 0, nil
	}
	d.left -= n
	s := d.stream
	if s == nil {
		c.CreditConn(n)
	} else {
		ev = Event{Kind: EventData, Stream: s, ID: s.ID, Data: buf[:n:n]}
	}
	if d.left == 0 {
		ev, err = c.endData(ev, ev.Data)
	}
	return ev, n, err
}

// endData is the end of a frame's data, of which p is the last run, and perhaps that of the stream.
func (c *Conn) endData(ev Event, p []byte) (Event, *Error) {
	d := &c.data
	c.stage = atFrame
	if d.pad > 0 {
		c.stage = inPadding
	}
	s := d.stream
	if s == nil || !d.ended {
		return ev, nil
	}
	c.endReceiving(s)
	return Event{Kind: EventData, Stream: s, ID: s.ID, Data: p, End: true}, nil
}

// skipPadding drops what there is of the padding, and returns how much that was.
func (c *Conn) skipPadding(buf []byte) int {
	n := min(len(buf), c.data.pad)
	c.giveBack(n)
	if c.data.pad -= n; c.data.pad == 0 {
		c.stage = atFrame
	}
	return n
}
