package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

func aboutIdle(o *options) string {
	return fmt.Sprintf("%d keep-alive connections, opened in %d steps, that have had one answer each and then say nothing", o.idle, idleSteps)
}

// idleSteps is in how many steps the connections are opened. Growth is counted from the end of the first: what that fills is the room that a heap has free.
const idleSteps = 4

// idleStep is what a rival holds with so many idle connections.
type idleStep struct {
	Connections int      `json:"connections"`
	Memory      memory   `json:"memory_bytes"`
	Live        *float64 `json:"live_bytes,omitempty"` // of the heap and the stacks, garbage left out; of a program in Go that tells
}

// idleResult is what idle connections cost one rival, step by step. The first step has none.
type idleResult []idleStep

// perConnection returns the growth for each connection behind the first step's, in KiB; live is from no connection on, since nothing hides in it.
func (r idleResult) perConnection() (rss, anon, live float64) {
	none, first, last := r[0], r[1], r[len(r)-1]
	n := float64(last.Connections-first.Connections) * 1024
	if last.Live != nil && none.Live != nil {
		live = (*last.Live - *none.Live) / (float64(last.Connections-none.Connections) * 1024)
	}
	return float64(last.Memory.RSS-first.Memory.RSS) / n, float64(last.Memory.Anon-first.Memory.Anon) / n, live
}

// runIdle measures user memory only: the kernel's share, some KiB for each socket, is the same for everybody. What nginx and
// HAProxy set aside at their start for the connections they are configured for is not in the growth.
func runIdle(ctx context.Context, h *harness, stdout io.Writer) (*record, error) {
	return runIdleIn(ctx, h, "idle", setup{}, stdout)
}

// runIdleTLS is runIdle over TLS.
func runIdleTLS(ctx context.Context, h *harness, stdout io.Writer) (*record, error) {
	return runIdleIn(ctx, h, "tls-idle", setup{tls: true}, stdout)
}

func runIdleIn(ctx context.Context, h *harness, name string, s setup, stdout io.Writer) (*record, error) {
	rec := newRecord(name)
	if err := h.use(ctx, s); err != nil {
		return rec, err
	}
	rec.addRivals(h.rivals)
	t := &table{}
	t.add("", "RSS MiB before", "RSS MiB after", "KiB/connection", "of it own memory", "KiB/connection, live heap")
	for _, r := range h.rivals {
		fmt.Fprintf(h.log, "idle connections: %s\n", r.name)
		res, err := measureIdle(ctx, h, r)
		if err != nil {
			return rec, fmt.Errorf("%s: %w", r.name, err)
		}
		rec.add(r.name, "", res)
		rss, anon, live := res.perConnection()
		t.add(r.name, mib(res[0].Memory.RSS), mib(res[idleSteps].Memory.RSS), fmt.Sprintf("%.2f", rss), fmt.Sprintf("%.2f", anon), when(res[0].Live != nil, fmt.Sprintf("%.2f", live)))
		rec.table = t
	}
	return rec, t.write(stdout)
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/(1<<20)) }

func measureIdle(ctx context.Context, h *harness, r *rival) (idleResult, error) {
	// A second of load first, so that pools and heaps have their size and only the connections are counted.
	if _, err := takeTurn(ctx, h, r, smallJob(h.opt.connections), 0, time.Second); err != nil {
		return nil, err
	}
	var conns []net.Conn
	defer func() { closeAll(conns) }()
	var result idleResult
	for step := range idleSteps + 1 {
		more, err := openIdle(ctx, r, h.opt.idle*step/idleSteps-len(conns))
		conns = append(conns, more...)
		if err != nil {
			return nil, err
		}
		at := idleStep{Connections: len(conns)}
		if at.Live, err = readLive(ctx, r); err != nil {
			return nil, err
		}
		if at.Memory, err = settledMemory(ctx, r.workers); err != nil {
			return nil, err
		}
		result = append(result, at)
	}
	// A gateway that had closed them would have cost nothing: each must still answer.
	for i, c := range conns {
		if err := askOnce(c, r.host()); err != nil {
			return nil, fmt.Errorf("connection %d was not kept: %w", i, err)
		}
	}
	return result, nil
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close() // nothing is owed to it
	}
}

// idleOpeners is how many connections have a request in flight at once while they are opened: few, so that the pool towards the
// origin does not grow beyond what the load before has left.
const idleOpeners = 16

// openIdle returns what it has opened, also beside an error.
func openIdle(ctx context.Context, r *rival, n int) ([]net.Conn, error) {
	conns := make([]net.Conn, n)
	errs := make([]error, idleOpeners)
	var wg sync.WaitGroup
	for k := range idleOpeners {
		wg.Go(func() {
			for i := k; i < n && errs[k] == nil; i += idleOpeners {
				conns[i], errs[k] = openOne(ctx, r)
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
	return open, errors.Join(errs...)
}

func openOne(ctx context.Context, r *rival) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: -1}
	c, err := d.DialContext(ctx, "tcp", r.host())
	if err != nil {
		return nil, err
	}
	if r.setup.tls {
		c = tls.Client(c, benchTLS())
	}
	return c, askOnce(c, r.host())
}

// askOnce sends one request and reads its answer to the end, so that the connection is idle afterwards.
func askOnce(c net.Conn, host string) error {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", smallPath, host); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || string(body) != smallBody || res.Close {
		return fmt.Errorf("%s, close=%v, body %q", res.Status, res.Close, body)
	}
	return c.SetDeadline(time.Time{})
}

// settledMemory reads until five readings in a row, 200 ms apart, agree to 64 KiB. A collector that keeps giving memory back is
// waited for 10 s at most; then the last reading counts.
func settledMemory(ctx context.Context, pids []int) (memory, error) {
	const step, same, slack = 200 * time.Millisecond, 5, 64 << 10
	last, err := readMemory(pids)
	if err != nil {
		return memory{}, err
	}
	tick := time.NewTicker(step)
	defer tick.Stop()
	deadline := time.Now().Add(10 * time.Second)
	for agreed := 1; agreed < same && time.Now().Before(deadline); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return memory{}, ctx.Err()
		}
		m, err := readMemory(pids)
		if err != nil {
			return memory{}, err
		}
		if max(m.RSS-last.RSS, last.RSS-m.RSS) <= slack {
			agreed++
		} else {
			agreed = 1
		}
		last = m
	}
	return last, nil
}
