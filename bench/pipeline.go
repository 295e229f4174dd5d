package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// runPipeline sends j.pipeline requests at once on each connection, again when all have been answered. A latency is from the moment at which a batch was sent to the end of
// the answer. Each answer is looked at, as far as its status and its length; wrk, which does so too, tells no latencies here.
func runPipeline(ctx context.Context, host, target string, j job, d time.Duration) (*load, error) {
	lanes, all := make([]*batchLane, j.connections), make([]*seen, j.connections)
	batch := []byte(strings.Repeat("GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n", j.pipeline))
	for i := range lanes {
		dialer := net.Dialer{Timeout: laneTimeout}
		c, err := dialer.DialContext(ctx, "tcp", host)
		if err != nil {
			return nil, fmt.Errorf("pipeline: %w", err)
		}
		defer c.Close()
		lanes[i] = &batchLane{conn: c, reader: bufio.NewReaderSize(c, 16<<10)}
		all[i] = &lanes[i].seen
	}
	var running sync.WaitGroup
	began := time.Now()
	for _, l := range lanes {
		running.Go(func() {
			for first := true; first || time.Now().Before(began.Add(d)) && l.err == nil && ctx.Err() == nil; first = false {
				l.err = l.batch(batch, j.pipeline, j.size)
			}
		})
	}
	running.Wait()
	return gather("pipeline", all, time.Since(began))
}

// batchLane is one connection.
type batchLane struct {
	conn   net.Conn
	reader *bufio.Reader
	seen
}

// batch sends n requests and reads as many answers.
func (l *batchLane) batch(requests []byte, n int, size int64) error {
	start := time.Now()
	if err := l.conn.SetDeadline(start.Add(laneTimeout)); err != nil {
		return err
	}
	if _, err := l.conn.Write(requests); err != nil {
		return err
	}
	for range n {
		if err := l.answer(size); err != nil {
			return err
		}
		l.latencies = append(l.latencies, time.Since(start))
	}
	return nil
}

// answer reads one answer, of which only what is measured is known: 200, and a length.
func (l *batchLane) answer(size int64) error {
	line, err := l.reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("an answer begins with %q", line)
	}
	length := int64(-1)
	for {
		if line, err = l.reader.ReadSlice('\n'); err != nil {
			return err
		}
		if len(line) <= len("\r\n") {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
				return err
			}
		}
	}
	if length != size {
		return fmt.Errorf("an answer has %d bytes, the origin's had %d", length, size)
	}
	n, err := l.reader.Discard(int(size))
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("an answer ends after %d bytes of %d", n, size)
	}
	return err
}
