package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
	"time"
)

// rate says how many requests a second a load is to send; nil = as fast as answers come.
type rate func(ctx context.Context, h *harness, j job) (float64, error)

// find returns the rate, 0 for a closed loop.
func (f rate) find(ctx context.Context, h *harness, j job) (float64, error) {
	if f == nil {
		return 0, nil
	}
	return f(ctx, h, j)
}

// halfOfNginx is half of what nginx answers in a closed loop of three seconds.
func halfOfNginx(ctx context.Context, h *harness, j job) (float64, error) {
	for _, r := range h.rivals {
		if r.name != "nginx" {
			continue
		}
		l, err := runWrk(ctx, h.dir, r.url(j.path), j, 3*time.Second)
		if err != nil {
			return 0, err
		}
		perSecond := math.Floor(l.Rate / 2)
		fmt.Fprintf(h.log, "nginx does %.0f requests/s: %.0f for everybody\n", l.Rate, perSecond)
		return perSecond, nil
	}
	return 0, fmt.Errorf("%w: the rate is measured on nginx: have it among the rivals", errUsage)
}

// runOpenLoop sends requests at a fixed rate and measures each from the moment it should have been sent, so that an answer that is late makes those
// behind it late too, as it would for people: a closed loop leaves out just the requests that would have suffered ("coordinated
// omission"). Every connection has its share of the moments, and sends at once what it is late with.
func runOpenLoop(ctx context.Context, host, target string, j job, perSecond float64, d time.Duration) (*load, error) {
	total := int(perSecond * d.Seconds())
	lanes, all := make([]lane, j.connections), make([]*seen, j.connections)
	var ready, running sync.WaitGroup
	begin := make(chan time.Time)
	for i := range lanes {
		l := &lanes[i]
		all[i] = &l.seen
		l.host, l.target, l.size = host, target, j.size
		ready.Add(1)
		running.Go(func() {
			l.err = l.open(ctx)
			ready.Done()
			start := <-begin
			if l.err == nil {
				l.err = l.run(ctx, start, i, j.connections, total, perSecond)
			}
		})
	}
	ready.Wait()
	start := time.Now()
	for range lanes {
		begin <- start
	}
	running.Wait()
	return gather("open loop", all, time.Since(start))
}

// lane is one connection of an open loop.
type lane struct {
	host, target string
	size         int64
	conn         net.Conn
	reader       *bufio.Reader
	seen
}

// laneTimeout bounds one exchange.
const laneTimeout = 10 * time.Second

func (l *lane) open(ctx context.Context) (err error) {
	d := net.Dialer{Timeout: laneTimeout}
	l.conn, err = d.DialContext(ctx, "tcp", l.host)
	if err == nil {
		l.reader = bufio.NewReaderSize(l.conn, 4096)
	}
	return err
}

// run sends the requests number first, first+step, first+2*step… of total, unless ctx ends.
func (l *lane) run(ctx context.Context, start time.Time, first, step, total int, perSecond float64) error {
	defer l.conn.Close()
	request := []byte("GET " + l.target + " HTTP/1.1\r\nHost: " + l.host + "\r\n\r\n")
	l.latencies = make([]time.Duration, 0, total/step+1)
	for n := first; n < total && ctx.Err() == nil; n += step {
		due := start.Add(time.Duration(float64(n) / perSecond * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait) // the pace is what is measured with
		}
		if err := l.conn.SetDeadline(time.Now().Add(laneTimeout)); err != nil {
			return err
		}
		if _, err := l.conn.Write(request); err != nil {
			return err
		}
		if err := l.readAnswer(); err != nil {
			return err
		}
		l.latencies = append(l.latencies, time.Since(due))
	}
	return nil
}

func (l *lane) readAnswer() error {
	res, err := http.ReadResponse(l.reader, nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK || n != l.size || res.Close:
		return fmt.Errorf("%s, %d bytes, close=%v", res.Status, n, res.Close)
	}
	return nil
}
