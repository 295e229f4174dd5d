package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	fewDescriptors = 192 // of the gateway: its own and room for some eighty exchanges; the embedded store wants more than 150
	exhausting     = 400 // connections that are opened
)

// exhaustion has more clients connect than the gateway has descriptors for. Those that have had their answer and rest give way to those that wait in the
// kernel's queue; what has been accepted and cannot be passed on is refused with an answer of the contract; and once they are gone, all is well again.
func exhaustion(ctx context.Context, h *harness, r *report) error {
	g, o, err := startPair(ctx, h, h.abuseConf(), fewDescriptors, "chaos", "500ms")
	if err != nil {
		return err
	}
	defer g.close(ctx, r)
	defer o.close()
	before, err := g.look(ctx)
	if err != nil {
		return err
	}
	h.say("%d clients, %d descriptors", exhausting, fewDescriptors)
	d := &dialer{addr: g.addr}
	seen := &sightings{own: make(map[string]int64)}
	conns, unserved := exhaust(ctx, d, seen, h.size.patience)
	seen.judgeExhausted(r, unserved)
	m, err := g.scrape(ctx)
	if err != nil {
		closeAll(conns)
		return err
	}
	r.must(m[acceptErrors] > 0, "accepts that failed for want of descriptors", fmt.Sprint(m[acceptErrors]), "> 0, counted")
	gone := m[`sluice_connections_shed_total{reason="descriptors"}`]
	r.must(gone > 0, "idle clients that gave way", fmt.Sprint(gone), "> 0, counted")
	closeAll(conns)
	took, err := recovered(ctx, d)
	r.must(err == nil, "recovers when they are gone", orError(took.Round(time.Millisecond).String(), err),
		fmt.Sprintf("%d right answers in a row within %v", recoverRuns, recoverTime))
	g.awaitBack(ctx, r, before)
	return nil
}

// exhaust opens the connections, asks on each, and returns them all open, with the number of those that got no answer.
func exhaust(ctx context.Context, d *dialer, seen *sightings, patience time.Duration) (conns []net.Conn, unserved int) {
	var mu sync.Mutex // guards the results
	var wg sync.WaitGroup
	for i := range exhausting {
		wg.Go(func() {
			c, err := d.dial(ctx)
			if err != nil {
				seen.fault(err)
				return
			}
			q := &question{path: "/chaos/echo", id: fmt.Sprintf("exhaust%d", i)}
			a, err := askWithin(c, q, patience)
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			if err != nil && (isTimeout(err) || errors.Is(err, errNothing)) {
				mu.Lock()
				unserved++
				mu.Unlock()
				return
			}
			seen.note(q, a, err)
		})
	}
	wg.Wait()
	return conns, unserved
}

// askWithin is ask with a time of its own.
func askWithin(c net.Conn, q *question, d time.Duration) (*answer, error) {
	if err := c.SetDeadline(time.Now().Add(d)); err != nil {
		return nil, err
	}
	if _, err := c.Write(q.append(nil)); err != nil {
		return nil, err
	}
	return readAnswer(bufio.NewReader(c))
}

func (s *sightings) judgeExhausted(r *report, unserved int) {
	r.note("out of descriptors, right answers", fmt.Sprint(s.right.Load()))
	r.note("out of descriptors, the gateway's own answers", s.ownList())
	r.note("out of descriptors, kept waiting or closed", fmt.Sprint(unserved))
	r.must(s.broken.Load() == 0, "out of descriptors, anything else", firstOf(s.broken.Load(), s.worst), "0")
}
