package proxy

import (
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"sluice/codec/h2"
	"sluice/internal/unit"
	"sluice/plugin"
)

// deafFlood has a client ask for more bodiless answers than the kernel holds, before it reads any. It returns when the gateway has stopped reading.
func deafFlood(t *testing.T, change func(*TimeoutsConfig)) (g *gateway, p *peerH2, streams int) {
	t.Helper()
	streams = 1000
	answer := &plugin.Reply{Status: 204, Headers: []plugin.ReplyHeader{{Name: "X-Pad", Value: strings.Repeat("~", 12<<10)}}}
	g = newGateway(t, nil, withClock(), withTimeouts(change), withLimits(func(c *LimitsConfig) { c.Pipeline = 1000 }), withPlugin(0, &responder{answer}))
	p = g.dialH2(t)
	_ = p.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	g.await(t, "the settings to be acknowledged", func(w *worker) bool { return w.firstH2().codec.Acknowledged() })
	head := []byte("\x82\x86\x84\x01\x01a")
	var all []byte
	for range streams {
		s := new(h2.Stream)
		p.codec.OpenNext(s)
		all = append(all, 0, 0, byte(len(head)), 1, 5)
		all = append(binary.BigEndian.AppendUint32(all, s.ID), head...)
	}
	p.say(all[:5])
	g.await(t, "a part of a frame", func(w *worker) bool { return w.firstH2().frame.Armed() })
	p.say(all[5:])
	g.await(t, "the gateway to stop reading", func(w *worker) bool { return w.firstH2().conn.IsPaused() })
	return g, p, streams
}

// A client that asks and does not read costs what a slow one does, also where its answers have no bodies that a window would bound.
func TestAClientThatDoesNotReadIsNotReadEither(t *testing.T) {
	g, p, streams := deafFlood(t, func(c *TimeoutsConfig) { c.Send = unit.Duration(time.Hour) })
	bounded := func(w *worker) bool { return w.firstH2().conn.Queued() <= 64<<10+13<<10 } // the high mark, and an answer
	g.pass(t, 11*time.Second)                                                             // the frame that was begun before is not late: it has come, or waits in the kernel
	p.until("all answers", func() bool {
		if !g.onLoop(bounded) {
			t.Fatal("too much waits for the client")
		}
		return len(p.ended) == streams
	})
	if p.gone != nil {
		t.Error(p.heard.String()[p.heard.Len()-100:])
	}
}

// timeouts.send holds for such a client, too.
func TestAClientThatAsksAndNeverReadsIsReset(t *testing.T) {
	g, p, streams := deafFlood(t, func(c *TimeoutsConfig) { c.KeepAlive = unit.Duration(1000 * time.Hour) })
	g.await(t, "the connection to end", func(w *worker) bool {
		g.clock.ns.Add(int64(11 * time.Second)) // what the kernel still takes counts as taken, so that it may need some rounds
		return w.sessions == nil
	})
	if err := p.end(); err == nil || p.gone != nil || len(p.ended) == streams {
		t.Errorf("%v after %d answers", err, len(p.ended))
	}
}
