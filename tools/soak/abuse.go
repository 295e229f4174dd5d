package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// attacker is what a case of abuse has to work with.
type attacker struct {
	*harness
	gateway   *gateway
	dialer    *dialer
	origin    *origin // behind the route abuse, which the bystanders use too
	surpriser *origin // behind the route surprise, for one client alone: see surprised
	bystands  []*bystander
}

// attack is one kind of abuse. It returns what it has seen, in a few words, and an error when the gateway did not take it as it should.
type attack struct {
	name string
	run  func(ctx context.Context, a *attacker) (string, error)
	want string
}

// attacks, in the order in which they are made.
var attacks = []attack{
	{"heads, one byte a second", slowHeads, "408 request_timeout for each"},
	{"bodies that stop", stoppedBodies, "408 request_timeout for each"},
	{"connections without a request", silentConnections, "closed, with no answer or 408"},
	{"connections that come and go", connectionStorm, "none is left"},
	{"heads of 100,000 fields", hugeHeads, "431 headers_too_large for each"},
	{"header lines of 1 MiB", hugeHeaderLines, "431 headers_too_large for each"},
	{"request lines of 1 MiB", hugeRequestLines, "414 uri_too_long for each"},
	{"pipelines of thousands", pipelines, "every answer, in order"},
	{"clients that never read", deafDownloads, "closed after timeouts.send"},
	{"pipelines whose answers nobody reads", deafPipelines, "closed after timeouts.send"},
	{"origin that sends a body for ever", endlessBodies, "ends with its client"},
	{"origin that sends a head for ever", endlessHeads, "502 upstream_protocol"},
	{"origin that sends 103 for ever", endlessHints, "an answer of the contract, or cut, in time"},
	{"answers glued to answers", gluedSurprise, "none reaches a client, the connection is closed"},
	{"answers on idle connections", lateSurprise, "none reaches a client, the connection is closed"},
}

// attackTime bounds one attack.
const attackTime = 40 * time.Second

// mostAbuseGrowth bounds the resident memory of a gateway under all of this. Its derivation: the largest attack has crowd connections with a part of a head, which is
// in a buffer of 1 KiB each, and deafClients × the queue of one connection; the rest is the collector's factor of two.
const mostAbuseGrowth = 128 << 20

// abuse makes every attack beside clients that do as they should, and then lets a gateway run out of descriptors.
func abuse(ctx context.Context, h *harness, r *report) error {
	if err := h.attackAll(ctx, r); err != nil {
		return err
	}
	return exhaustion(ctx, h, r)
}

// abuseConf has short timeouts, so that what waits for them does not wait for long. Those towards nodes are longer than those towards clients: the origins run in this
// process, which may be starved by its own attacks.
func (h *harness) abuseConf() string {
	return fmt.Sprintf("timeouts: {request_header: %[1]v, request_body: %[1]v, send: %[1]v, keep_alive: %[2]v, response_header: %[2]v, response_body: %[2]v}\n",
		h.size.patience, 3*h.size.patience)
}

// attackAll runs rounds of all attacks until the time is up; one at least.
func (h *harness) attackAll(ctx context.Context, r *report) error {
	began := time.Now()
	if err := h.fitCrowd(); err != nil {
		return err
	}
	g, err := startGateway(ctx, h, h.abuseConf(), 0)
	if err != nil {
		return err
	}
	defer g.close(ctx, r)
	a := &attacker{harness: h, gateway: g, dialer: &dialer{addr: g.addr}}
	defer a.closeOrigins()
	if err := a.startOrigins(ctx); err != nil {
		return err
	}
	before, err := g.look(ctx)
	if err != nil {
		return err
	}
	if err := resetPeak(g.pid()); err != nil {
		return err
	}
	stop := a.bystand(ctx)
	for round := 1; ctx.Err() == nil; round++ {
		start := time.Now()
		a.round(ctx, r, round)
		// Another one only if it fits.
		if took := time.Since(start); time.Since(began)+took > h.size.duration {
			r.note("rounds", fmt.Sprint(round))
			break
		}
	}
	stop()
	a.judgeBystanders(r)
	g.awaitBack(ctx, r, before)
	g.judgeGrowth(r, before, mostAbuseGrowth)
	return ctx.Err()
}

// startOrigins starts what is behind the gateway, and returns when its connections to it are closed again.
func (a *attacker) startOrigins(ctx context.Context) error {
	for _, one := range []struct {
		route string
		to    **origin
	}{{"abuse", &a.origin}, {"surprise", &a.surpriser}} {
		o, err := startOrigin("127.0.0.1")
		if err != nil {
			return err
		}
		*one.to = o
		if err := a.gateway.route(ctx, one.route, `,"pool":{"idle_timeout":"500ms"}`, o); err != nil {
			return err
		}
	}
	return a.gateway.awaitNodesGone(ctx)
}

func (a *attacker) closeOrigins() {
	for _, o := range []*origin{a.origin, a.surpriser} {
		if o != nil {
			o.close()
		}
	}
}

// fitCrowd makes room for the crowd, or makes it smaller.
func (h *harness) fitCrowd() error {
	want := h.size.crowd + spareDescriptors
	have, err := raiseDescriptors(uint64(want))
	if err != nil {
		return err
	}
	if int(have) < want {
		h.size.crowd = int(have) - spareDescriptors
		h.say("only %d descriptors may be had, %d are needed: scaled down to a crowd of %d", have, want, h.size.crowd)
	}
	if h.size.crowd < 1 {
		return errors.New("too few descriptors for any crowd (ulimit -Hn)")
	}
	return nil
}

// round makes every attack once. The first round has its rows in the table; a later one only where something is wrong.
func (a *attacker) round(ctx context.Context, r *report, round int) {
	for _, at := range attacks {
		if ctx.Err() != nil {
			return
		}
		within, cancel := context.WithTimeout(ctx, attackTime)
		start := time.Now()
		measured, err := at.run(within, a)
		cancel()
		if err != nil {
			measured = fmt.Sprintf("%s: %v", measured, err)
		}
		if round == 1 || err != nil {
			r.must(err == nil, at.name, fmt.Sprintf("%s, %v", measured, time.Since(start).Round(100*time.Millisecond)), at.want)
		}
	}
}

// bystander is a client that does as it should while others do not.
type bystander struct {
	asked, failed atomic.Int64
	slowest       atomic.Int64 // ns
	once          sync.Once
	why           error
}

// bystand starts the bystanders: one that keeps its connection, one that opens a new one each time. The function that it returns ends them.
func (a *attacker) bystand(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	d := &dialer{addr: a.gateway.addr}
	kept, fresh := &bystander{}, &bystander{}
	a.bystands = []*bystander{kept, fresh}
	var wg sync.WaitGroup
	wg.Go(func() {
		k := keeper{dialer: d}
		defer k.close()
		kept.watch(ctx, func() error { return k.ask(ctx) })
	})
	wg.Go(func() { fresh.watch(ctx, func() error { return askFresh(context.WithoutCancel(ctx), d, "abuse") }) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// watch asks again and again until ctx ends.
func (b *bystander) watch(ctx context.Context, ask func() error) {
	for rest(ctx, 20*time.Millisecond) {
		start := time.Now()
		err := ask()
		b.asked.Add(1)
		b.slowest.Store(max(b.slowest.Load(), int64(time.Since(start))))
		if err != nil {
			b.failed.Add(1)
			b.once.Do(func() { b.why = err })
		}
	}
}

func (a *attacker) judgeBystanders(r *report) {
	for i, what := range []string{"normal client, connection kept", "normal client, new connections"} {
		b := a.bystands[i]
		r.must(b.failed.Load() == 0 && b.asked.Load() > 0, what+", failures", firstOf(b.failed.Load(), b.why),
			fmt.Sprintf("0 of %d", b.asked.Load()))
		r.note(what+", slowest answer", time.Duration(b.slowest.Load()).Round(time.Millisecond).String())
	}
}
