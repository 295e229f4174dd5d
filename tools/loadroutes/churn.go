package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"sluice/control"
	"sluice/control/etcd"
)

// churnRate is how many routes are changed each second, and churnTime for how long.
const (
	churnRate = 1000
	churnTime = 5 * time.Second
	pause     = 5 * time.Millisecond // of each connection between two requests: a load that does not fill the machine
)

// churned is what requests see, and the gateway uses, while routes change or do not.
type churned struct {
	p50, p99 time.Duration
	cpu      float64 // of one processor
	changes  float64 // a second
}

// underChurn measures requests, first with nothing else, then while routes change.
func (g *gateway) underChurn(ctx context.Context, o *options, s *store) (still, busy churned, err error) {
	if still, err = g.observe(ctx, o, func(context.Context) (int, error) { return 0, nil }); err != nil {
		return still, busy, err
	}
	client, err := s.client(manyPrefix)
	if err != nil {
		return still, busy, err
	}
	busy, err = g.observe(ctx, o, func(ctx context.Context) (int, error) { return change(ctx, o, etcd.NewStore(client)) })
	return still, busy, err
}

// observe sends requests for churnTime while the changes go on.
func (g *gateway) observe(ctx context.Context, o *options, changes func(context.Context) (int, error)) (c churned, err error) {
	limited, cancel := context.WithTimeout(ctx, churnTime)
	defer cancel()
	before, err := g.cpu()
	if err != nil {
		return c, err
	}
	made, failed := make(chan int, 1), make(chan error, o.connections+1)
	go func() {
		n, err := changes(limited)
		if err != nil {
			failed <- err
		}
		made <- n
	}()
	latencies := make([][]time.Duration, o.connections)
	var asking sync.WaitGroup
	for i, client := range clients(o.connections) {
		asking.Go(func() {
			defer client.CloseIdleConnections()
			for limited.Err() == nil {
				begin := time.Now()
				code, err := status(ctx, client, "http://"+g.addr+routePath(o.routes-1-i%o.routes)+"x")
				if err == nil && code != http.StatusServiceUnavailable {
					err = fmt.Errorf("a route without a node answers %d", code)
				}
				if err != nil {
					failed <- err
					return
				}
				latencies[i] = append(latencies[i], time.Since(begin))
				time.Sleep(pause)
			}
		})
	}
	asking.Wait()
	n := <-made
	select {
	case err := <-failed:
		return c, err
	default:
	}
	after, err := g.cpu()
	all := slices.Concat(latencies...)
	slices.Sort(all)
	if len(all) == 0 {
		return c, errors.Join(err, errors.New("no request was answered"))
	}
	c.p50, c.p99 = all[len(all)/2], all[len(all)*99/100]
	c.cpu = (after - before).Seconds() / churnTime.Seconds()
	c.changes = float64(n) / churnTime.Seconds()
	return c, err
}

// change writes routes, churnRate a second, until ctx ends, and returns how many were written. None of them is one that is asked for.
func change(ctx context.Context, o *options, target *etcd.Store) (int, error) {
	var writing sync.WaitGroup
	const writers = 64
	counts, errs := make([]int, writers), make([]error, writers)
	begin := time.Now()
	for w := range counts {
		writing.Go(func() {
			for n := w; ; n += len(counts) {
				wait := time.NewTimer(time.Until(begin.Add(time.Duration(n) * time.Second / churnRate)))
				select {
				case <-wait.C:
				case <-ctx.Done():
					wait.Stop()
					return
				}
				i := n % max(1, o.routes-o.connections)
				value := fmt.Appendf(nil, `{"prefix":"%s*","service_name":"service-0","priority":%d}`, routePath(i), 1+n/o.routes)
				_, err := target.Put(ctx, control.Routes.Key(control.RouteID(routePath(i))), value, control.Precondition{})
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					errs[w] = err
					return
				}
				counts[w]++
			}
		})
	}
	writing.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return total, errors.Join(errs...)
}
