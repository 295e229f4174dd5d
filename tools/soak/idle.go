package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
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
)

// idleConf keeps idle connections for as long as any run takes.
const idleConf = "timeouts: {keep_alive: 24h}\n"

// idleActive holds idle connections beside active ones.
func idleActive(ctx context.Context, h *harness, r *report) error {
	began := time.Now()
	if err := h.fitDescriptors(); err != nil {
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
	d := &dialer{addr: g.addr}
	idle, err := h.openMeasured(ctx, g, d, r)
	defer func() { closeAll(idle) }()
	if err != nil {
		return err
	}
	if err := h.hold(ctx, g, d, r, max(h.size.duration-time.Since(began), h.size.duration/2)); err != nil {
		return err
	}
	dead, why := stillThere(idle)
	r.must(dead == 0, "idle connections that no longer answer", firstOf(dead, why), fmt.Sprintf("0 of %d", len(idle)))
	closeAll(idle)
	idle = nil
	g.awaitBack(ctx, r, before)
	return nil
}

func firstOf(n int64, why error) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%d: %v", n, why)
}

// fitDescriptors makes room for the connections, or fewer of them. Both this process and the gateway have one descriptor for each client and one for each
// connection between gateway and origin, of which there may be as many as there are active clients.
func (h *harness) fitDescriptors() error {
	want := h.size.idle + 2*h.size.active + spareDescriptors
	have, err := raiseDescriptors(uint64(want))
	if err != nil {
		return err
	}
	if int(have) >= want {
		return nil
	}
	h.size.idle = int(have) - 2*h.size.active - spareDescriptors
	if h.size.idle < 0 {
		return fmt.Errorf("%d descriptors are all that this process may have: too few for %d active connections", have, h.size.active)
	}
	h.say("only %d descriptors may be had (ulimit -Hn), %d are needed: scaled down to %d idle connections", have, want, h.size.idle)
	return nil
}

// openMeasured opens the idle connections and notes what one costs. It returns what it has opened, also beside an error. A quarter of them is opened before
// the first look, so that the heap has its size and what it has in reserve is taken: a program that hoards would seem to get its connections for nothing.
func (h *harness) openMeasured(ctx context.Context, g *gateway, d *dialer, r *report) ([]net.Conn, error) {
	conns, err := openIdle(ctx, d, h.size.idle/4)
	if err != nil {
		return conns, err
	}
	before, err := g.settle(ctx)
	if err != nil {
		return conns, err
	}
	liveBefore, err := g.liveHeap(ctx)
	if err != nil {
		return conns, err
	}
	more, err := openIdle(ctx, d, h.size.idle-len(conns))
	conns = append(conns, more...)
	if err != nil {
		return conns, err
	}
	after, err := g.settle(ctx)
	if err != nil {
		return conns, err
	}
	liveAfter, err := g.liveHeap(ctx)
	if err != nil {
		return conns, err
	}
	n := int64(len(more))
	judgeCost(r, "RSS of one idle connection", after.process.rss-before.process.rss, n)
	judgeCost(r, "live heap of one idle connection", liveAfter-liveBefore, n)
	r.note("kernel memory of one, both ends, the machine's other work included",
		fmt.Sprintf("%d bytes", (after.kernel.sum()-before.kernel.sum())/n))
	r.must(after.downstream == len(conns), "connections that the gateway counts", fmt.Sprint(after.downstream), fmt.Sprint(len(conns)))
	h.say("%d idle connections open, RSS %s", len(conns), mib(after.process.rss))
	return conns, nil
}

// judgeCost notes what n connections have cost.
func judgeCost(r *report, what string, bytes, n int64) {
	measured := fmt.Sprintf("%d bytes, over %d connections", bytes/n, n)
	if n < leastForCost {
		r.note(what, measured)
		return
	}
	r.must(bytes/n < mostPerIdle, what, measured, fmt.Sprintf("< %d bytes", mostPerIdle))
}

// openers is how many connections have their request in flight at once while they are opened: few, so that the pool towards the origin stays small.
const openers = 16

// openIdle opens connections that have each had one right answer. It returns what it has opened, also beside an error.
func openIdle(ctx context.Context, d *dialer, n int) ([]net.Conn, error) {
	conns := make([]net.Conn, n)
	errs := make([]error, openers)
	var wg sync.WaitGroup
	for k := range openers {
		wg.Go(func() {
			br := bufio.NewReader(nil)
			for i := k; i < n && errs[k] == nil && ctx.Err() == nil; i += openers {
				if conns[i], errs[k] = d.dial(ctx); errs[k] == nil {
					errs[k] = askIdle(conns[i], br, "idle"+strconv.Itoa(i))
				}
			}
		})
	}
	wg.Wait()
	var open []net.Conn
	for _, c := range conns {
		if c != nil {
			open = append(open, c)
		}
	}
	return open, errors.Join(errors.Join(errs...), ctx.Err())
}

// askIdle asks one small question and leaves the connection without a deadline.
func askIdle(c net.Conn, br *bufio.Reader, id string) error {
	br.Reset(c)
	if err := askRight(c, br, &question{path: "/soak/echo", id: id}); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

// stillThere asks every idle connection once more. It returns how many do not answer, and why the first did not.
func stillThere(conns []net.Conn) (dead int64, why error) {
	var count atomic.Int64
	var once sync.Once
	var wg sync.WaitGroup
	for k := range openers {
		wg.Go(func() {
			br := bufio.NewReader(nil)
			for i := k; i < len(conns); i += openers {
				if err := askIdle(conns[i], br, "again"+strconv.Itoa(i)); err != nil {
					count.Add(1)
					once.Do(func() { why = err })
				}
			}
		})
	}
	wg.Wait()
	return count.Load(), why
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close() // nothing is owed to it
	}
}

// hold runs the active connections for a time, and judges what the gateway was like meanwhile.
func (h *harness) hold(ctx context.Context, g *gateway, d *dialer, r *report, lasting time.Duration) error {
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
