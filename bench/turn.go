package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// turn is one rival's share of one round.
type turn struct {
	load
	UserNs      float64  `json:"user_ns_per_request"`
	SystemNs    float64  `json:"system_ns_per_request"`
	Voluntary   float64  `json:"voluntary_switches_per_request"`
	Involuntary float64  `json:"involuntary_switches_per_request"`
	Changes     float64  `json:"changes_per_second,omitempty"` // of routes, that were acknowledged
	RSS         int64    `json:"rss_bytes"`                    // at the end of the turn
	Heap        *heapUse `json:"heap,omitempty"`               // of a program in Go that tells
}

func (t turn) cpuNs() float64 { return t.UserNs + t.SystemNs }

// seconds is how long it took.
func (t turn) seconds() float64 { return float64(t.Requests) / t.Rate }

// takeTurn loads one rival, at a rate per second or, where that is 0, as fast as answers come, and takes its CPU time before and after. An
// answer that is not the origin's is a wrong one, however fast: the origin must have counted each.
func takeTurn(ctx context.Context, h *harness, r *rival, j job, perSecond float64, d time.Duration) (*turn, error) {
	if err := expectAnswer(ctx, r, j); err != nil {
		return nil, err
	}
	counted, err := h.originCount(ctx, j)
	if err != nil {
		return nil, err
	}
	heap, err := readHeap(ctx, r)
	if err != nil {
		return nil, err
	}
	before, err := readUsage(r.workers)
	if err != nil {
		return nil, err
	}
	profile := h.startProfile(ctx, r, d)
	changing, err := startChurn(ctx, h, r, j)
	if err != nil {
		return nil, err
	}
	l, err := h.generate(ctx, r, j, perSecond, d)
	changes, failed := changing.stop()
	if err = errors.Join(err, failed, profile.wait()); err != nil {
		return nil, err
	}
	if changing != nil {
		fmt.Fprintf(h.log, "%s: %.0f changes a second\n", r.name, changes)
	}
	after, err := readUsage(r.workers)
	if err != nil {
		return nil, err
	}
	heapAfter, err := readHeap(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := expectAnswer(ctx, r, j); err != nil {
		return nil, err
	}
	recounted, err := h.originCount(ctx, j)
	if err != nil {
		return nil, err
	}
	if changing != nil {
		l.Errors = append(l.Errors, kept(j.changes, changes)...)
	}
	if l.Requests == 0 {
		return nil, fmt.Errorf("%s: no request was answered", r.name)
	}
	if came := recounted - counted; came < l.Requests {
		l.Errors = append(l.Errors, fmt.Sprintf("%d answers, but only %d requests reached the origin", l.Requests, came))
	}
	mem, err := readMemory(r.workers)
	if err != nil {
		return nil, err
	}
	used := after.sub(before)
	n := float64(l.Requests)
	return &turn{
		load: *l, UserNs: float64(used.User) / n, SystemNs: float64(used.System) / n,
		Voluntary: float64(used.switches.Voluntary) / n, Involuntary: float64(used.switches.Involuntary) / n,
		Changes: changes, RSS: mem.RSS, Heap: heapAfter.since(heap, n),
	}, nil
}

// generate makes the load.
func (h *harness) generate(ctx context.Context, r *rival, j job, perSecond float64, d time.Duration) (*load, error) {
	if j.handshake != handshakeNone {
		return runHandshakes(ctx, r.host(), r.setup.asked(j.path), j, d)
	}
	if perSecond > 0 {
		return runOpenLoop(ctx, r.host(), r.setup.asked(j.path), j, perSecond, d)
	}
	if j.pipeline > 1 {
		return runPipeline(ctx, r.host(), r.setup.asked(j.path), j, d)
	}
	if j.grpc && !j.h2load {
		return runGRPC(ctx, r.hostHTTP2(), j, d)
	}
	if j.streams > 0 {
		return runH2load(ctx, h.dir, r.urlHTTP2(j.path), j, d)
	}
	return runWrk(ctx, h.dir, r.url(j.path), j, d)
}
