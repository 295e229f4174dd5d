package upstream

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"sluice/core/observe"
)

// Clock is the time in which a registry lives. Simulations have one of their own.
type Clock struct {
	Now   func() time.Time
	After func(d time.Duration, f func()) // calls f after d, on another stack than the caller's
}

func realClock() Clock {
	return Clock{Now: time.Now, After: func(d time.Duration, f func()) { time.AfterFunc(d, f) }}
}

// NewSimulated returns a registry for that many workers in a time of its own, whose probes are answered by the function, and whose random numbers follow from the
// seed. Nothing of it reaches a network.
func NewSimulated(workers int, clock Clock, seed uint64, probe func(node netip.AddrPort) error) *Registry {
	r := NewRegistry(make([]Poster, workers), observe.NewRegistry(workers))
	for i := range r.workers {
		r.workers[i] = nobody{}
	}
	r.clock = clock
	r.quiet = true
	r.seed = func() uint64 {
		seed += 0x9e3779b97f4a7c15
		return seed
	}
	r.prober.probe = func(_ context.Context, _ *ActiveHealth, node target) error { return probe(node.addr) }
	return r
}

// log returns where flips are told.
func (r *Registry) log() *slog.Logger {
	if r.quiet {
		return slog.New(slog.DiscardHandler)
	}
	return slog.Default()
}

// nobody is the loop of a worker that holds no connections: there is nothing to tell it.
type nobody struct{}

func (nobody) Post(func()) {}
