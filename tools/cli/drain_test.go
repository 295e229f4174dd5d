package cli

import (
	"context"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// timeouts.drain, to the moment: what is in flight has so much time, a signal ends the wait at once, and each further way of draining has the rest of the time
// and not its own.
func TestADrainLastsAsLongAsItsTimeAndASignalEndsIt(t *testing.T) {
	forever := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for _, c := range []struct {
		what    string
		ways    int
		signals []time.Duration // when each comes
		lasts   time.Duration
	}{
		{"nobody is in a hurry", 1, nil, 30 * time.Second},
		{"one signal", 1, []time.Duration{5 * time.Second}, 5 * time.Second},
		{"two ways", 2, nil, 30 * time.Second},
		{"two ways and a signal", 2, []time.Duration{20 * time.Second}, 30 * time.Second},
		{"two ways and two signals", 2, []time.Duration{20 * time.Second, 21 * time.Second}, 21 * time.Second},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{plan: plan{log: slog.New(slog.DiscardHandler)}}
				g.live.drain = 30 * time.Second
				var ways []func(context.Context) error
				for range c.ways {
					ways = append(ways, forever)
				}
				signals := make(chan os.Signal)
				for _, at := range c.signals {
					time.AfterFunc(at, func() { signals <- syscall.SIGTERM })
				}
				begun := time.Now()
				g.drain(context.Background(), signals, ways...)
				if lasted := time.Since(begun); lasted != c.lasts {
					t.Errorf("it lasted %v, want %v", lasted, c.lasts)
				}
			})
		})
	}
}
