package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	fewMemory      = 128 << 20 // the least that limits.memory may be
	hoardStep      = 100       // deaf clients that are opened between two looks
	mostHoarders   = 3000      // 64 KiB of queue each: far more than there is
	mostOverMemory = 128 << 20 // RSS beyond the limit: the store's files, and garbage that is not collected yet
)

// shortage has clients that do not read make the gateway hold more than its limit of memory: it answers 503 or closes instead of growing, and is well again once
// they are gone.
func shortage(ctx context.Context, h *harness, r *report) error {
	if _, err := raiseDescriptors(2*mostHoarders + spareDescriptors); err != nil {
		return err
	}
	g, o, err := startPair(ctx, h, "limits: {memory: 128MiB}\ntimeouts: {send: 10m}\n", 0, "chaos", "500ms")
	if err != nil {
		return err
	}
	defer g.close(ctx, r)
	defer o.close()
	before, err := g.settle(ctx)
	if err != nil {
		return err
	}
	if err := resetPeak(g.pid()); err != nil {
		return err
	}
	d := &dialer{addr: g.addr}
	conns, err := hoard(ctx, g, d)
	defer func() { closeAll(conns) }()
	r.must(err == nil, "clients that do not read, until memory is short", orError(fmt.Sprint(len(conns)), err), fmt.Sprintf("≤ %d", mostHoarders))
	if err == nil {
		refusal, err := refused(ctx, d)
		r.must(err == nil, "short of memory, a new request", orError(refusal, err), "503 overloaded, or closed")
	}
	if p, err := readProcess(g.pid()); err != nil {
		r.fail("memory", err)
	} else {
		r.must(p.peak < fewMemory+mostOverMemory, "RSS at its peak", mib(p.peak), "< "+mib(fewMemory+mostOverMemory))
	}
	closeAll(conns)
	conns = nil
	took, err := recovered(ctx, d)
	r.must(err == nil, "has memory again when they are gone", orError(took.Round(time.Millisecond).String(), err),
		fmt.Sprintf("%d right answers in a row within %v", recoverRuns, recoverTime))
	m, err := g.scrape(ctx)
	if err != nil {
		return err
	}
	shed := m[`sluice_responses_by_reason_total{flag="OM"}`] + m[`sluice_connections_refused_total{limit="memory"}`]
	r.must(shed > 0, "what was refused for want of memory", fmt.Sprint(shed), "> 0, counted")
	g.awaitBack(ctx, r, before)
	return nil
}

// hoard opens clients that ask for much and read nothing, until the gateway says that its memory is short. It returns them open, also beside an error.
func hoard(ctx context.Context, g *gateway, d *dialer) (conns []net.Conn, err error) {
	for len(conns) < mostHoarders {
		for range hoardStep {
			c, err := d.dial(ctx)
			if err != nil {
				return conns, err
			}
			conns = append(conns, c)
			if t, ok := c.(*net.TCPConn); ok {
				_ = t.SetReadBuffer(4 << 10)
			}
			// One that is refused meanwhile is refused: that is what this is about.
			_, _ = io.WriteString(c, "GET /chaos/pattern?size=67108864 HTTP/1.1\r\nHost: soak.test\r\n\r\n")
		}
		if !rest(ctx, 200*time.Millisecond) {
			return conns, ctx.Err()
		}
		m, err := g.scrape(ctx)
		if err != nil {
			return conns, err
		}
		if m["sluice_memory_used_bytes"] > 0.9*fewMemory {
			return conns, nil
		}
	}
	return conns, fmt.Errorf("%d clients do not fill %s", len(conns), mib(fewMemory))
}

// refused waits for a request that is turned away, and says how.
func refused(ctx context.Context, d *dialer) (string, error) {
	for until := time.Now().Add(recoverTime); ; {
		c, err := d.dial(ctx)
		if err != nil {
			return "", err
		}
		a, err := askWithin(c, &question{path: "/chaos/echo", id: "short"}, answerTime)
		_ = c.Close()
		switch {
		case err != nil && !isTimeout(err):
			return "closed", nil
		case err != nil:
			return "", err
		case a.status == 503:
			return "503 overloaded, Retry-After: " + a.header.Get("Retry-After"), mustBe(a, 503, "overloaded")
		case time.Now().After(until) || !rest(ctx, 50*time.Millisecond):
			return "", fmt.Errorf("it is answered with %d", a.status)
		}
	}
}
