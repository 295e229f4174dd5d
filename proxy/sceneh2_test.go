package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// framedPeer is one end of a connection of HTTP/2 whose frames are another implementation's, which reads them strictly.
type framedPeer struct {
	conn    net.Conn
	client  bool
	running sync.WaitGroup

	mu      sync.Mutex // guards all below, and what the streams have
	change  *sync.Cond // of any of it
	rnd     *rand.Rand // how it writes: padding, frames, continuations
	out     bytes.Buffer
	frames  *http2.Framer // into out
	encoder *hpack.Encoder
	block   bytes.Buffer
	window  int64
	initial int64 // window of a new stream
	frame   int   // the largest that the other end takes
	settled bool
	next    uint32
	opens   uint32 // the window that the other end begins with
	streams map[uint32]*framedStream
	err     error // of the connection

	serve func(*framedStream) // a request has come
}

// framedStream is a stream of it.
type framedStream struct {
	p        *framedPeer
	id       uint32
	window   int64
	heads    []*http2.MetaHeadersFrame
	body     []byte
	credited int
	ended    bool
	reset    error
}

var errStreamReset = errors.New("the stream was reset")

// newFramedPeer opens a connection, with settings that are any.
func newFramedPeer(conn net.Conn, rnd *rand.Rand, client bool, serve func(*framedStream)) *framedPeer {
	p := &framedPeer{conn: conn, client: client, rnd: rnd, window: 65535, initial: 65535, frame: 16384, next: 1, streams: map[uint32]*framedStream{}, serve: serve}
	p.change = sync.NewCond(&p.mu)
	p.frames = http2.NewFramer(&p.out, nil)
	p.encoder = hpack.NewEncoder(&p.block)
	window := [...]uint32{1, 1000, 65535, 65535, 1 << 20}[rnd.IntN(5)]
	table := [...]uint32{0, 100, 4096, 4096, 1 << 16}[rnd.IntN(5)]
	frame := [...]uint32{1 << 14, 1<<14 + 1, 1 << 20}[rnd.IntN(3)]
	p.opens = window
	if client {
		p.out.WriteString(http2.ClientPreface)
	}
	_ = p.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: table},
		http2.Setting{ID: http2.SettingMaxFrameSize, Val: frame}, http2.Setting{ID: 0x7a7a, Val: rnd.Uint32()})
	in := http2.NewFramer(nil, conn)
	in.SetMaxReadFrameSize(frame)
	in.ReadMetaHeaders = hpack.NewDecoder(table, nil)
	p.running.Go(func() { p.fail(p.read(in)) })
	p.running.Go(p.write)
	return p
}

// close ends the connection.
func (p *framedPeer) close() {
	p.fail(net.ErrClosed)
	p.conn.Close()
	p.running.Wait()
}

func (p *framedPeer) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.change.Broadcast()
}

// write sends what has been put out, in any pieces.
func (p *framedPeer) write() {
	for {
		p.mu.Lock()
		for p.out.Len() == 0 && p.err == nil {
			p.change.Wait()
		}
		if p.err != nil {
			p.mu.Unlock()
			return
		}
		b := bytes.Clone(p.out.Bytes())
		p.out.Reset()
		at := len(b)
		if p.rnd.IntN(3) == 0 {
			at = p.rnd.IntN(len(b) + 1)
		}
		p.mu.Unlock()
		for _, part := range [][]byte{b[:at], b[at:]} {
			if _, err := p.conn.Write(part); err != nil {
				p.fail(err)
				return
			}
		}
	}
}

// read takes frames until the end.
func (p *framedPeer) read(in *http2.Framer) error {
	if !p.client {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(p.conn, preface); err != nil || string(preface) != http2.ClientPreface {
			return fmt.Errorf("preface %q: %w", preface, err)
		}
	}
	for {
		f, err := in.ReadFrame()
		if err != nil {
			return err
		}
		if err := p.take(f); err != nil {
			return err
		}
	}
}

// take takes one frame.
func (p *framedPeer) take(f http2.Frame) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.change.Broadcast()
	s := p.streams[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		p.settled = true
		if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
			for _, s := range p.streams {
				s.window += int64(v) - p.initial
			}
			p.initial = int64(v)
		}
		if v, ok := f.Value(http2.SettingMaxFrameSize); ok {
			p.frame = int(v)
		}
		if v, ok := f.Value(http2.SettingHeaderTableSize); ok {
			p.encoder.SetMaxDynamicTableSizeLimit(v)
		}
		return p.frames.WriteSettingsAck()
	case *http2.PingFrame:
		if !f.IsAck() {
			return p.frames.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			p.window += int64(f.Increment)
		} else if s != nil {
			s.window += int64(f.Increment)
		}
	case *http2.MetaHeadersFrame:
		if s == nil && !p.client {
			s = p.stream(f.StreamID)
			p.running.Go(func() { p.serve(s) })
		}
		if s == nil || s.ended || f.Truncated {
			return fmt.Errorf("fields on stream %d", f.StreamID)
		}
		s.heads, s.ended = append(s.heads, f), f.StreamEnded()
	case *http2.DataFrame:
		if s == nil || s.ended {
			return fmt.Errorf("data on stream %d", f.StreamID)
		}
		s.body, s.ended = append(s.body, f.Data()...), f.StreamEnded()
		if n := f.Length; n > 0 {
			_ = p.frames.WriteWindowUpdate(0, n)
			if pad := int(n) - len(f.Data()); pad > 0 {
				_ = p.frames.WriteWindowUpdate(s.id, uint32(pad))
			}
		}
	case *http2.RSTStreamFrame:
		if s == nil {
			return fmt.Errorf("reset of stream %d", f.StreamID)
		}
		s.reset = fmt.Errorf("%w: %v", errStreamReset, f.ErrCode)
	case *http2.GoAwayFrame:
		if f.ErrCode != http2.ErrCodeNo {
			return fmt.Errorf("told to go away: %v %s", f.ErrCode, f.DebugData())
		}
	case *http2.PushPromiseFrame:
		return errors.New("a push")
	}
	return nil
}

// stream makes one. The peer is locked.
func (p *framedPeer) stream(id uint32) *framedStream {
	s := &framedStream{p: p, id: id, window: p.initial}
	p.streams[id] = s
	return s
}

// putFields writes a block, in as many frames as chance has it.
func (s *framedStream) putFields(end bool, fields ...string) {
	p := s.p
	p.block.Reset()
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		_ = p.encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: p.rnd.IntN(4) == 0})
	}
	rest := p.block.Bytes()
	part := func() []byte {
		n := len(rest)
		if p.rnd.IntN(4) == 0 {
			n = p.rnd.IntN(n + 1)
		}
		n = min(n, p.frame/2)
		b := rest[:n]
		rest = rest[n:]
		return b
	}
	head := http2.HeadersFrameParam{StreamID: s.id, BlockFragment: part(), EndStream: end}
	if p.rnd.IntN(4) == 0 {
		head.PadLength = uint8(p.rnd.IntN(256))
	}
	if p.rnd.IntN(4) == 0 {
		head.Priority = http2.PriorityParam{StreamDep: s.id + 100, Weight: uint8(p.rnd.IntN(256))}
	}
	head.EndHeaders = len(rest) == 0
	_ = p.frames.WriteHeaders(head)
	for left := !head.EndHeaders; left; {
		b := part()
		left = len(rest) > 0
		_ = p.frames.WriteContinuation(s.id, !left, b)
	}
	p.change.Broadcast()
}

// fields writes a section of fields, which may be the end.
func (s *framedStream) fields(end bool, fields ...string) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.putFields(end, fields...)
}

// data writes a run of a body as the windows let it pass.
func (s *framedStream) data(b string) error {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	for b != "" {
		for s.window <= 0 || p.window <= 0 || p.out.Len() > 1<<18 {
			if err := s.gone(); err != nil {
				return err
			}
			p.change.Wait()
		}
		if err := s.gone(); err != nil {
			return err
		}
		n := min(len(b), p.frame, int(s.window), int(p.window))
		pad := 0
		if p.rnd.IntN(8) == 0 && n < p.frame-300 && n+300 < int(min(s.window, p.window)) {
			pad = 1 + p.rnd.IntN(255)
		}
		if pad > 0 {
			_ = p.frames.WriteDataPadded(s.id, false, []byte(b[:n]), make([]byte, pad-1))
		} else {
			_ = p.frames.WriteData(s.id, false, []byte(b[:n]))
		}
		s.window, p.window = s.window-int64(n+pad), p.window-int64(n+pad)
		b = b[n:]
		p.change.Broadcast()
	}
	return nil
}

// gone returns why nothing more is to be sent. The peer is locked.
func (s *framedStream) gone() error {
	if s.reset != nil {
		return s.reset
	}
	return s.p.err
}

// send writes n bytes of a body, and the end of the stream where that is all of it.
func (s *framedStream) send(c *content, n int) error {
	if err := c.write(n, s.data); err != nil {
		return err
	}
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if n < c.size || s.gone() != nil {
		return s.gone()
	}
	if len(c.trailers) > 0 {
		s.putFields(true, c.trailers...)
	} else {
		_ = p.frames.WriteData(s.id, true, nil)
	}
	p.change.Broadcast()
	return nil
}

// cancel resets the stream.
func (s *framedStream) cancel(code http2.ErrCode) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	_ = s.p.frames.WriteRSTStream(s.id, code)
	s.p.change.Broadcast()
}

// take waits until there is another section of fields, at least so many bytes of a body, or the end, and gives the window back.
func (s *framedStream) take(sections, bytes int, slowly bool) (end error) {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	for turn := 0; ; turn++ {
		if n := len(s.body) - s.credited; n > 0 {
			if slowly && turn < 100 {
				p.mu.Unlock()
				time.Sleep(time.Millisecond) // as with pauses
				p.mu.Lock()
				n = len(s.body) - s.credited
			}
			if !s.ended {
				more := uint32(n)
				if s.credited == 0 && p.opens < 65535 { // byte by byte would be a flood
					more += 65535
				}
				_ = p.frames.WriteWindowUpdate(s.id, more)
			}
			s.credited += n
			p.change.Broadcast()
		}
		switch {
		case s.ended:
			return nil
		case s.gone() != nil:
			return s.gone()
		case len(s.heads) > sections, len(s.body) >= bytes:
			return errStays
		}
		p.change.Wait()
	}
}

// errStays says that a stream has not ended.
var errStays = errors.New("the stream goes on")

// hear reads what comes on the stream: of a request or an answer, up to so many bytes of its body or its end.
func (s *framedStream) hear(bytes int, slowly bool, onContinue func()) (h heard) {
	const never = 1 << 30
	section := 0
	for {
		err := s.take(section, never, false)
		s.p.mu.Lock()
		if len(s.heads) <= section {
			s.p.mu.Unlock()
			h.cut = err
			return h
		}
		head := s.heads[section]
		s.p.mu.Unlock()
		section++
		if status := head.PseudoValue("status"); status != "" {
			_, _ = fmt.Sscan(status, &h.status)
		} else {
			h.line = head.PseudoValue("method") + " " + head.PseudoValue("path")
		}
		for _, f := range head.RegularFields() {
			if h.status/100 != 1 {
				h.fields = note(h.fields, f.Name, f.Value)
			}
			if f.Name == "content-length" {
				h.length = f.Value
			}
		}
		if h.status/100 != 1 {
			break
		}
		if h.interim = append(h.interim, h.status); h.status == 100 {
			onContinue()
		}
	}
	h.cut = s.take(section, bytes, slowly)
	for errors.Is(h.cut, errStays) && len(s.heads) > section { // a trailer, whose end is its own
		h.cut = s.take(never, never, slowly)
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	h.body = string(s.body)
	for _, trailer := range s.heads[section:] {
		for _, f := range trailer.Fields {
			h.trailers = note(h.trailers, f.Name, f.Value)
		}
	}
	return h
}

// playH2 plays scenes on one connection, all at once.
func (p *play) playH2(scenes []*scene, dial func() (net.Conn, error), rnd *rand.Rand) {
	conn, err := dial()
	if err != nil {
		p.wrong(scenes[0], "dial", err)
		return
	}
	peer := newFramedPeer(conn, rnd, true, nil)
	defer peer.close()
	var running sync.WaitGroup
	for _, s := range scenes {
		running.Go(func() { p.onStream(peer, s) })
	}
	running.Wait()
}

// onStream plays one scene.
func (p *play) onStream(peer *framedPeer, s *scene) {
	fields := []string{":method: " + s.method, ":scheme: " + p.scheme(), ":authority: a", ":path: " + s.target}
	fields = append(fields, s.fields...)
	if s.expect {
		fields = append(fields, "expect: 100-continue")
	}
	if s.asked.framing == "length" {
		fields = append(fields, fmt.Sprintf("content-length: %d", s.asked.size))
	}
	peer.mu.Lock()
	stream := peer.stream(peer.next)
	peer.next += 2
	stream.putFields(s.asked.framing == "none", fields...)
	peer.mu.Unlock()
	over := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		if s.asked.framing == "none" {
			return
		}
		if s.expect {
			select {
			case <-s.leave:
			case <-over:
				stream.cancel(http2.ErrCodeCancel)
				return
			}
		}
		n := s.asked.size
		if s.leaves >= 0 {
			n = s.leaves
		}
		err := stream.send(&s.asked, n)
		if s.leaves >= 0 {
			stream.cancel(http2.ErrCodeCancel)
			return
		}
		if err != nil && s.early < 0 && s.cut < 0 {
			p.wrong(s, "ask", err)
		}
	})
	if s.leaves < 0 {
		h := stream.hear(1<<30, s.lazy, func() {
			select {
			case s.leave <- true:
			default:
			}
		})
		close(over)
		p.checkClient(s, h, false, nil)
	}
	asking.Wait()
	p.checkNode(s)
}

// sceneNodeH2 plays the node's part on one connection.
func (p *play) sceneNodeH2(conn net.Conn, rnd *rand.Rand) {
	var peer *framedPeer
	begun := make(chan struct{})
	peer = newFramedPeer(conn, rnd, false, func(stream *framedStream) {
		<-begun
		p.onNodeStream(stream)
	})
	close(begun)
	peer.mu.Lock()
	for peer.err == nil {
		peer.change.Wait()
	}
	peer.mu.Unlock()
	peer.close()
}

// onNodeStream hears one request and answers it.
func (p *play) onNodeStream(stream *framedStream) {
	stream.p.mu.Lock()
	head := stream.heads
	for len(head) == 0 {
		stream.p.change.Wait()
		head = stream.heads
	}
	stream.p.mu.Unlock()
	s := p.sceneOf(head[0].PseudoValue("method") + " " + head[0].PseudoValue("path"))
	if s == nil {
		p.wrong(&scene{}, "node", fmt.Errorf("head %v", head[0].Fields))
		return
	}
	if s.expect && s.wants {
		stream.fields(false, ":status: 100")
	}
	most := 1 << 30
	if s.early >= 0 {
		most = s.early
	}
	h := stream.hear(most, s.sleepy, nil)
	if s.asked.framing == "none" {
		h.length = ""
	}
	if s.early >= 0 { // it may have come whole
		h.cut = io.ErrUnexpectedEOF
	}
	p.heardAtNode(s, h)
	if s.leaves >= 0 && h.cut == nil {
		p.wrong(s, "node", errors.New("what was given up looks whole"))
	}
	if h.cut != nil && s.early < 0 {
		return
	}
	for _, status := range s.hints {
		stream.fields(false, fmt.Sprintf(":status: %d", status), "x-hint: 1")
	}
	fields := append([]string{fmt.Sprintf(":status: %d", s.status)}, s.said...)
	if s.given.framing == "length" {
		fields = append(fields, fmt.Sprintf("content-length: %d", s.given.size))
	}
	// A length of 0 with an open stream becomes a body without a length: a trailer may come.
	empty := s.bodiless() || s.given.size == 0 && s.given.framing == "length"
	if stream.fields(empty, fields...); empty {
		return
	}
	n := s.given.size
	if s.cut >= 0 {
		n = s.cut
	}
	_ = stream.send(&s.given, n)
	if s.cut >= 0 {
		stream.cancel(http2.ErrCodeInternal)
		return
	}
	if s.early >= 0 {
		_ = stream.take(1<<30, 1<<30, false)
	}
}
