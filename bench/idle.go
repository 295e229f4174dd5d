package main

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

func aboutIdle(o *options) string {
	return fmt.Sprintf("%s to %s keep-alive connections that have had one answer each and then say nothing", thousands(firstIdle), thousands(float64(o.idle)))
}

// firstIdle is the first number of connections at which memory counts: they fill the room that a heap has free.
const firstIdle = 1000

// spareWhileIdle is for what a gateway may open beside the idle connections: some to the origin, and the harness's questions.
const spareWhileIdle = 64

// idleSteps are the numbers of connections at which a rival is looked at: none, firstIdle, the quarters of most that are beyond, and most. They only grow: what is closed again leaves its memory behind.
func idleSteps(most int) []int {
	steps := []int{0, firstIdle}
	for quarter := 1; quarter <= 4; quarter++ {
		if n := most * quarter / 4; n > firstIdle {
			steps = append(steps, n)
		}
	}
	return steps
}

// idleStep is what a rival holds with so many idle connections.
type idleStep struct {
	Connections int      `json:"connections"`
	Memory      memory   `json:"memory_bytes"`
	Live        *float64 `json:"live_bytes,omitempty"` // of the heap and the stacks, garbage left out; of a program in Go that tells
}

// idleResult is what idle connections cost one rival.
type idleResult struct {
	Asked int        `json:"asked"` // connections that were wanted; fewer where the rival has no descriptors for them
	Steps []idleStep `json:"steps"`
}

// line is what memory grows by, in bytes: base + slope for each connection. off is the furthest that a step is from it.
type line struct{ base, slope, off float64 }

func (l line) at(n int) float64 { return l.base + l.slope*float64(n) }

// fit returns the line of least squares through all steps from firstIdle on.
func (r *idleResult) fit(of func(idleStep) float64) line {
	var k, x, y, xx, xy float64
	steps := r.Steps[1:]
	for _, s := range steps {
		n, v := float64(s.Connections), of(s)
		k, x, y, xx, xy = k+1, x+n, y+v, xx+n*n, xy+n*v
	}
	l := line{slope: (k*xy - x*y) / (k*xx - x*x)}
	l.base = (y - l.slope*x) / k
	for _, s := range steps {
		l.off = max(l.off, math.Abs(of(s)-l.at(s.Connections)))
	}
	return l
}

func rssOf(s idleStep) float64 { return float64(s.Memory.RSS) }

// runIdle measures user memory only: the kernel's share, some KiB for each socket, is the same for everybody. What nginx and
// HAProxy set aside at their start for the connections they are configured for is not in the growth.
func runIdle(ctx context.Context, h *harness) (*record, error) {
	return runIdleIn(ctx, h, "idle", setup{})
}

// runIdleTLS is runIdle over TLS.
func runIdleTLS(ctx context.Context, h *harness) (*record, error) {
	return runIdleIn(ctx, h, "tls-idle", setup{tls: true})
}

func runIdleIn(ctx context.Context, h *harness, name string, s setup) (*record, error) {
	rec := newRecord(name)
	if err := h.use(ctx, s); err != nil {
		return rec, err
	}
	rec.addRivals(h.rivals)
	for _, r := range h.rivals {
		res, err := measureIdle(ctx, h, r)
		if err == nil {
			err = rec.add(r.name, "", res)
		}
		if err != nil {
			return rec, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return rec, nil
}

func measureIdle(ctx context.Context, h *harness, r *rival) (*idleResult, error) {
	// A second of load first, so that pools and heaps have their size and only the connections are counted.
	if _, err := takeTurn(ctx, h, r, smallJob(h.opt.connections), 0, time.Second); err != nil {
		return nil, err
	}
	most, err := roomFor(r, h.opt.idle)
	if err != nil {
		return nil, err
	}
	if most < h.opt.idle {
		fmt.Fprintf(h.log, "%s: its descriptors allow %d idle connections, not %d\n", r.name, most, h.opt.idle)
	}
	c, err := startHolding(ctx, h, r)
	if err != nil {
		return nil, err
	}
	defer c.close()
	result := &idleResult{Asked: h.opt.idle}
	for _, n := range idleSteps(most) {
		fmt.Fprintf(h.log, "idle connections: %d to %s\n", n, r.name)
		if err := c.hold(n); err != nil {
			return nil, err
		}
		at := idleStep{Connections: n}
		if at.Live, err = readLive(ctx, r); err != nil {
			return nil, err
		}
		if at.Memory, err = settledMemory(ctx, r.workers); err != nil {
			return nil, err
		}
		result.Steps = append(result.Steps, at)
	}
	return result, c.ask(most)
}

// roomFor returns how many of n idle connections a rival's worker has descriptors for. It wants twice firstIdle at least, to have something to measure.
func roomFor(r *rival, n int) (int, error) {
	pid := r.workers[0]
	text, err := os.ReadFile(procPath(pid, "limits"))
	if err != nil {
		return 0, fmt.Errorf("descriptors: %w", err)
	}
	limit, err := parseLimit(string(text))
	if err != nil {
		return 0, err
	}
	open, err := os.ReadDir(procPath(pid, "fd"))
	if err != nil {
		return 0, fmt.Errorf("descriptors: %w", err)
	}
	if room := limit - len(open) - spareWhileIdle; room < n {
		n = room
	}
	if n < 2*firstIdle {
		return 0, fmt.Errorf("it may have %d descriptors (ulimit -n), which are too few for %d idle connections", limit, 2*firstIdle)
	}
	return n, nil
}

// parseLimit reads the soft limit of descriptors in proc_pid_limits(5).
func parseLimit(text string) (int, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if fields := strings.Fields(rest); len(fields) > 0 {
				return strconv.Atoi(fields[0])
			}
		}
	}
	return 0, fmt.Errorf("descriptors: no limit: %w", fs.ErrNotExist)
}

// presentIdle makes two tables: what one connection costs, and the memory at each step.
func presentIdle(rec *record) error {
	results, err := resultsOf[idleResult](rec, "")
	if err != nil {
		return err
	}
	cost, steps := &table{}, &table{}
	cost.add("", "held", "KiB/connection", "of it own memory", "KiB/connection, live heap", "RSS MiB without", "off the line, MiB", "RSS MiB with all asked for")
	steps.add("", "connections", "RSS MiB", "live heap MiB")
	for _, name := range rec.Rivals {
		res := results[name]
		last := res.Steps[len(res.Steps)-1]
		rss := res.fit(rssOf)
		anon := res.fit(func(s idleStep) float64 { return float64(s.Memory.Anon) })
		told := !slices.ContainsFunc(res.Steps, func(s idleStep) bool { return s.Live == nil })
		live := ""
		if told {
			live = kib(res.fit(func(s idleStep) float64 { return *s.Live }).slope)
		}
		all := mib(rssOf(last))
		if last.Connections < res.Asked {
			all = fmt.Sprintf("%s by the line, for %s", mib(rss.at(res.Asked)), thousands(float64(res.Asked)))
		}
		cost.add(name, thousands(float64(last.Connections)), kib(rss.slope), kib(anon.slope), live, mib(rssOf(res.Steps[0])), mib(rss.off), all)
		for _, s := range res.Steps {
			heap := ""
			if told {
				heap = mib(*s.Live)
			}
			steps.add(name, thousands(float64(s.Connections)), mib(rssOf(s)), heap)
		}
	}
	rec.tables = []*table{cost, steps}
	return nil
}

func mib(bytes float64) string { return fmt.Sprintf("%.1f", bytes/(1<<20)) }

func kib(bytes float64) string { return fmt.Sprintf("%.2f", bytes/(1<<10)) }

// settledMemory reads until five readings in a row, 200 ms apart, agree to 64 KiB. A collector that keeps giving memory back is
// waited for 10 s at most; then the last reading counts.
func settledMemory(ctx context.Context, pids []int) (memory, error) {
	const step, same, slack = 200 * time.Millisecond, 5, 64 << 10
	last, err := readMemory(pids)
	if err != nil {
		return memory{}, err
	}
	tick := time.NewTicker(step)
	defer tick.Stop()
	deadline := time.Now().Add(10 * time.Second)
	for agreed := 1; agreed < same && time.Now().Before(deadline); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return memory{}, ctx.Err()
		}
		m, err := readMemory(pids)
		if err != nil {
			return memory{}, err
		}
		if max(m.RSS-last.RSS, last.RSS-m.RSS) <= slack {
			agreed++
		} else {
			agreed = 1
		}
		last = m
	}
	return last, nil
}
