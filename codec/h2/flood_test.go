package h2

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sluice/codec"
)

// flood repeats frames until the connection has had enough of them, and returns after how many rounds that was.
func flood(t *testing.T, start []byte, round func(i uint32) []byte) (rounds int, err error) {
	t.Helper()
	p := newPeer(false)
	in := bytes.Clone(start)
	p.feed(in)
	for i := range uint32(20_000) {
		p.at = 0
		p.out.Reset()
		if _, done := p.feed(round(i)); done {
			return int(i), p.err
		}
		for id, s := range p.streams {
			if s.Ended() {
				delete(p.streams, id)
			}
		}
	}
	t.Fatal("it goes on for ever")
	return 0, nil
}

// Every flood ends after a bounded number of frames with ENHANCE_YOUR_CALM (RFC 9113 §10.5).
func TestFloodsAreCutShort(t *testing.T) {
	for name, c := range map[string]struct {
		rule  *Error
		most  int
		start []byte
		round func(i uint32) []byte
	}{
		"CVE-2019-9512 ping":                {ErrCalm, calmMost, opening(), func(uint32) []byte { return frame(framePing, 0, 0, make([]byte, 8)...) }},
		"CVE-2019-9513 priority":            {ErrCalm, calmMost, opening(), func(i uint32) []byte { return frame(framePriority, 0, 2*i+1, 0, 0, 0, 0, byte(i)) }},
		"CVE-2019-9515 settings":            {ErrCalm, calmMost, opening(), func(i uint32) []byte { return settings(4, i) }},
		"CVE-2019-9518 empty data":          {ErrCalm, calmMost, opening(postRequest(1)), func(uint32) []byte { return data(1, false, "") }},
		"CVE-2019-9518 padding alone":       {ErrCalm, calmMost, opening(postRequest(1)), func(uint32) []byte { return frame(frameData, flagPadded, 1, 0) }},
		"CVE-2019-9511 windows of one byte": {ErrCalm, calmMost, opening(getRequest(1)), func(uint32) []byte { return frame(frameWindow, 0, 1, u32(1)...) }},
		"CVE-2019-9517 windows alone":       {ErrCalm, calmMost, opening(getRequest(1)), func(uint32) []byte { return frame(frameWindow, 0, 0, u32(1)...) }},
		"frames of unknown types":           {ErrCalm, calmMost, opening(), func(uint32) []byte { return frame(0x42, 0, 0, 1, 2, 3) }},
		"CVE-2023-44487 rapid reset": {ErrResets, resetsFull, opening(), func(i uint32) []byte {
			return append(getRequest(2*i+1), frame(frameReset, 0, 2*i+1, u32(8)...)...)
		}},
		"CVE-2025-8671 made to reset": {ErrResets, resetsFull, opening(), func(i uint32) []byte {
			return append(getRequest(2*i+1), frame(frameWindow, 0, 2*i+1, u32(0)...)...)
		}},
		"CVE-2025-8671 data behind the end": {ErrResets, resetsFull, opening(), func(i uint32) []byte {
			return append(getRequest(2*i+1), data(2*i+1, false, strings.Repeat("x", 600))...)
		}},
		"CVE-2019-9514 streams that depend on themselves": {ErrResets, resetsFull, opening(), func(i uint32) []byte {
			return frame(frameHeaders, flagPriority|flagEndHeaders, 2*i+1, append(append(u32(2*i+1), 5), packed(request...)...)...)
		}},
		"streams beyond the limit": {ErrResets, MaxStreams + resetsFull, opening(), func(i uint32) []byte { return postRequest(2*i + 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			rounds, err := flood(t, c.start, c.round)
			if err != c.rule || rounds > c.most+1 {
				t.Errorf("%v after %d rounds, want %v after at most %d", err, rounds, c.rule, c.most)
			}
		})
	}
}

// CVE-2024-27316 and its kin: CONTINUATION without an end, with and without bytes in them.
func TestEndlessHeaderBlocksAreCutShort(t *testing.T) {
	for name, p := range map[string][]byte{"empty": nil, "a byte": {0x82}, "full": bytes.Repeat([]byte{0x82}, MaxFrame)} {
		in := opening(frame(frameHeaders, 0, 1, packed(request...)...))
		rounds, err := flood(t, in, func(uint32) []byte { return frame(frameContinuation, 0, 1, p...) })
		if err != ErrBlockTooLarge || rounds > maxContinuations {
			t.Errorf("%s: %v after %d", name, err, rounds)
		}
	}
}

// CVE-2016-6581, an HPACK bomb: one large entry of the dynamic table, and a byte for each time it is to be read. What is beyond the limit is neither copied nor
// kept, so that a block costs what its bytes cost.
func TestACompressionBombIsRefusedEarly(t *testing.T) {
	big := append([]byte{0x40, 1, 'b', 0x7f, 0x80 | (4000-127)&0x7f, (4000 - 127) >> 7}, bytes.Repeat([]byte("x"), 4000)...)
	bomb := append(append(packed(request...), big...), bytes.Repeat([]byte{0x80 | 62}, MaxFrame-5000)...)
	in := opening(frame(frameHeaders, flagEndHeaders|flagEndStream, 1, bomb...), getRequest(3))
	p := newPeer(false)
	start := time.Now()
	got, _ := p.feed(in)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	expect(t, got, "request 1 end true refused: "+ErrFieldsTooLarge.Text, "request 3 end true: GET")

	var req codec.Request
	lim := codec.DefaultLimits()
	p = newPeer(false)
	p.feed(opening())
	block := frame(frameHeaders, flagEndHeaders|flagEndStream, 1, bomb...)
	if ev, _, err := p.Next(block); ev.Kind != EventOpen || err != nil {
		t.Fatal(ev, err)
	}
	lines, _ := p.ReadRequest(nil, &req, true, &lim)
	if len(lines) > lim.Headers+lim.RequestLine+2*tableSize {
		t.Errorf("%d bytes were kept of a bomb", len(lines))
	}
}

// A quiet connection may ping for ever: the owner fills the account up as time passes.
func TestPingsNowAndThenAreFine(t *testing.T) {
	p := newPeer(false)
	p.feed(opening())
	for range 100 {
		for range calmFull / 2 {
			p.at = 0
			p.out.Reset()
			if got, done := p.feed(frame(framePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)); done || got != "< type 6 flags 1 stream 0: 0102030405060708\n" {
				t.Fatal(got)
			}
		}
		p.Refill()
	}
}

// Data that come in small pieces, since windows are opened by a few bytes at a time, pay for no update (CVE-2019-9511).
func TestADribbleOfDataDoesNotPayForItsWindowUpdates(t *testing.T) {
	p := newPeer(false)
	p.feed(opening(getRequest(1)))
	for range calmMost + 1 {
		p.AppendDataHeader(nil, p.streams[1], updateWorth-1, false)
		p.at = 0
		if _, done := p.feed(frame(frameWindow, 0, 1, u32(updateWorth-1)...)); done {
			if p.err != ErrCalm {
				t.Error(p.err)
			}
			return
		}
		p.out.Reset()
	}
	t.Error("it goes on for ever")
}

// Data pay for the updates of the windows that they have taken up, and for no flood of anything else.
func TestADownloadDoesNotPayForOtherFloods(t *testing.T) {
	for name, other := range map[string][]byte{"PING": frame(framePing, 0, 0, make([]byte, 8)...), "SETTINGS": settings(4, 1), "PRIORITY": frame(framePriority, 0, 3, 0, 0, 0, 0, 1)} {
		p := newPeer(false)
		p.feed(opening(getRequest(1), frame(frameWindow, 0, 0, u32(1<<30)...), frame(frameWindow, 0, 1, u32(1<<30)...)))
		rounds := 0
		for done := false; !done && rounds <= calmMost; rounds++ {
			p.AppendDataHeader(nil, p.streams[1], MaxFrame, false)
			p.at = 0
			_, done = p.feed(bytes.Repeat(other, 4))
			p.out.Reset()
		}
		if p.err != ErrCalm {
			t.Errorf("%s, four for each frame of data: %v after %d frames", name, p.err, rounds)
		}
	}
}

// A download of which the client reads every frame, and updates both windows for it, is work, also where windows that are given back bit by bit have made the frames small.
func TestWindowUpdatesOfADownloadAreFine(t *testing.T) {
	for _, size := range []int{2 * updateWorth, usefulData, 1000} {
		p := newPeer(false)
		p.feed(opening(getRequest(1)))
		for range 5000 {
			p.AppendDataHeader(nil, p.streams[1], size, false)
			p.at = 0
			if got, done := p.feed(append(frame(frameWindow, 0, 0, u32(uint32(size))...), frame(frameWindow, 0, 1, u32(uint32(size))...)...)); done {
				t.Fatalf("frames of %d: %s", size, got)
			}
			p.out.Reset()
		}
	}
}

// Clients that give up some of their requests are no attackers.
func TestResetsAmongAnswersAreFine(t *testing.T) {
	p := newPeer(false)
	p.feed(opening())
	var resp codec.Response
	resp.Reset(nil)
	resp.Status = 200
	for i := range uint32(3000) {
		id := 2*i + 1
		p.at = 0
		in := getRequest(id)
		if i%2 == 1 {
			in = append(in, frame(frameReset, 0, id, u32(8)...)...)
		}
		if got, done := p.feed(in); done {
			t.Fatal(got)
		}
		if i%2 == 0 {
			p.AppendResponseHead(nil, p.streams[id], &resp, true)
		}
		delete(p.streams, id)
		p.out.Reset()
	}
}

// Who has its answer before all of its request was sent may give up the rest.
func TestResetsBehindAnswersAreFine(t *testing.T) {
	p := newPeer(false)
	p.feed(opening())
	var resp codec.Response
	resp.Reset(nil)
	resp.Status = 404
	for i := range uint32(3000) {
		id := 2*i + 1
		p.at = 0
		if got, done := p.feed(postRequest(id)); done {
			t.Fatal(got)
		}
		p.AppendResponseHead(nil, p.streams[id], &resp, true)
		p.at = 0
		if got, done := p.feed(frame(frameReset, 0, id, u32(0)...)); done {
			t.Fatal(got)
		}
		delete(p.streams, id)
		p.out.Reset()
	}
}

// A client that streams small messages, as gRPC does for hours, is no attacker.
func TestStreamingSmallMessagesIsFine(t *testing.T) {
	p := newPeer(false)
	p.feed(opening(postRequest(1)))
	for range 20_000 {
		p.at = 0
		if got, done := p.feed(data(1, false, "a small message")); done {
			t.Fatal(got)
		}
		p.out.Reset()
		p.run = p.run[:0]
	}
}

// Many calls that are given up at once, since their clients are gone, are no fault of the node, whose answers to them are under way (RFC 9113 §5.1).
func TestAnswersToAnyNumberOfCancelledCallsAreIgnored(t *testing.T) {
	p := newPeer(true)
	p.feed(settings())
	var answers []byte
	for range 10 * MaxStreams {
		s := new(Stream)
		p.OpenNext(s)
		p.AppendReset(nil, s, Cancel)
		answers = append(answers, headers(s.ID, false, ":status: 200")...)
		answers = append(answers, data(s.ID, false, "x")...)
		answers = append(answers, headers(s.ID, true, "grpc-status: 0")...)
		answers = append(answers, frame(frameReset, 0, s.ID, u32(0)...)...)
	}
	p.at = 0
	p.out.Reset()
	if got, done := p.feed(append(answers, headers(1, true, ":status: 200")...)); done || !strings.Contains(got, "response 1 end true") {
		t.Error(got)
	}
}

// Of a stream that ends in the frame that ends the connection, too, nobody hears: it stays, so that its owner finds it.
func TestAStreamStaysWithAConnectionThatItEnds(t *testing.T) {
	for name, c := range map[string]struct {
		rule  *Error
		start []byte
		last  []byte
	}{
		"reset":                   {ErrResets, getRequest(1), frame(frameReset, 0, 1, u32(8)...)},
		"window update of 0":      {ErrResets, getRequest(1), frame(frameWindow, 0, 1, u32(0)...)},
		"data behind the end":     {ErrResets, getRequest(1), data(1, true, "x")},
		"data beyond the length":  {ErrResets, postRequest(1, "content-length: 1"), data(1, true, "no")},
		"trailer without an end":  {ErrResets, postRequest(1), headers(1, false, "a: b")},
		"nothing behind it":       {ErrCalm, getRequest(1), data(1, false, "")},
		"trailer that is no code": {ErrCompression, postRequest(1), frame(frameHeaders, flagEndHeaders, 1, 0x80)},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(false)
			p.feed(opening(c.start))
			switch c.rule {
			case ErrCalm:
				p.calm = 0
			case ErrResets:
				p.resets = 0
			}
			p.at = 0
			if got, _ := p.feed(c.last); p.err != c.rule || strings.Contains(got, "reset 1") {
				t.Errorf("%v after %q", p.err, got)
			}
			found := false
			p.Each(func(s *Stream) { found = found || s == p.streams[1] })
			if !found || p.streams[1].Ended() {
				t.Error("the stream is gone, and nobody has heard of it")
			}
		})
	}
}
