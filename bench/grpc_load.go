package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// runGRPC makes unary calls with grpc-go's client, a closed loop: on each connection so many goroutines, of which each has one call under way. An answer counts when its
// grpc-status is 0 and its message is the origin's to the byte; every other status is counted and makes the load wrong.
func runGRPC(ctx context.Context, host string, j job, d time.Duration) (*load, error) {
	conns := make([]*grpc.ClientConn, j.connections)
	for i := range conns {
		c, err := grpc.NewClient("passthrough:///"+host, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
		if err != nil {
			return nil, fmt.Errorf("gRPC client: %w", err)
		}
		defer c.Close()
		conns[i] = c
	}
	lanes := make([]*callLane, j.concurrency())
	var running sync.WaitGroup
	began := time.Now()
	for i := range lanes {
		l := &callLane{conn: conns[i%len(conns)], failed: map[string]int64{}}
		lanes[i] = l
		running.Go(func() { l.run(ctx, began.Add(d)) })
	}
	running.Wait()
	return gatherCalls(lanes, time.Since(began))
}

// callLane makes one call after the other.
type callLane struct {
	conn   *grpc.ClientConn // shared with others
	failed map[string]int64 // calls by the name of a status that is not OK
	seen
}

// run ends with the first call that ends behind the time, so that nothing that was sent is left out; one is made in any case.
func (l *callLane) run(ctx context.Context, ends time.Time) {
	call, answer := []byte(smallBody), []byte(nil)
	for first := true; ctx.Err() == nil; first = false {
		start := time.Now()
		if !first && !start.Before(ends) {
			return
		}
		within, cancel := context.WithTimeout(ctx, laneTimeout)
		err := l.conn.Invoke(within, grpcCallPath, &call, &answer)
		cancel()
		switch {
		case err != nil:
			l.failed[status.Code(err).String()]++
			l.err = err
		case string(answer) != smallBody:
			l.err = fmt.Errorf("the message is %q, the origin's was %q", answer, smallBody)
			return
		default:
			l.latencies = append(l.latencies, time.Since(start))
		}
	}
}

// gatherCalls is gather with the statuses.
func gatherCalls(lanes []*callLane, took time.Duration) (*load, error) {
	all := make([]*seen, len(lanes))
	statuses := map[string]int64{}
	for i, l := range lanes {
		all[i] = &l.seen
		for name, n := range l.failed {
			statuses[name] += n
		}
	}
	result, err := gather("gRPC client", all, took)
	if err != nil {
		return nil, err
	}
	for name, n := range statuses {
		result.Errors = append(result.Errors, fmt.Sprintf("%d calls with grpc-status %s", n, name))
	}
	statuses["OK"] = result.Requests
	result.Statuses = statuses
	return result, nil
}

// rawCodec passes bytes as they are, so that a call costs the client no more than it must. It takes and fills a *[]byte.
type rawCodec struct{}

// Marshal implements encoding.CodecV2.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil // runGRPC calls with no other
}

// Unmarshal implements encoding.CodecV2.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	into := v.(*[]byte)
	*into = (*into)[:0]
	for _, b := range data {
		*into = append(*into, b.ReadOnlyData()...)
	}
	return nil
}

// Name implements encoding.CodecV2; it is the second half of the content type.
func (rawCodec) Name() string { return "raw" }
