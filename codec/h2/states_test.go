package h2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// outcome returns what a frame has led to: "" where the connection and the stream go on, or an error of either with its code.
func outcome(p *peer, before string, in []byte) string {
	all, broken := p.feed(in)
	if broken {
		return "connection " + CodeOf(p.err).String()
	}
	for line := range strings.SplitSeq(strings.TrimPrefix(all, before), "\n") {
		var stream, code uint32
		if n, _ := fmt.Sscanf(line, "< type 3 flags 0 stream %d: %x", &stream, &code); n == 2 {
			return "stream " + Code(code).String()
		}
	}
	return ""
}

// every is the frames that a state is tried with, those with fields apart.
var every = map[string]func(id uint32) []byte{
	"DATA":          func(id uint32) []byte { return data(id, false, "x") },
	"PRIORITY":      func(id uint32) []byte { return frame(framePriority, 0, id, 0, 0, 0, 0, 5) },
	"RST_STREAM":    func(id uint32) []byte { return frame(frameReset, 0, id, u32(8)...) },
	"PUSH_PROMISE":  func(id uint32) []byte { return frame(framePush, flagEndHeaders, id, 0, 0, 0, 2) },
	"WINDOW_UPDATE": func(id uint32) []byte { return frame(frameWindow, 0, id, u32(1)...) },
	"CONTINUATION":  func(id uint32) []byte { return frame(frameContinuation, flagEndHeaders, id) },
	"extension":     func(id uint32) []byte { return frame(0x20, 0xff, id, 1, 2, 3) },
}

// stateCase is a state of a stream, how it comes about, and what frames lead to there.
type stateCase struct {
	name   string
	before [][]byte          // of the peer
	ours   func(p *peer)     // what we say then
	fields []string          // of the HEADERS that are tried
	want   map[string]string // by the frame; "" where nothing is wrong
}

// try tries every frame on the stream id.
func (c stateCase) try(t *testing.T, client bool, id uint32) {
	frames := map[string][]byte{"HEADERS": headers(id, false, c.fields...), "HEADERS that end": headers(id, true, c.fields...)}
	for name, f := range every {
		frames[name] = f(id)
	}
	for name, f := range frames {
		want := c.want[name]
		if name == "PUSH_PROMISE" || name == "CONTINUATION" { // never right
			want = protocol
		}
		p := newPeer(client)
		in := opening(c.before...)
		if client {
			in = append(settings(), bytes.Join(c.before, nil)...)
		}
		said, broken := p.feed(in)
		if broken {
			t.Fatal(said)
		}
		if c.ours != nil {
			c.ours(p)
		}
		if got := outcome(p, said, append(in, f...)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

const (
	protocol = "connection PROTOCOL_ERROR"
	closed   = "stream STREAM_CLOSED"
)

// RFC 9113 §5.1: what a client may send on a stream, in every state of it. What behind a reset of ours was on its way is ignored.
func TestEveryFrameOfAClientInEveryState(t *testing.T) {
	get, post, trailer := getRequest(1), postRequest(1), "a: b"
	for _, state := range []stateCase{
		{"idle", nil, nil, request, map[string]string{"DATA": protocol, "RST_STREAM": protocol, "WINDOW_UPDATE": protocol}},
		{"open", [][]byte{post}, nil, []string{trailer}, map[string]string{"HEADERS": "stream PROTOCOL_ERROR"}},
		{"half closed (remote)", [][]byte{get}, nil, []string{trailer}, map[string]string{"DATA": closed, "HEADERS": closed, "HEADERS that end": closed}},
		{"half closed (local)", [][]byte{post}, func(p *peer) { p.AppendData(nil, p.streams[1], nil, true) }, []string{trailer}, map[string]string{"HEADERS": "stream PROTOCOL_ERROR"}},
		{"closed", [][]byte{get}, func(p *peer) { p.AppendData(nil, p.streams[1], nil, true) }, request,
			map[string]string{"DATA": closed, "HEADERS": "connection STREAM_CLOSED", "HEADERS that end": "connection STREAM_CLOSED"}},
		{"closed by a lower identifier", [][]byte{getRequest(3)}, nil, request,
			map[string]string{"DATA": closed, "HEADERS": "connection STREAM_CLOSED", "HEADERS that end": "connection STREAM_CLOSED"}},
		{"reset by the client", [][]byte{post, frame(frameReset, 0, 1, u32(8)...)}, nil, request,
			map[string]string{"DATA": closed, "HEADERS": "connection STREAM_CLOSED", "HEADERS that end": "connection STREAM_CLOSED"}},
		{"reset by us", [][]byte{post}, func(p *peer) { p.AppendReset(nil, p.streams[1], Cancel) }, request, nil},
		{"refused by a GOAWAY", nil, func(p *peer) { p.AppendGoAway(nil, NoError, false) }, request, nil},
	} {
		t.Run(state.name, func(t *testing.T) {
			state.try(t, false, 1)
		})
	}
}

// The same of a node. Of its closed streams any may have been reset by us.
func TestEveryFrameOfANodeInEveryState(t *testing.T) {
	head := headers(1, false, ":status: 200")
	for _, state := range []struct {
		id uint32
		stateCase
	}{
		{7, stateCase{"idle", nil, nil, []string{":status: 200"},
			map[string]string{"DATA": protocol, "HEADERS": protocol, "HEADERS that end": protocol, "RST_STREAM": protocol, "WINDOW_UPDATE": protocol}}},
		{2, stateCase{"pushed", nil, nil, []string{":status: 200"},
			map[string]string{"DATA": protocol, "HEADERS": protocol, "HEADERS that end": protocol, "RST_STREAM": protocol, "WINDOW_UPDATE": protocol}}},
		{1, stateCase{"open, before the head", nil, nil, []string{":status: 200"}, map[string]string{"DATA": "stream PROTOCOL_ERROR"}}},
		{1, stateCase{"open", [][]byte{head}, nil, []string{"a: b"}, map[string]string{"HEADERS": "stream PROTOCOL_ERROR"}}},
		{1, stateCase{"half closed (local)", [][]byte{head}, func(p *peer) { p.AppendData(nil, p.streams[1], nil, true) }, []string{"a: b"}, map[string]string{"HEADERS": "stream PROTOCOL_ERROR"}}},
		{1, stateCase{"half closed (remote)", [][]byte{headers(1, true, ":status: 200")}, nil, []string{"a: b"}, map[string]string{"DATA": closed, "HEADERS": closed, "HEADERS that end": closed}}},
		{1, stateCase{"closed", [][]byte{headers(1, true, ":status: 200")}, func(p *peer) { p.AppendData(nil, p.streams[1], nil, true) }, []string{"a: b"}, nil}},
		{1, stateCase{"reset by the node", [][]byte{frame(frameReset, 0, 1, u32(8)...)}, nil, []string{":status: 200"}, nil}},
		{1, stateCase{"reset by us", nil, func(p *peer) { p.AppendReset(nil, p.streams[1], Cancel) }, []string{":status: 200"}, nil}},
	} {
		t.Run(state.name, func(t *testing.T) {
			state.try(t, true, state.id)
		})
	}
}

// RFC 9113 §4.2, §6: every type of frame at the sizes around those that it can have.
func TestSizesOfFrames(t *testing.T) {
	const size, tooLarge = "connection FRAME_SIZE_ERROR", MaxFrame + 1
	for name, c := range map[string]struct {
		kind   frameType
		stream uint32
		want   map[int]string // by the size; what is not there is fine
	}{
		"DATA":          {frameData, 1, map[int]string{tooLarge: size}},
		"PRIORITY":      {framePriority, 1, map[int]string{0: "stream FRAME_SIZE_ERROR", 3: "stream FRAME_SIZE_ERROR", 4: "stream FRAME_SIZE_ERROR", 6: "stream FRAME_SIZE_ERROR", 7: "stream FRAME_SIZE_ERROR", 8: "stream FRAME_SIZE_ERROR", 9: "stream FRAME_SIZE_ERROR", MaxFrame: "stream FRAME_SIZE_ERROR", tooLarge: size}},
		"RST_STREAM":    {frameReset, 1, map[int]string{0: size, 3: size, 5: size, 6: size, 7: size, 8: size, 9: size, MaxFrame: size, tooLarge: size}},
		"SETTINGS":      {frameSettings, 0, map[int]string{3: size, 4: size, 5: size, 7: size, 8: size, 9: size, MaxFrame: size, tooLarge: size}},
		"PING":          {framePing, 0, map[int]string{0: size, 3: size, 4: size, 5: size, 6: size, 7: size, 9: size, MaxFrame: size, tooLarge: size}},
		"GOAWAY":        {frameGoAway, 0, map[int]string{0: size, 3: size, 4: size, 5: size, 6: size, 7: size, tooLarge: size}},
		"WINDOW_UPDATE": {frameWindow, 1, map[int]string{0: size, 3: size, 5: size, 6: size, 7: size, 8: size, 9: size, MaxFrame: size, tooLarge: size}},
		"extension":     {0x7f, 1, map[int]string{tooLarge: size}},
	} {
		for _, n := range []int{0, 3, 4, 5, 6, 7, 8, 9, MaxFrame, tooLarge} {
			payload := make([]byte, n)
			if n > 0 {
				payload[n-1] = 1 // no increment of 0, and no setting that says anything
			}
			if c.kind == frameSettings {
				clear(payload)
			}
			p := newPeer(false)
			in := opening(postRequest(1))
			said, _ := p.feed(in)
			if got := outcome(p, said, append(in, frame(c.kind, 0, c.stream, payload...)...)); got != c.want[n] {
				t.Errorf("%s of %d bytes: %q, want %q", name, n, got, c.want[n])
			}
		}
	}
}

// RFC 9113 §8.1: a trailer section has no pseudo-fields, and what else makes a head malformed makes it so.
func TestMalformedTrailersAreRefused(t *testing.T) {
	for field, rule := range map[string]error{
		":path: /": ErrPseudo, ":status: 200": ErrPseudo, ":method: GET": ErrPseudo, ":x: y": ErrPseudo, "X-End: 1": ErrName, "x end: 1": ErrName, "x: a\x00": ErrValue,
		"connection: close": ErrConnectionField, "transfer-encoding: chunked": ErrConnectionField, "te: gzip": ErrConnectionField, "upgrade: h2c": ErrConnectionField,
	} {
		expect(t, serve(t, opening(postRequest(1), headers(1, true, "a: b", field), getRequest(3))), "trailer 1 refused: "+rule.Error()+"\n", "request 3 end true: GET")
		expect(t, receive(t, bytes.Join([][]byte{settings(), headers(1, false, ":status: 200"), headers(1, true, "a: b", field), headers(3, true, ":status: 204")}, nil)),
			"trailer 1 refused: "+rule.Error()+"\n", "response 3 end true: 204")
	}
}
