package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// crowd opens n connections and runs do on each, all at once. It returns how many went well, and the first thing that went wrong.
func (a *attacker) crowd(ctx context.Context, n int, do func(c net.Conn, i int) error) (int, error) {
	var (
		mu    sync.Mutex // guards what follows
		good  int
		first error
	)
	// The kernel drops connections beyond the length of a listener's queue, and a client then waits a second for its next try: no more than a fraction of the
	// usual 4,096 is on the way at a time.
	dialing := make(chan struct{}, 512)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			dialing <- struct{}{}
			c, err := a.dialer.dial(ctx)
			<-dialing
			if err == nil {
				err = do(c, i)
				_ = c.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				good++
			} else if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	return good, errors.Join(first, ctx.Err())
}

// each is crowd in the words of the table.
func (a *attacker) each(ctx context.Context, n int, do func(c net.Conn, i int) error) (string, error) {
	good, err := a.crowd(ctx, n, do)
	return fmt.Sprintf("%d of %d", good, n), err
}
