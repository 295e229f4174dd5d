package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sample is one look at the gateway.
type sample struct {
	at         time.Duration // since the sampler was started
	process    process
	kernel     kernelMemory
	goroutines int
	downstream int // open connections to clients
	upstream   int // open connections to nodes
}

// look takes a sample now.
func (g *gateway) look(ctx context.Context) (sample, error) {
	m, err := g.scrape(ctx)
	if err != nil {
		return sample{}, err
	}
	s := sample{goroutines: int(m["go_goroutines"]), downstream: int(m[downstreamOpen]), upstream: int(m[upstreamOpen])}
	if s.process, err = readProcess(g.pid()); err != nil {
		return sample{}, err
	}
	s.kernel, err = readKernelMemory()
	return s, err
}

// own is how many descriptors are neither of a client nor of a node.
func (s *sample) own() int { return s.process.fds - s.downstream - s.upstream }

// sampler looks at a gateway again and again.
type sampler struct {
	gateway *gateway
	cancel  context.CancelFunc
	done    sync.WaitGroup
	taken   atomic.Int64 // samples so far
	samples []sample     // valid when done
	err     error
}

// startSampler begins at once. Stop it in any case.
func startSampler(ctx context.Context, g *gateway, every time.Duration) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{gateway: g, cancel: cancel}
	s.done.Go(func() { s.err = s.run(ctx, every) })
	return s
}

func (s *sampler) run(ctx context.Context, every time.Duration) error {
	start := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		one, err := s.gateway.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("sample: %w", err)
		}
		one.at = time.Since(start)
		s.samples = append(s.samples, one)
		s.taken.Add(1)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// stop ends it and returns what it has seen.
func (s *sampler) stop() ([]sample, error) {
	s.cancel()
	s.done.Wait()
	return s.samples, s.err
}

// drift is how a figure changed from the middle third of the samples to the last: the difference of the medians. The first third is not asked: pools and free
// lists are still being filled. It takes three samples at least.
func drift(samples []sample, of func(*sample) int64) (before, after int64) {
	n := len(samples) / 3
	return median(samples[n:2*n], of), median(samples[2*n:], of)
}

func median(samples []sample, of func(*sample) int64) int64 {
	list := make([]int64, len(samples))
	for i := range samples {
		list[i] = of(&samples[i])
	}
	slices.SortFunc(list, cmp.Compare[int64])
	return list[len(list)/2]
}

// spread is the least and the most of a figure.
func spread(samples []sample, of func(*sample) int64) (least, most int64) {
	for i := range samples {
		v := of(&samples[i])
		if i == 0 || v < least {
			least = v
		}
		most = max(most, v)
	}
	return least, most
}

// settle returns a sample once the resident memory has come to rest: five looks, 200 ms apart, that agree to 64 KiB. A collector that keeps giving memory back is
// waited for 10 s at most; then the last look counts.
func (g *gateway) settle(ctx context.Context) (sample, error) {
	const step, same, slack = 200 * time.Millisecond, 5, 64 << 10
	last, err := g.look(ctx)
	if err != nil {
		return last, err
	}
	tick := time.NewTicker(step)
	defer tick.Stop()
	deadline := time.Now().Add(10 * time.Second)
	for agreed := 1; agreed < same && time.Now().Before(deadline); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last, ctx.Err()
		}
		p, err := readProcess(g.pid()) // not a whole look: a scrape allocates
		if err != nil {
			return last, err
		}
		if d := p.rss - last.process.rss; max(d, -d) <= slack {
			agreed++
		} else {
			agreed = 1
		}
		last.process = p
	}
	return g.look(ctx)
}

// awaitBack waits until the gateway has no client, and no more descriptors and goroutines than it had. It notes the verdicts.
func (g *gateway) awaitBack(ctx context.Context, r *report, before sample) {
	const patience = 20 * time.Second
	var now sample
	var err error
	wait := g.awaitFor(ctx, patience, "the gateway to be as before", func() bool {
		now, err = g.look(ctx)
		return err == nil && now.downstream == 0 && now.process.fds <= before.process.fds && now.goroutines <= before.goroutines+goroutineSlack
	})
	if err != nil {
		r.fail("look after it", err)
		return
	}
	_ = wait // the rows below say what is amiss, if anything is
	r.zero("clients' connections afterwards", int64(now.downstream))
	r.must(now.process.fds <= before.process.fds, "descriptors afterwards", fmt.Sprint(now.process.fds), fmt.Sprintf("≤ %d, as before", before.process.fds))
	r.must(now.goroutines <= before.goroutines+goroutineSlack, "goroutines afterwards", fmt.Sprint(now.goroutines),
		fmt.Sprintf("≤ %d + %d", before.goroutines, goroutineSlack))
	r.note("RSS before and afterwards", mib(before.process.rss)+" → "+mib(now.process.rss))
}

// goroutineSlack is for what the embedded store and the admin API begin and end at times. No connection and no request has a goroutine, so a leak in the data
// path could not hide here.
const goroutineSlack = 8
