package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sluice/control"
	"sluice/control/etcd"
)

// status asks for a path on a connection of its own.
func status(ctx context.Context, client *http.Client, url string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// clients returns as many as there are connections, each with one.
func clients(n int) []*http.Client {
	all := make([]*http.Client, n)
	for i := range all {
		all[i] = &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	}
	return all
}

const (
	warmTime = time.Second     // until every route that is asked for has counters
	loadTime = 3 * time.Second // how long requests are sent to find what one costs
	asked    = 1024            // different routes, all over the table
)

// cpuPerRequest returns what the gateway's process uses for a request. The services have no nodes, so that nothing but the match and the answer is paid for.
func (g *gateway) cpuPerRequest(ctx context.Context, o *options, routes int) (time.Duration, error) {
	if _, err := g.ask(ctx, o, routes, warmTime); err != nil {
		return 0, err
	}
	before, err := g.cpu()
	if err != nil {
		return 0, err
	}
	n, err := g.ask(ctx, o, routes, loadTime)
	if err != nil {
		return 0, err
	}
	after, err := g.cpu()
	return (after - before) / time.Duration(max(1, n)), err
}

// ask sends requests for d and returns how many were answered.
func (g *gateway) ask(ctx context.Context, o *options, routes int, d time.Duration) (int64, error) {
	var count atomic.Int64
	var asking sync.WaitGroup
	failed := make(chan error, o.connections)
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for _, client := range clients(o.connections) {
		asking.Go(func() {
			defer client.CloseIdleConnections()
			for limited.Err() == nil {
				code, err := status(ctx, client, "http://"+g.addr+routePath(rand.IntN(asked)*7919%routes)+"x")
				if err == nil && code != http.StatusServiceUnavailable {
					err = fmt.Errorf("a route without a node answers %d", code)
				}
				if err != nil {
					failed <- err
					return
				}
				count.Add(1)
			}
		})
	}
	asking.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
		return count.Load(), nil
	}
}

// events tells when the change of a key has come over a watch of this program's own.
type events struct {
	key  string
	came chan time.Time
}

// Apply implements control.Sink.
func (e *events) Apply(b control.Batch) {
	now := time.Now()
	for _, c := range b.Changes {
		if c.Key == e.key && !b.Full {
			e.came <- now
		}
	}
}

// timeChanges makes changes one after the other and returns how long after its event each was in force for the last of all connections.
func (g *gateway) timeChanges(ctx context.Context, o *options, s *store) ([]time.Duration, error) {
	client, err := s.client(manyPrefix)
	if err != nil {
		return nil, err
	}
	target := etcd.NewStore(client)
	seen := &events{key: control.Routes.Key("probe"), came: make(chan time.Time, 1)}
	source := etcd.NewSource(client, etcd.Options{Log: slog.New(slog.DiscardHandler)})
	watching, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = source.Run(watching, seen) }) // it ends with watching
	defer func() {
		stop()
		running.Wait()
	}()
	for !source.Status().Connected {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		time.Sleep(5 * time.Millisecond)
	}
	all := clients(o.connections)
	var took []time.Duration
	for n := range o.changes {
		d, err := g.timeChange(ctx, n, all, target, seen)
		if err != nil {
			return nil, err
		}
		took = append(took, d)
		time.Sleep(20 * time.Millisecond) // a change that comes alone; bursts are put together
	}
	for _, c := range all {
		c.CloseIdleConnections()
	}
	return took, nil
}

func (g *gateway) timeChange(ctx context.Context, n int, all []*http.Client, target *etcd.Store, seen *events) (time.Duration, error) {
	url := fmt.Sprintf("http://%s/probe/%d", g.addr, n)
	times := make(chan time.Time, len(all))
	failed := make(chan error, len(all))
	for _, client := range all {
		go func() {
			for {
				switch code, err := status(ctx, client, url); {
				case err != nil:
					failed <- err
					return
				case code == http.StatusServiceUnavailable: // the route is there, and its service has no node
					times <- time.Now()
					return
				}
				time.Sleep(500 * time.Microsecond)
			}
		}()
	}
	value := fmt.Appendf(nil, `{"prefix":"/probe/%d","service_name":"service-0"}`, n)
	if _, err := target.Put(ctx, seen.key, value, control.Precondition{}); err != nil {
		return 0, err
	}
	event := <-seen.came
	var last time.Duration
	for range all {
		select {
		case at := <-times:
			last = max(last, at.Sub(event))
		case err := <-failed:
			return 0, err
		}
	}
	return last, nil
}
