package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// churn is changes of other routes that go on while a load is measured: each is written through the admin API and so passes store, watch and table
// before it is in force. Rivals that can only be told by a reload are left in peace.
type churn struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	begun   time.Time
	done    atomic.Int64
	failed  atomic.Pointer[error] // the first
}

// startChurn begins to change routes, so many a second; they are those of the setup. It returns nil where there is nothing to change.
func startChurn(ctx context.Context, r *rival, perSecond int) *churn {
	if perSecond == 0 || r.admin == nil || r.setup.routes == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &churn{cancel: cancel, begun: time.Now()}
	for k := range putters {
		c.running.Go(func() { c.put(ctx, r, k, perSecond) })
	}
	return c
}

// put makes the changes number first, first+putters, first+2*putters… until ctx ends. What it is late with it makes at once.
func (c *churn) put(ctx context.Context, r *rival, first, perSecond int) {
	for n := first; ; n += putters {
		wait := time.NewTimer(time.Until(c.begun.Add(time.Duration(n) * time.Second / time.Duration(perSecond))))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
		i := n % r.setup.routes
		route := fill(sluiceOther, "{path}", fmt.Sprintf("%s/round-%d", routePath(i), n/r.setup.routes))
		err := r.admin.put(ctx, fmt.Sprintf("/v1/routes/other-%d", i), route)
		if ctx.Err() != nil {
			return // it was cut short
		}
		if err != nil {
			c.failed.CompareAndSwap(nil, &err)
			return
		}
		c.done.Add(1)
	}
}

// stop ends the changes and returns how many a second there were, and the first that failed.
func (c *churn) stop() (perSecond float64, err error) {
	if c == nil {
		return 0, nil
	}
	took := time.Since(c.begun)
	c.cancel()
	c.running.Wait()
	if failed := c.failed.Load(); failed != nil {
		err = *failed
	}
	return float64(c.done.Load()) / took.Seconds(), err
}
