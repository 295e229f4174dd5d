package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

func aboutSyscalls(o *options) string {
	return fmt.Sprintf("system calls per request over %d connections, counted by strace for %s a row", o.connections, o.duration)
}

// syscallResult is one rival's system calls under load.
type syscallResult struct {
	Requests int64            `json:"requests"`
	Calls    map[string]int64 `json:"calls"`
}

func (r syscallResult) perRequest(name string) float64 {
	return float64(r.Calls[name]) / float64(r.Requests)
}

func (r syscallResult) total() float64 {
	var n int64
	for _, c := range r.Calls {
		n += c
	}
	return float64(n) / float64(r.Requests)
}

// most returns the calls that are made most, in words.
func (r syscallResult) most() string {
	var names []string
	for name := range r.Calls {
		if r.perRequest(name) >= 0.01 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := r.Calls[b] - r.Calls[a]; d != 0 {
			return int(max(-1, min(1, d)))
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %.2f", name, r.perRequest(name))
	}
	return strings.Join(names, ", ")
}

// syscallJobs are the loads that are traced.
func syscallJobs(o *options) []variant {
	fresh := smallJob(o.connections)
	fresh.fresh = true
	const body = 16 << 10
	return []variant{
		{name: "small", job: smallJob(o.connections)},
		{name: "new connection", job: fresh},
		{name: sizeName(body) + " down", job: job{path: bodyPath(body), size: body, connections: o.connections}},
		{name: sizeName(body) + " up", job: job{path: sinkPath, upload: body, connections: o.connections}},
	}
}

// runSyscalls counts every thread of the process. A traced program is several times slower, so more of its connections are
// ready at each wait than in real life; only calls per event are much the same.
func runSyscalls(ctx context.Context, h *harness) (*record, error) {
	rec := newRecord("syscalls")
	if err := h.use(ctx, setup{}); err != nil {
		return rec, err
	}
	rec.addRivals(h.rivals)
	for _, v := range syscallJobs(h.opt) {
		for _, r := range h.rivals {
			fmt.Fprintf(h.log, "system calls: %s, %s\n", v.name, r.name)
			res, err := measureSyscalls(ctx, h, r, v.job)
			if err == nil {
				err = rec.add(r.name, v.name, res)
			}
			if err != nil {
				return rec, fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	return rec, nil
}

func presentSyscalls(rec *record) error {
	t := &table{text: true}
	t.add("", "calls/request", "of them")
	for _, variant := range rec.Variants {
		results, err := resultsOf[syscallResult](rec, variant)
		if err != nil {
			return err
		}
		for _, name := range rec.Rivals {
			if res := results[name]; res != nil {
				t.add(variant+", "+name, fmt.Sprintf("%.2f", res.total()), res.most())
			}
		}
	}
	rec.tables = []*table{t}
	return nil
}

func measureSyscalls(ctx context.Context, h *harness, r *rival, j job) (*syscallResult, error) {
	if err := expectAnswer(ctx, r, j); err != nil {
		return nil, err
	}
	tr, err := startTrace(ctx, h, r)
	if err != nil {
		return nil, err
	}
	l, err := runWrk(ctx, h.dir, r.url(j.path), j, h.opt.duration)
	calls, traceErr := tr.finish()
	switch {
	case err != nil:
		return nil, err
	case traceErr != nil:
		return nil, traceErr
	case l.Requests == 0:
		return nil, fmt.Errorf("no request was answered")
	case len(l.Errors) > 0:
		return nil, fmt.Errorf("%w: %s", errResult, strings.Join(l.Errors, "; "))
	}
	return &syscallResult{Requests: l.Requests, Calls: calls}, nil
}
