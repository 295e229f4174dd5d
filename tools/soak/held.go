package main

import (
	"context"
	"fmt"
	"math"
)

// wholeIdle is how many idle connections the cost is told for, where fewer can be held, by the line through what was.
const wholeIdle = 20_000

// heldStep is what the gateway has while so many connections are idle, in bytes.
type heldStep struct {
	n         int
	rss, live int64
}

// idleSteps are the numbers of connections at which the gateway is looked at. The first fill what its heap has in reserve: a program that hoards would else seem to get its connections
// for nothing.
func idleSteps(most int) []int {
	if most < leastForCost {
		return []int{most / 4, most}
	}
	return []int{most / 20, most / 4, most / 2, most * 3 / 4, most}
}

// measureHeld opens the idle connections step by step and notes what one costs.
func (h *harness) measureHeld(ctx context.Context, g *gateway, c *holding, most int, r *report) error {
	var steps []heldStep
	var before, after sample
	for i, n := range idleSteps(most) {
		if err := c.hold(n); err != nil {
			return err
		}
		live, err := g.liveHeap(ctx)
		if err != nil {
			return err
		}
		if after, err = g.settle(ctx); err != nil {
			return err
		}
		if i == 0 {
			before = after
		}
		steps = append(steps, heldStep{n, after.process.rss, live})
		h.say("%d idle connections: RSS %s, live heap %s", n, mib(after.process.rss), mib(live))
		r.must(after.downstream == n, "connections that the gateway counts", fmt.Sprint(after.downstream), fmt.Sprint(n))
	}
	first, last := steps[0], steps[len(steps)-1]
	r.note("idle connections held at once", fmt.Sprintf("%d, with %d descriptors of the gateway", last.n, after.process.fds))
	judgeCost(r, "RSS of one idle connection", steps, func(s heldStep) int64 { return s.rss })
	judgeCost(r, "live heap of one idle connection", steps, func(s heldStep) int64 { return s.live })
	r.note("kernel memory of one, both ends, the machine's other work included",
		fmt.Sprintf("%d bytes", (after.kernel.sum()-before.kernel.sum())/int64(last.n-first.n)))
	return nil
}

// judgeCost notes what one connection costs: the slope of the line through all steps, and what the line says of wholeIdle connections where fewer are held.
func judgeCost(r *report, what string, steps []heldStep, of func(heldStep) int64) {
	base, slope, off := fitLine(steps, of)
	n := steps[len(steps)-1].n
	measured := fmt.Sprintf("%.0f bytes from %d to %d; %s + that, off by %s at most", slope, steps[0].n, n, mib(int64(base)), mib(int64(off)))
	if n < leastForCost {
		r.note(what, measured)
		return
	}
	r.must(slope < mostPerIdle, what, measured, fmt.Sprintf("< %d bytes", mostPerIdle))
	if n < wholeIdle {
		r.note(fmt.Sprintf("the same, all of %d, by that line", wholeIdle), mib(int64(base+slope*wholeIdle)))
	}
}

// fitLine returns the line of least squares through the steps, and the furthest that one of them is off it.
func fitLine(steps []heldStep, of func(heldStep) int64) (base, slope, off float64) {
	var x, y, xx, xy float64
	k := float64(len(steps))
	for _, s := range steps {
		n, v := float64(s.n), float64(of(s))
		x, y, xx, xy = x+n, y+v, xx+n*n, xy+n*v
	}
	slope = (k*xy - x*y) / (k*xx - x*x)
	base = (y - slope*x) / k
	for _, s := range steps {
		off = max(off, math.Abs(float64(of(s))-base-slope*float64(s.n)))
	}
	return base, slope, off
}
