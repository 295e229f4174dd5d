package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// turn is one rival's share of one round.
type turn struct {
	load
	UserNs   float64 `json:"user_ns_per_request"`
	SystemNs float64 `json:"system_ns_per_request"`
	RSS      int64   `json:"rss_bytes"` // at the end of the turn
}

func (t turn) cpuNs() float64 { return t.UserNs + t.SystemNs }

func aboutSmall(o *options) string {
	return fmt.Sprintf("a small GET over %d keep-alive connections, %d rounds of %s each", o.connections, o.rounds, o.duration)
}

// runSmall measures CPU per request. The rounds are interleaved, and start with another rival each time, so that nobody always
// has the turn after somebody else's.
func runSmall(ctx context.Context, h *harness, stdout io.Writer) (*record, error) {
	rec := newRecord("small", h)
	turns := map[string][]turn{}
	for _, r := range h.rivals {
		if _, err := takeTurn(ctx, h, r, time.Second); err != nil { // warms up pools, caches and heaps
			return nil, err
		}
	}
	for round := range h.opt.rounds {
		for i := range h.rivals {
			r := h.rivals[(round+i)%len(h.rivals)]
			fmt.Fprintf(h.log, "round %d of %d: %s\n", round+1, h.opt.rounds, r.name)
			t, err := takeTurn(ctx, h, r, h.opt.duration)
			if err != nil {
				return nil, err
			}
			for _, e := range t.Errors {
				rec.fail("%s, round %d: %s", r.name, round+1, e)
			}
			turns[r.name] = append(turns[r.name], *t)
		}
	}
	for name, t := range turns {
		rec.Result[name] = t
	}
	summary := summarize(h.rivals, turns)
	if err := smallTable(summary).write(stdout); err != nil {
		return rec, err
	}
	judge(rec, summary, h.opt.maxRatio)
	return rec, rec.err()
}

// takeTurn loads one rival and takes its CPU time before and after. An answer that is not the origin's is a wrong one, however
// fast: the origin must have counted each.
func takeTurn(ctx context.Context, h *harness, r *rival, d time.Duration) (*turn, error) {
	if err := expectSmall(ctx, r); err != nil {
		return nil, err
	}
	counted, err := h.originCount(ctx)
	if err != nil {
		return nil, err
	}
	before, err := readCPU(r.worker)
	if err != nil {
		return nil, err
	}
	l, err := runWrk(ctx, r.url(smallPath), h.opt.connections, d)
	if err != nil {
		return nil, err
	}
	after, err := readCPU(r.worker)
	if err != nil {
		return nil, err
	}
	if err := expectSmall(ctx, r); err != nil {
		return nil, err
	}
	recounted, err := h.originCount(ctx)
	if err != nil {
		return nil, err
	}
	if l.Requests == 0 {
		return nil, fmt.Errorf("%s: no request was answered", r.name)
	}
	if came := recounted - counted; came < l.Requests {
		l.Errors = append(l.Errors, fmt.Sprintf("%d answers, but only %d requests reached the origin", l.Requests, came))
	}
	mem, err := readMemory(r.worker)
	if err != nil {
		return nil, err
	}
	used := after.sub(before)
	n := float64(l.Requests)
	return &turn{load: *l, UserNs: float64(used.User) / n, SystemNs: float64(used.System) / n, RSS: mem.RSS}, nil
}
