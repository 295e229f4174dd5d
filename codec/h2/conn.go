package h2

import (
	"encoding/binary"

	"sluice/codec"
)

// MaxStreams is how many streams a client may have open at once: what RFC 9113 §6.5.2 recommends as the least, and browsers are content with.
const MaxStreams = 100

// Options are what a side of a connection is made with.
type Options struct {
	Client       bool  // we are the client
	StreamWindow int32 // bytes of a stream that the peer may send before it hears that they were passed on
	ConnWindow   int32 // the same for all streams together, at least 65535
	Connect      bool  // a server's: extended CONNECT is welcome (RFC 8441)
	MaxBlock     int   // bytes of a compressed header block
}

// Conn is one side of a connection. The zero value must be Reset. It is not safe for use by two goroutines at once.
type Conn struct {
	opts Options
	allowance

	// Reading.
	stage  stage
	block  block
	data   dataFrame
	fields fields
	decoder
	pending []byte // for Control

	// Streams.
	streams  table
	lastPeer uint32 // highest stream that the peer has opened
	lastOurs uint32 // highest that we have opened
	closed   closedStreams
	goneAway bool   // we have said GOAWAY for good, and take no new stream
	refused  uint32 // streams above were refused by a GOAWAY of ours; their frames are ignored

	// Windows.
	send int32
	recv int32
	owed int32 // of recv: what has been passed on and not yet given back

	// What the peer has said.
	peerWindow  int32
	peerStreams uint32
	peerConnect bool
	settingsAck bool // it has acknowledged ours
	settled     bool // its first SETTINGS have come
	tableTold   bool // our first header block has been sent
}

// stage is where in the stream of bytes a connection stands.
type stage uint8

const (
	atPreface  stage = iota // a server's: the client's preface
	atSettings              // the first frame
	atFrame                 // the header of a frame
	atPadding               // the length of the padding of a DATA frame
	inData                  // the data of one
	inPadding               // the padding of one
)

// block is a header block on its way.
type block struct {
	bytes    []byte // the whole block: part of the input where it came in one frame, else of gathered
	gathered []byte
	frames   int
	stream   uint32 // 0 = none
	open     bool   // END_HEADERS has not come
	ended    bool   // END_STREAM
	depends  bool   // the stream depends on itself
	waiting  bool   // it is announced and not decoded
}

// dataFrame is a DATA frame on its way.
type dataFrame struct {
	stream *Stream // nil: its data are thrown away
	id     uint32
	left   int
	pad    int
	ended  bool
}

// EventKind is what has happened.
type EventKind uint8

// The kinds of events. Those with a stream concern one that the owner has opened.
const (
	EventNone     EventKind = iota // something was taken, and nothing is to be done
	EventOpen                      // the client begins the stream ID: Open it, then ReadRequest
	EventHead                      // the head of a response: ReadResponse
	EventTrailer                   // ReadTrailer; the stream has ended
	EventData                      // Data has come, which may be nothing where End is set
	EventReset                     // the stream was given up: by the peer, or for a breach of Err, in which case the peer will hear of it
	EventWindow                    // more may be sent on Stream or, where that is nil, on the connection
	EventSettings                  // the peer's settings have changed, and with them perhaps all windows
	EventGoAway                    // the peer takes no new streams; those above ID were never looked at
)

// Event is what Next has found.
type Event struct {
	Kind   EventKind
	End    bool // the peer has ended the stream with this
	Stream *Stream
	ID     uint32
	Code   Code
	Err    *Error // of EventReset: the rule, where it was ours
	Data   []byte // a part of the input
}

// Reset makes c a new connection. It keeps its memory.
func (c *Conn) Reset(opts Options) {
	*c = Conn{
		opts: opts, pending: c.pending[:0],
		streams:   table{buckets: c.streams.buckets},
		block:     block{gathered: c.block.gathered[:0]},
		decoder:   decoder{bytes: c.decoder.bytes[:0], entries: c.decoder.entries[:0], max: tableSize},
		closed:    closedStreams{ids: c.closed.ids[:0]},
		allowance: allowance{trusted: opts.Client},
		send:      defaultWindow, recv: opts.ConnWindow, peerWindow: defaultWindow, peerStreams: MaxStreams,
	}
	clear(c.streams.buckets)
	if opts.Client {
		c.stage = atSettings
	}
	c.refill()
}

// AppendPreface appends what our side of the connection begins with.
func (c *Conn) AppendPreface(dst []byte) []byte {
	if c.opts.Client {
		dst = append(dst, Preface...)
	}
	start := len(dst)
	dst = appendFrameHeader(dst, 0, frameSettings, 0, 0)
	if c.opts.Client {
		dst = appendSetting(dst, settingPush, 0)
	} else {
		dst = appendSetting(dst, settingMaxStreams, MaxStreams)
		if c.opts.Connect {
			dst = appendSetting(dst, settingConnect, 1)
		}
	}
	if c.opts.StreamWindow != defaultWindow {
		dst = appendSetting(dst, settingWindow, uint32(c.opts.StreamWindow))
	}
	putLength(dst[start:], len(dst)-start-frameHeaderLen)
	if more := c.opts.ConnWindow - defaultWindow; more > 0 {
		dst = appendWindow(dst, 0, more)
	}
	return dst
}

// Control returns what the protocol owes to the peer by now. It is the caller's until the next call of anything.
func (c *Conn) Control() []byte {
	p := c.pending
	c.pending = c.pending[:0]
	return p
}

// Refill fills the accounts up that a peer pays useless frames from. The owner calls it now and then, a few times a minute.
func (c *Conn) Refill() { c.refill() }

// Settled reports whether the peer's first SETTINGS have come, Acknowledged whether it has acknowledged ours.
func (c *Conn) Settled() bool { return c.settled }

// Acknowledged reports whether the peer has acknowledged our settings.
func (c *Conn) Acknowledged() bool { return c.settingsAck }

// Within reports whether a header block or the preface is on its way, which a peer has to send without delay.
func (c *Conn) Within() bool { return c.block.open || c.stage < atFrame }

// Streams returns how many streams are open, PeerStreams how many the peer lets us have.
func (c *Conn) Streams() int { return c.streams.n }

// PeerStreams returns how many streams the peer lets us have open at once.
func (c *Conn) PeerStreams() int { return int(min(c.peerStreams, 1<<30)) }

// PeerConnect reports whether the peer, a server, takes extended CONNECT.
func (c *Conn) PeerConnect() bool { return c.peerConnect }

// Each calls f for every open stream. f may end the one it is called for, and no other.
func (c *Conn) Each(f func(s *Stream)) { c.streams.each(f) }

// Open links s in as the stream id that EventOpen has announced or, with a client, as the next one; ended says that nothing more comes from the peer.
func (c *Conn) Open(s *Stream, id uint32, ended bool) {
	*s = Stream{Owner: s.Owner, ID: id, send: c.peerWindow, recv: c.opts.StreamWindow, recvDone: ended, headSeen: !c.opts.Client, bodyLeft: -1}
	c.streams.add(s)
}

// maxStreamID bounds the identifiers of a connection (RFC 9113 §5.1.1).
const maxStreamID = 1<<31 - 1

// OpenNext opens the next stream of a client, and reports false where there are no more identifiers.
func (c *Conn) OpenNext(s *Stream) bool {
	if c.lastOurs >= maxStreamID {
		return false
	}
	if c.lastOurs == 0 {
		c.lastOurs = 1
	} else {
		c.lastOurs += 2
	}
	c.Open(s, c.lastOurs, false)
	return true
}

// LastIdentifier reports whether OpenNext has no more identifiers to give.
func (c *Conn) LastIdentifier() bool { return c.lastOurs >= maxStreamID-1 }

// Forget unlinks a stream of a connection that is over.
func (c *Conn) Forget(s *Stream) { c.unlink(s) }

// Expect notes what the head of a request has said of its body, so that data beyond it is refused.
func (c *Conn) Expect(s *Stream, f codec.Framing) { s.expect(f) }

// AppendReset appends the end of a stream that is given up, unless it has ended on both sides already.
func (c *Conn) AppendReset(dst []byte, s *Stream, code Code) []byte {
	if !s.linked {
		return dst
	}
	c.forget(s)
	return appendReset(dst, s.ID, code)
}

// AppendBreach appends the end of a stream for a message that was malformed (RFC 9113 §8.1.1), also where both sides have ended it: an answer may have
// told why.
func (c *Conn) AppendBreach(dst []byte, s *Stream, code Code) []byte {
	c.forget(s)
	return appendReset(dst, s.ID, code)
}

// AppendGoAway appends that no new stream is taken. A first warning names streams that are yet to come, since some may be on their way; the last word
// names what has come (RFC 9113 §6.8).
func (c *Conn) AppendGoAway(dst []byte, code Code, warning bool) []byte {
	if warning {
		return appendGoAway(dst, maxStreamID, code)
	}
	c.goneAway, c.refused = true, c.lastPeer
	return appendGoAway(dst, c.lastPeer, code)
}

// AppendPing appends a PING.
func (c *Conn) AppendPing(dst []byte, payload uint64) []byte {
	dst = appendFrameHeader(dst, 8, framePing, 0, 0)
	return binary.BigEndian.AppendUint64(dst, payload)
}

// forget unlinks a stream that is reset by us, and remembers it: frames that the peer has sent before it could know are ignored.
func (c *Conn) forget(s *Stream) {
	c.unlink(s)
	if !c.opts.Client {
		c.closed.add(s.ID)
	}
}

// wasReset reports whether a stream that is closed was reset by us, as far as is remembered. Of a node's connection every closed one may have been: clients that go
// away together give up hundreds of calls at once, and what the node has answered to them meanwhile must not end the calls of the others.
func (c *Conn) wasReset(id uint32) bool { return c.opts.Client || c.closed.has(id) }

func (c *Conn) unlink(s *Stream) {
	if c.data.stream == s {
		c.data.stream = nil
	}
	s.sendDone, s.recvDone = true, true
	c.streams.remove(s)
}

// endSending notes that our direction of s has ended.
func (c *Conn) endSending(s *Stream) {
	s.sendDone = true
	if s.recvDone {
		c.answered()
		c.streams.remove(s)
	}
}

// endReceiving notes that the peer's direction of s has ended.
func (c *Conn) endReceiving(s *Stream) {
	s.recvDone = true
	if s.sendDone {
		c.answered()
		c.streams.remove(s)
	}
}

// closedStreams remembers the streams that we have reset last.
type closedStreams struct {
	ids []uint32
	at  int
}

func (l *closedStreams) add(id uint32) {
	if len(l.ids) < MaxStreams {
		l.ids = append(l.ids, id)
		return
	}
	l.ids[l.at] = id
	l.at = (l.at + 1) % MaxStreams
}

func (l *closedStreams) has(id uint32) bool {
	for _, other := range l.ids {
		if other == id {
			return true
		}
	}
	return false
}
