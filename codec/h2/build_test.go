package h2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"sluice/codec"
	"sluice/codec/codectest"
)

// Frames as a peer may write them, right or wrong.

func frame(kind frameType, flags byte, stream uint32, payload ...byte) []byte {
	return append(appendFrameHeader(nil, len(payload), kind, flags, stream), payload...)
}

func settings(pairs ...uint32) []byte {
	var p []byte
	for i := 0; i+1 < len(pairs); i += 2 {
		p = appendSetting(p, setting(pairs[i]), pairs[i+1])
	}
	return frame(frameSettings, 0, 0, p...)
}

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// block compresses fields, "name: value" each, as another implementation does.
func packed(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range fields {
		i := strings.Index(f[1:], ": ") + 1
		_ = e.WriteField(hpack.HeaderField{Name: f[:i], Value: f[i+2:]})
	}
	return b.Bytes()
}

func headers(stream uint32, ended bool, fields ...string) []byte {
	flags := byte(flagEndHeaders)
	if ended {
		flags |= flagEndStream
	}
	return frame(frameHeaders, flags, stream, packed(fields...)...)
}

func data(stream uint32, ended bool, p string) []byte {
	var flags byte
	if ended {
		flags = flagEndStream
	}
	return frame(frameData, flags, stream, []byte(p)...)
}

var request = []string{":method: GET", ":scheme: http", ":path: /a?b", ":authority: example.com"}

func with(base []string, more ...string) []string {
	return append(append([]string(nil), base...), more...)
}

// get is a request without a body.
func getRequest(stream uint32, more ...string) []byte {
	return headers(stream, true, with(request, more...)...)
}

// post is the head of one with a body.
func postRequest(stream uint32, more ...string) []byte {
	return headers(stream, false, with([]string{":method: POST", ":scheme: http", ":path: /", ":authority: a"}, more...)...)
}

// opening is what a client's side begins with.
func opening(frames ...[]byte) []byte {
	return append(append([]byte(Preface), settings()...), bytes.Join(frames, nil)...)
}

// peer runs a connection over bytes and writes down what comes of them.
type peer struct {
	Conn
	method  codec.Method
	out     strings.Builder
	at      int // taken of the input
	err     error
	streams map[uint32]*Stream
	run     []byte // data of one stream, joined: how they were cut does not matter
	runID   uint32
}

func newPeer(client bool) *peer {
	p := &peer{method: codec.MethodGet, streams: map[uint32]*Stream{}}
	p.Reset(Options{Client: client, StreamWindow: defaultWindow, ConnWindow: 4 * defaultWindow, Connect: true, MaxBlock: 128 << 10})
	if client {
		for range 3 {
			s := new(Stream)
			p.OpenNext(s)
			p.streams[s.ID] = s
		}
	}
	return p
}

// feed gives the connection a beginning of the input that is longer than the one before.
func (p *peer) feed(buf []byte) (outcome string, done bool) {
	for p.err == nil {
		ev, n, err := p.Next(buf[p.at:])
		if err != nil {
			p.endRun()
			p.err = err
			fmt.Fprintf(&p.out, "error: %v\n", err)
			break
		}
		if n == 0 {
			break
		}
		p.at += n
		p.note(&ev)
		p.control()
	}
	return p.out.String() + p.tail(), p.err != nil
}

// tail is the run of data that has not ended yet.
func (p *peer) tail() string {
	if len(p.run) == 0 {
		return ""
	}
	return fmt.Sprintf("data %d: %q\n", p.runID, p.run)
}

func (p *peer) endRun() {
	p.out.WriteString(p.tail())
	p.run = p.run[:0]
}

// control notes what the protocol owes, frame by frame.
func (p *peer) control() {
	for b := p.Control(); len(b) > 0; {
		h := frameHeader(b)
		p.endRun()
		fmt.Fprintf(&p.out, "< type %d flags %d stream %d: %x\n", h.kind(), h.flags(), h.stream(), b[frameHeaderLen:frameHeaderLen+h.length()])
		b = b[frameHeaderLen+h.length():]
	}
}

func (p *peer) note(ev *Event) {
	if ev.Kind != EventData && ev.Kind != EventNone || ev.End {
		defer p.endRun()
	}
	lim := codec.DefaultLimits()
	switch ev.Kind {
	case EventOpen:
		s := new(Stream)
		p.Open(s, ev.ID, ev.End)
		p.streams[ev.ID] = s
		var req codec.Request
		_, err := p.ReadRequest(nil, &req, ev.End, &lim)
		if err == nil {
			p.Expect(s, req.Framing)
		}
		p.message(fmt.Sprintf("request %d end %v: %s %s host %s framing %v", ev.ID, ev.End, req.MethodBytes(), req.Target(), req.Host(), req.Framing), &req.Header, err)
	case EventHead:
		var resp codec.Response
		_, err := p.ReadResponse(nil, ev.Stream, &resp, p.method, ev.End, &lim)
		p.message(fmt.Sprintf("response %d end %v: %d framing %v", ev.ID, ev.End, resp.Status, resp.Framing), &resp.Header, err)
	case EventTrailer:
		var h codec.Header
		_, err := p.ReadTrailer(nil, &h, &lim)
		p.message(fmt.Sprintf("trailer %d", ev.ID), &h, err)
	case EventData:
		if ev.ID != p.runID {
			p.endRun()
		}
		p.run, p.runID = append(p.run, ev.Data...), ev.ID
		p.CreditConn(len(ev.Data))
		p.CreditStream(ev.Stream, len(ev.Data))
		if ev.End {
			p.endRun()
			fmt.Fprintf(&p.out, "end %d\n", ev.ID)
		}
	case EventReset:
		fmt.Fprintf(&p.out, "reset %d: %v %v\n", ev.ID, ev.Code, ev.Err)
	case EventWindow:
		fmt.Fprintf(&p.out, "window %d\n", ev.ID)
	case EventGoAway:
		fmt.Fprintf(&p.out, "go away above %d: %v\n", ev.ID, ev.Code)
	case EventSettings:
		p.out.WriteString("settings\n")
	}
}

func (p *peer) message(line string, h *codec.Header, err error) {
	p.endRun()
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			p.err = err
		}
		fmt.Fprintf(&p.out, "%s refused: %v\n", strings.SplitN(line, ":", 2)[0], err)
		return
	}
	p.out.WriteString(line + "\n")
	for i := range h.Len() {
		if !h.Removed(i) {
			fmt.Fprintf(&p.out, "  %s: %s\n", h.Name(i), h.Value(i))
		}
	}
}

// serve runs a server's side over in, under every split, and returns what came of it.
func serve(t testing.TB, in []byte) string {
	t.Helper()
	return codectest.Splits(t, in, func() codectest.Run { return newPeer(false).feed })
}

// receive runs a client's side with streams 1, 3 and 5 open over in.
func receive(t testing.TB, in []byte) string {
	t.Helper()
	return codectest.Splits(t, in, func() codectest.Run { return newPeer(true).feed })
}

// whole runs a server's side over in once, where a split of every kind would take too long.
func whole(in []byte) (outcome string, err error) {
	p := newPeer(false)
	outcome, _ = p.feed(in)
	return outcome, p.err
}
