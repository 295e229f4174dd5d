package proxy

import (
	"bytes"
	"testing"

	"sluice/codec"
	"sluice/core/event"
)

// What is kept of a request's body for another try takes as much memory as it needs: a thousand streams may each keep one.
func TestTheMemoryOfAKeptBodyFollowsItsSize(t *testing.T) {
	loop, err := event.NewLoop(event.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { // a loop gives its descriptors back when it has run
		loop.Stop()
		done := make(chan error)
		go func() { done <- loop.Run() }()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for name, c := range map[string]struct {
		framing codec.Framing
		piece   int
		pieces  int
		most    int // capacity
	}{
		"a small message":           {codec.Framing{Kind: codec.BodyStream}, 64, 1, 1 << 10},
		"one in many pieces":        {codec.Framing{Kind: codec.BodyStream}, 100, 100, 16 << 10},
		"a length that was told":    {codec.Framing{Kind: codec.BodyLength, Length: 3000}, 1000, 3, 4 << 10},
		"as much as is kept":        {codec.Framing{Kind: codec.BodyStream}, 1 << 10, 64, replayMax},
		"a length beyond the bound": {codec.Framing{Kind: codec.BodyLength, Length: 1 << 30}, 64, 1, 1 << 10},
	} {
		x := &Exchange{worker: &worker{loop: loop}, state: stateTrying}
		x.req.Framing = c.framing
		var sent []byte
		for i := range c.pieces {
			p := bytes.Repeat([]byte{byte('a' + i%26)}, c.piece)
			sent = append(sent, p...)
			x.keepForReplay(p)
		}
		if x.replayLost || !bytes.Equal(x.replay, sent) || cap(x.replay) > c.most {
			t.Errorf("%s: lost %v, %d of %d bytes in %d, at most %d", name, x.replayLost, len(x.replay), len(sent), cap(x.replay), c.most)
		}
		x.keepForReplay(make([]byte, replayMax+1-len(sent)))
		if !x.replayLost || x.replay != nil || loop.Lent() != 0 {
			t.Errorf("%s: beyond the bound: lost %v, %d bytes kept, %d buffers out", name, x.replayLost, len(x.replay), loop.Lent())
		}
	}
}
