package h2

import "encoding/binary"

// Next takes the next thing from the front of buf: see the package comment. Event.Data is valid as long as the bytes of buf are.
func (c *Conn) Next(buf []byte) (ev Event, n int, err error) {
	if c.block.waiting {
		panic("BUG: h2: a header block was announced and neither read nor skipped")
	}
	var e *Error
	switch c.stage {
	case atPreface:
		n, e = c.readPreface(buf)
	case inData:
		ev, n, e = c.readData(buf)
	case atPadding:
		ev, n, e = c.readPadLength(buf)
	case inPadding:
		n = c.skipPadding(buf)
	default:
		ev, n, e = c.readFrame(buf)
	}
	if e != nil {
		return Event{}, 0, e
	}
	return ev, n, nil
}

// readPreface compares what has come with the preface (RFC 9113 §3.4).
func (c *Conn) readPreface(buf []byte) (int, *Error) {
	whole, maybe := BeginsWithPreface(buf)
	switch {
	case whole:
		c.stage = atSettings
		return len(Preface), nil
	case maybe || len(buf) == 0:
		return 0, nil
	}
	return 0, ErrPreface
}

// readFrame takes a frame, or the header of one with data.
func (c *Conn) readFrame(buf []byte) (ev Event, n int, err *Error) {
	if len(buf) < frameHeaderLen {
		return ev, 0, nil
	}
	h := frameHeader(buf[:frameHeaderLen])
	size := h.length()
	switch {
	case c.stage == atSettings && (h.kind() != frameSettings || h.flags()&flagAck != 0):
		return ev, 0, ErrPreface
	case size > MaxFrame:
		return ev, 0, ErrFrameTooLarge
	case c.block.open && (h.kind() != frameContinuation || h.stream() != c.block.stream):
		return ev, 0, ErrContinuation
	case h.kind() == frameData:
		ev, err = c.beginData(h)
		return ev, frameHeaderLen, err
	case len(buf) < frameHeaderLen+size:
		return ev, 0, nil
	}
	ev, err = c.takeFrame(h, buf[frameHeaderLen:frameHeaderLen+size])
	c.stage = atFrame
	return ev, frameHeaderLen + size, err
}

// takeFrame takes a frame other than DATA.
func (c *Conn) takeFrame(h frameHeader, p []byte) (Event, *Error) {
	switch h.kind() {
	case frameHeaders:
		return c.takeHeaders(h, p)
	case frameContinuation:
		return c.takeContinuation(h, p)
	case frameSettings:
		return c.takeSettings(h, p)
	case frameWindow:
		return c.takeWindow(h, p)
	case frameReset:
		return c.takeReset(h, p)
	case framePing:
		return c.takePing(h, p)
	case framePriority:
		return c.takePriority(h, p)
	case frameGoAway:
		return c.takeGoAway(h, p)
	case framePush:
		return Event{}, ErrPush
	}
	return Event{}, c.idleFrame() // of an extension that we do not know (RFC 9113 §5.5)
}

// idle reports whether nobody has opened that stream yet.
func (c *Conn) idle(id uint32) bool {
	switch {
	case id&1 == 0: // a server's, which we neither are pushed nor push
		return true
	case c.opts.Client:
		return id > c.lastOurs
	}
	return id > c.lastPeer && !c.goneAway // what a GOAWAY has refused may have been opened
}

// broke ends a stream that broke a rule, at the cost of the peer's account (CVE-2025-8671: "WINDOW_UPDATE of 0" on one stream after the other would have us reset
// them all, each after its request has reached a node). What cannot be paid ends the connection, and the stream stays linked to be ended with it.
func (c *Conn) broke(s *Stream, rule *Error) (Event, *Error) {
	if err := c.reset(); err != nil {
		return Event{}, err
	}
	c.pending = appendReset(c.pending, s.ID, rule.Code)
	c.forget(s)
	return Event{Kind: EventReset, Stream: s, ID: s.ID, Code: rule.Code, Err: rule}, nil
}

// brokeClosed resets a stream that has ended already, for a frame that came behind its end.
func (c *Conn) brokeClosed(id uint32, rule *Error) *Error {
	c.pending = appendReset(c.pending, id, rule.Code)
	c.closed.add(id)
	return c.reset()
}

// takeSettings takes SETTINGS (RFC 9113 §6.5). Of several values of one parameter the last counts; the windows of the streams are changed once a frame,
// however often it speaks of them.
func (c *Conn) takeSettings(h frameHeader, p []byte) (ev Event, err *Error) {
	switch {
	case h.stream() != 0:
		return ev, ErrStreamID
	case h.flags()&flagAck != 0 && len(p) > 0 || len(p)%6 != 0:
		return ev, ErrFrameSize
	case h.flags()&flagAck != 0:
		c.settingsAck = true
		return ev, c.idleFrame()
	}
	if !c.settled && c.opts.Client {
		c.peerStreams = 1 << 31 // without a setting there is no bound; until then there was ours
	}
	window := uint32(c.peerWindow)
	for ; len(p) > 0; p = p[6:] {
		v := binary.BigEndian.Uint32(p[2:6])
		switch setting(binary.BigEndian.Uint16(p)) {
		case settingPush:
			if v > 1 || v == 1 && c.opts.Client {
				return ev, ErrSetting
			}
		case settingMaxStreams:
			c.peerStreams = v
		case settingWindow:
			if v > maxWindow {
				return ev, ErrSettingWindow
			}
			window = v
		case settingFrameSize: // we send no frame larger than what any peer takes
			if v < MaxFrame || v > 1<<24-1 {
				return ev, ErrSetting
			}
		case settingConnect:
			if v > 1 {
				return ev, ErrSetting
			}
			c.peerConnect = v == 1
		}
	}
	if err := c.setPeerWindow(window); err != nil {
		return ev, err
	}
	c.settled = true
	c.pending = appendFrameHeader(c.pending, 0, frameSettings, flagAck, 0)
	return Event{Kind: EventSettings}, c.idleFrame()
}

// takeWindow takes WINDOW_UPDATE (RFC 9113 §6.9).
func (c *Conn) takeWindow(h frameHeader, p []byte) (ev Event, err *Error) {
	if len(p) != 4 {
		return ev, ErrFrameSize
	}
	n := int64(binary.BigEndian.Uint32(p) & maxWindow)
	if err := c.windowUpdate(); err != nil {
		return ev, err
	}
	if h.stream() == 0 {
		switch {
		case n == 0:
			return ev, ErrIncrement
		case int64(c.send)+n > maxWindow:
			return ev, ErrWindowOverflow
		}
		c.send += int32(n)
		return Event{Kind: EventWindow}, nil
	}
	s := c.streams.find(h.stream())
	switch {
	case s == nil && c.idle(h.stream()):
		return ev, ErrIdle
	case s == nil:
		return ev, nil
	case n == 0:
		return c.broke(s, ErrStreamIncrement)
	case int64(s.send)+n > maxWindow:
		return c.broke(s, ErrStreamOverflow)
	}
	s.send += int32(n)
	return Event{Kind: EventWindow, Stream: s, ID: s.ID}, nil
}

// takeReset takes RST_STREAM (RFC 9113 §6.4).
func (c *Conn) takeReset(h frameHeader, p []byte) (ev Event, err *Error) {
	switch {
	case h.stream() == 0:
		return ev, ErrStreamID
	case len(p) != 4:
		return ev, ErrFrameSize
	case c.idle(h.stream()):
		return ev, ErrIdle
	}
	s := c.streams.find(h.stream())
	if s == nil {
		return ev, c.idleFrame()
	}
	if !c.opts.Client { // a node may give up what it likes: the client waits for it
		pay := c.reset
		if s.sendDone { // it has its answer, and need not send the rest of what it asked
			pay = c.idleFrame
		}
		if err := pay(); err != nil {
			return ev, err // the stream stays linked, see broke
		}
	}
	c.unlink(s)
	return Event{Kind: EventReset, Stream: s, ID: s.ID, Code: Code(binary.BigEndian.Uint32(p))}, nil
}

// takePing takes PING (RFC 9113 §6.7).
func (c *Conn) takePing(h frameHeader, p []byte) (ev Event, err *Error) {
	switch {
	case h.stream() != 0:
		return ev, ErrStreamID
	case len(p) != 8:
		return ev, ErrFrameSize
	case h.flags()&flagAck == 0:
		c.pending = append(appendFrameHeader(c.pending, 8, framePing, flagAck, 0), p...)
	}
	return ev, c.idleFrame()
}

// takePriority takes PRIORITY, which says nothing that anybody acts on (RFC 9113 §5.3).
func (c *Conn) takePriority(h frameHeader, p []byte) (ev Event, err *Error) {
	if h.stream() == 0 {
		return ev, ErrStreamID
	}
	if err := c.idleFrame(); err != nil {
		return ev, err
	}
	var rule *Error
	switch {
	case len(p) != 5:
		rule = ErrPrioritySize
	case binary.BigEndian.Uint32(p)&maxStreamID == h.stream():
		rule = ErrDependsOnItself
	default:
		return ev, nil
	}
	if s := c.streams.find(h.stream()); s != nil {
		return c.broke(s, rule)
	}
	if c.idle(h.stream()) {
		return ev, rule // RST_STREAM must not be sent for an idle stream
	}
	return ev, c.brokeClosed(h.stream(), rule)
}

// takeGoAway takes GOAWAY (RFC 9113 §6.8).
func (c *Conn) takeGoAway(h frameHeader, p []byte) (ev Event, err *Error) {
	switch {
	case h.stream() != 0:
		return ev, ErrStreamID
	case len(p) < 8:
		return ev, ErrFrameSize
	}
	ev = Event{Kind: EventGoAway, ID: binary.BigEndian.Uint32(p) & maxStreamID, Code: Code(binary.BigEndian.Uint32(p[4:]))}
	return ev, c.idleFrame()
}
