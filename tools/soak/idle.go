package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// What one idle connection may cost of the gateway's memory, in bytes: sockets and epoll entries are the kernel's and come on top. The live heap is what the
	// connections are made of. RSS is what an operator sees: less at first, since they fill what the heap has in reserve, and up to twice as much once the
	// collector has taken its usual room (GOGC=100).
	mostPerIdle = 1536
	// With fewer connections than this the collector's own steps are larger than what is measured.
	leastForCost = 5_000

	// By how much the resident memory may change between two thirds of the run. A leak of 100 bytes a request would be ten times as much.
	mostDrift = 4 << 20
	// By how much the live heap may grow from the beginning to the end: 10 bytes a request are more than that in two minutes.
	mostLiveGrowth = 2 << 20
	// The same for descriptors: the pool towards the origin breathes.
	mostFdDrift = 64
	// Descriptors that are neither clients' nor nodes': the store's files come and go, and the two are not counted in the same moment.
	mostOwnDrift = 8

	// At first the active connections ask without a pause: all of them are in flight at once, so that the gateway's free lists get the size that they keep. A
	// moment in which the machine was slow would else look like a leak.
	warmUp = 5 * time.Second

	leastSamples = 9 // three for each median
	lateTime     = 20 * time.Second

	spareDescriptors = 500 // for all that is not a connection of the load

	// While nothing works, for the pool towards the origin and what the store opens at times, beside what the gateway has open already.
	spareWhileIdle = 64
)

// idleConf keeps idle connections for as long as any run takes.
const idleConf = "timeouts: {keep_alive: 24h}\n"

// idleActive holds idle connections, as many as the gateway may, then some fewer beside active ones.
func idleActive(ctx context.Context, h *harness, r *report) error {
	began := time.Now()
	limit, err := raiseDescriptors(uint64(h.size.idle + 2*h.size.active + spareDescriptors))
	if err != nil {
		return err
	}
	g, o, err := startPair(ctx, h, idleConf, 0, "soak", "2s")
	if err != nil {
		return err
	}
	defer g.close(ctx, r)
	defer o.close()
	before, err := g.look(ctx)
	if err != nil {
		return err
	}
	most, rest, err := h.fitDescriptors(int(limit), before.process.fds)
	if err != nil {
		return err
	}
	c, err := h.startHolding(ctx, g, "soak")
	if err != nil {
		return err
	}
	defer c.close()
	if err := h.measureHeld(ctx, g, c, most, r); err != nil {
		return err
	}
	if err := c.hold(rest); err != nil {
		return err
	}
	d := &dialer{addr: g.addr}
	if err := h.work(ctx, g, d, r, max(h.size.duration-time.Since(began), h.size.duration/2)); err != nil {
		return err
	}
	alive, why := c.ask()
	r.must(alive == rest && why == nil, "idle connections that no longer answer", firstOf(int64(rest-alive), why), fmt.Sprintf("0 of %d", rest))
	c.close()
	g.awaitBack(ctx, r, before)
	return nil
}

func firstOf(n int64, why error) string {
	if n == 0 && why == nil {
		return "0"
	}
	return fmt.Sprintf("%d: %v", n, why)
}

// fitDescriptors returns how many idle connections the gateway can hold with so many descriptors when it has some open, and how many of them beside the active ones. Those need two
// each, of this process too: one for the client, one between gateway and origin.
func (h *harness) fitDescriptors(limit, open int) (most, beside int, err error) {
	most = min(h.size.idle, limit-open-spareWhileIdle)
	beside = min(h.size.idle, limit-2*h.size.active-spareDescriptors)
	if beside < 100 {
		return 0, 0, fmt.Errorf("%d descriptors are all that this process may have: too few for %d active connections", limit, h.size.active)
	}
	if beside < h.size.idle {
		h.say("%d descriptors are all that the gateway may have (ulimit -Hn): %d of %d idle connections, and %d beside the active ones", limit, most, h.size.idle, beside)
	}
	return most, beside, nil
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close() // nothing is owed to it
	}
}

// work runs the active connections for a time, and judges what the gateway was like meanwhile.
func (h *harness) work(ctx context.Context, g *gateway, d *dialer, r *report, lasting time.Duration) error {
	h.say("%d active connections, %d requests/s, for %v", h.size.active, h.size.rate, lasting.Round(time.Second))
	working, stop := context.WithCancel(ctx)
	a := &activity{}
	a.hurry.Store(true)
	var wg sync.WaitGroup
	for i := range h.size.active {
		wg.Go(func() { a.work(working, h, d, i) })
	}
	err := h.watch(ctx, g, a, r, lasting)
	stop()
	wg.Wait()
	r.must(a.wrong.Load() == 0, "requests of the active that got no right answer", firstOf(a.wrong.Load(), a.why), fmt.Sprintf("0 of %d", a.asked.Load()))
	return err
}

// watch samples the gateway while it is at work. It makes the collector run before: heap and RSS are then as large as they may become without a leak.
func (h *harness) watch(ctx context.Context, g *gateway, a *activity, r *report, lasting time.Duration) error {
	end := time.Now().Add(lasting)
	if !rest(ctx, min(warmUp, lasting/4)) {
		return ctx.Err()
	}
	a.hurry.Store(false)
	before, err := g.liveHeap(ctx)
	if err != nil {
		return err
	}
	s := startSampler(ctx, g, h.size.sample)
	rest(ctx, max(time.Until(end), lasting/4))
	// A machine that is busy with something else may have had no time to look.
	for late := time.Now().Add(lateTime); s.taken.Load() < leastSamples && time.Now().Before(late); {
		rest(ctx, h.size.sample)
	}
	samples, err := s.stop()
	if err != nil {
		return err
	}
	after, err := g.liveHeap(ctx)
	if err != nil {
		return err
	}
	if len(samples) < leastSamples {
		return fmt.Errorf("%d samples are too few to tell whether memory is flat", len(samples))
	}
	r.must(after-before <= mostLiveGrowth, "live heap, end against beginning", signedMiB(after-before)+" on "+mib(before), "≤ "+signedMiB(mostLiveGrowth))
	judgeFlat(r, samples)
	return nil
}

// judgeFlat notes how memory, descriptors and goroutines changed.
func judgeFlat(r *report, samples []sample) {
	rss := func(s *sample) int64 { return s.process.rss }
	before, after := drift(samples, rss)
	r.must(after-before <= mostDrift, "RSS, last third against middle third", signedMiB(after-before)+" on "+mib(before), "≤ "+signedMiB(mostDrift))
	before, after = drift(samples, func(s *sample) int64 { return s.process.data })
	r.note("VmData, the same", signedMiB(after-before)+" on "+mib(before))
	before, after = drift(samples, func(s *sample) int64 { return int64(s.process.fds) })
	r.must(after-before <= mostFdDrift, "descriptors, the same", fmt.Sprintf("%+d on %d", after-before, before), fmt.Sprintf("≤ %+d", mostFdDrift))
	before, after = drift(samples, func(s *sample) int64 { return int64(s.own()) })
	r.must(after-before <= mostOwnDrift, "descriptors that are no connection, the same", fmt.Sprintf("%+d on %d", after-before, before),
		fmt.Sprintf("≤ %+d", mostOwnDrift))
	before, after = drift(samples, func(s *sample) int64 { return int64(s.goroutines) })
	r.must(after-before <= goroutineSlack, "goroutines, last third against middle third", fmt.Sprintf("%+d on %d", after-before, before),
		fmt.Sprintf("≤ %+d", goroutineSlack))
	before, after = drift(samples, func(s *sample) int64 { return s.kernel.buffers })
	r.note("kernel, TCP buffers of the machine, the same", signedMiB(after-before)+" on "+mib(before))
	before, after = drift(samples, func(s *sample) int64 { return s.kernel.slab })
	r.note("kernel, slab of the machine, the same", signedMiB(after-before)+" on "+mib(before))
	least, most := spread(samples, rss)
	r.note("RSS, least and most", mib(least)+" to "+mib(most))
}

// activity is what the active connections have seen.
type activity struct {
	hurry        atomic.Bool // ask without a pause
	asked, wrong atomic.Int64
	once         sync.Once
	why          error // the first that was wrong; valid when all have ended
}

func (a *activity) fail(err error) {
	a.wrong.Add(1)
	a.once.Do(func() { a.why = err })
}

// work is one active connection: questions of up to 4 KiB at its share of the rate, until ctx ends. After a failure it goes on with a new connection.
func (a *activity) work(ctx context.Context, h *harness, d *dialer, i int) {
	rng := rand.New(rand.NewPCG(h.size.seed, uint64(i)))
	mean := time.Duration(float64(h.size.active) / float64(h.size.rate) * float64(time.Second))
	var c net.Conn
	defer func() {
		if c != nil {
			_ = c.Close()
		}
	}()
	br := bufio.NewReader(nil)
	pause := func() time.Duration {
		if a.hurry.Load() {
			return 0
		}
		return time.Duration(rng.Int64N(int64(2*mean) + 1))
	}
	for n := 0; rest(ctx, pause()); n++ {
		if c == nil {
			var err error
			if c, err = d.dial(context.WithoutCancel(ctx)); err != nil {
				a.fail(err)
				continue
			}
			br.Reset(c)
		}
		a.asked.Add(1)
		q := newQuestion(rng, "/soak/echo", fmt.Sprintf("active%d.%d", i, n), 4<<10)
		if err := askRight(c, br, q); err != nil {
			a.fail(err)
			_ = c.Close()
			c = nil
		}
	}
}

// rest waits, and reports whether ctx still lasts.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
