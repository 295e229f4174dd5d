package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	slowRate   = 100e6 // bytes a second of the reader that takes the whole body
	slowerRate = 1e6   // bytes a second of the reader that lasts for the whole scenario

	pauseEvery = 32 << 20 // bytes after which a reader takes nothing for pauseTime
	pauseTime  = 100 * time.Millisecond

	// The growth of resident memory that is allowed. Per connection the gateway holds a read buffer and a bounded queue; the rest is room for the
	// collector. A gateway that kept what a slow reader has not taken would be beyond it within a second.
	mostGrowth = 32 << 20
)

// slowConf lets large bodies in.
const slowConf = "limits: {body: 16GiB}\n"

// takeSlowly reads a body of the pattern at about rate bytes a second, with pauses, to its end or until the time that is given. It returns how many bytes came.
func takeSlowly(body io.Reader, rate float64, until time.Time) (int64, error) {
	// A read takes 20 ms of the rate, so that a reader of 1 MB/s has no burst to hide behind.
	buf := make([]byte, min(max(int(rate/50), 4<<10), 1<<20))
	var p patternReader
	start, paused := time.Now(), int64(0)
	for until.IsZero() || time.Now().Before(until) {
		n, err := body.Read(buf)
		if wrong := p.take(buf[:n]); wrong != nil {
			return p.offset, wrong
		}
		if errors.Is(err, io.EOF) {
			return p.offset, nil
		}
		if err != nil {
			return p.offset, err
		}
		if p.offset-paused >= pauseEvery {
			paused = p.offset
			time.Sleep(pauseTime)
		}
		time.Sleep(time.Until(start.Add(time.Duration(float64(p.offset) / rate * float64(time.Second)))))
	}
	return p.offset, nil
}

// slowGateway is what both directions begin with: a gateway, an origin, a little traffic, and the memory then.
func slowGateway(ctx context.Context, h *harness) (*gateway, *origin, sample, error) {
	g, o, err := startPair(ctx, h, slowConf, 0, "slow", "500ms")
	if err != nil {
		return nil, nil, sample{}, err
	}
	before, err := func() (sample, error) {
		if _, err := g.settle(ctx); err != nil {
			return sample{}, err
		}
		if err := resetPeak(g.pid()); err != nil {
			return sample{}, err
		}
		return g.look(ctx)
	}()
	if err != nil {
		_ = g.stop()
		o.close()
	}
	return g, o, before, err
}

// awaitNodesGone waits until the gateway's pools are empty and its last good state, of which it keeps the file open, is on disk: what it has open then is its own.
func (g *gateway) awaitNodesGone(ctx context.Context) error {
	return g.awaitFor(ctx, 20*time.Second, "idle connections to nodes to be closed", func() bool {
		s, err := g.look(ctx)
		_, missing := os.Stat(filepath.Join(g.data, "last-good"))
		return err == nil && missing == nil && s.upstream == 0 && s.downstream == 0
	})
}

// judgeGrowth notes by how much resident memory has grown since the peak was reset.
func (g *gateway) judgeGrowth(r *report, before sample, most int64) {
	p, err := readProcess(g.pid())
	if err != nil {
		r.fail("memory", err)
		return
	}
	grown := p.peak - before.process.rss
	r.must(grown < most, "growth of RSS at its peak", signedMiB(grown)+" on "+mib(before.process.rss), "< "+mib(most))
}

func slowDownload(ctx context.Context, h *harness, r *report) error {
	g, o, before, err := slowGateway(ctx, h)
	if err != nil {
		return err
	}
	defer g.close(ctx, r)
	defer o.close()
	d := &dialer{addr: g.addr}
	until := time.Now().Add(h.size.duration)
	var large, slow int64
	var largeErr, slowErr error
	var took time.Duration
	var wg sync.WaitGroup
	wg.Go(func() {
		start := time.Now()
		large, largeErr = download(ctx, d, h.size.body, slowRate, time.Time{})
		took = time.Since(start)
	})
	wg.Go(func() { slow, slowErr = download(ctx, d, 1<<40, slowerRate, until) })
	h.say("%s at %.0f MB/s, and %.0f MB/s for %v", mib(h.size.body), slowRate/1e6, slowerRate/1e6, h.size.duration)
	wg.Wait()
	judgeBody(r, "large answer at 100 MB/s", large, largeErr, h.size.body, took)
	judgeEndless(r, "answer at 1 MB/s", slow, slowErr, h.size.duration)
	g.awaitBack(ctx, r, before)
	g.judgeGrowth(r, before, mostGrowth)
	return nil
}

func judgeBody(r *report, what string, got int64, err error, want int64, took time.Duration) {
	if err != nil {
		r.fail(what, err)
		return
	}
	r.must(got == want, what, fmt.Sprintf("%s in %v, right", mib(got), took.Round(100*time.Millisecond)), mib(want))
}

// judgeEndless notes a transfer that was stopped when the time was up. A tenth of what the rate allows shows that it went on all the time.
func judgeEndless(r *report, what string, got int64, err error, d time.Duration) {
	if err != nil {
		r.fail(what, err)
		return
	}
	least := int64(d.Seconds() * slowerRate / 10)
	r.must(got >= least, what, mib(got)+", right", "≥ "+mib(least))
}

// download takes an answer of size bytes, to its end or until the time that is given.
func download(ctx context.Context, d *dialer, size int64, rate float64, until time.Time) (int64, error) {
	c, err := d.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, func() { _ = c.Close() })() // an interrupt ends it
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET /slow/pattern?size=%d HTTP/1.1\r\nHost: soak.test\r\n\r\n", size); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	if res.StatusCode != http.StatusOK || res.ContentLength != size {
		return 0, fmt.Errorf("%s with Content-Length %d", res.Status, res.ContentLength)
	}
	return takeSlowly(res.Body, rate, until)
}

func slowUpload(ctx context.Context, h *harness, r *report) error {
	g, o, before, err := slowGateway(ctx, h)
	if err != nil {
		return err
	}
	defer g.close(ctx, r)
	defer o.close()
	d := &dialer{addr: g.addr}
	until := time.Now().Add(h.size.duration)
	uploads := []upload{
		{what: "body with Content-Length, 100 MB/s", size: h.size.body, rate: slowRate},
		{what: "body in chunks, 100 MB/s", size: h.size.body, rate: slowRate, chunked: true},
		{what: "body with Content-Length, 1 MB/s", size: 1 << 33, rate: slowerRate, until: until},
		{what: "body in chunks, 1 MB/s", size: 1 << 33, rate: slowerRate, until: until, chunked: true},
	}
	h.say("%s at %.0f MB/s, and %.0f MB/s for %v, each with a Content-Length and in chunks", mib(h.size.body), slowRate/1e6, slowerRate/1e6, h.size.duration)
	var wg sync.WaitGroup
	for i := range uploads {
		wg.Go(func() { uploads[i].run(ctx, d) })
	}
	wg.Wait()
	for _, u := range uploads {
		if u.until.IsZero() {
			judgeBody(r, u.what, u.got, u.err, u.size, u.took)
		} else {
			judgeEndless(r, u.what, u.got, u.err, h.size.duration)
		}
	}
	r.zero("bodies that reached the origin wrong", o.wrong.Load())
	g.awaitBack(ctx, r, before)
	g.judgeGrowth(r, before, mostGrowth)
	return nil
}

// upload is one request body on its way up.
type upload struct {
	what    string
	size    int64
	rate    float64 // of the origin that takes it
	until   time.Time
	chunked bool

	got  int64 // what the origin has counted, or, where the time was up, what was sent
	err  error
	took time.Duration
}

func (u *upload) run(ctx context.Context, d *dialer) {
	start := time.Now()
	c, err := d.dial(ctx)
	if err != nil {
		u.err = err
		return
	}
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	defer c.Close()
	if u.got, u.err = u.send(c); u.err == nil && u.until.IsZero() {
		u.got, u.err = u.counted(c)
	} else {
		reset(c) // it leaves at once; an end in order would be seen only behind all that is on the way
	}
	u.took = time.Since(start)
}

// send writes the request, until the time is up where there is one. It returns how much of the body was written.
func (u *upload) send(c net.Conn) (sent int64, err error) {
	framing := "Transfer-Encoding: chunked"
	if !u.chunked {
		framing = "Content-Length: " + strconv.FormatInt(u.size, 10)
	}
	if _, err := fmt.Fprintf(c, "POST /slow/sink?rate=%.0f HTTP/1.1\r\nHost: soak.test\r\n%s\r\n\r\n", u.rate, framing); err != nil {
		return 0, err
	}
	var w io.Writer = c
	if u.chunked {
		w = httputil.NewChunkedWriter(c)
	}
	for sent < u.size {
		if !u.until.IsZero() {
			if err := c.SetWriteDeadline(u.until); err != nil {
				return sent, err
			}
		}
		n, err := w.Write(patternAt(sent, int(min(u.size-sent, patternPeriod))))
		sent += int64(n)
		if err != nil && isTimeout(err) && !u.until.IsZero() {
			return sent, nil // the time is up: it leaves in the middle, which the gateway must take too
		}
		if err != nil {
			return sent, err
		}
	}
	if u.chunked {
		_, err = io.WriteString(c, "0\r\n\r\n")
	}
	return sent, err
}

// counted reads what the origin says of the body.
func (u *upload) counted(c net.Conn) (int64, error) {
	// What is in the sockets' buffers is still being taken.
	if err := c.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return 0, err
	}
	a, err := readAnswer(bufio.NewReader(c))
	if err != nil {
		return 0, err
	}
	if a.status != http.StatusOK {
		return 0, fmt.Errorf("status %d: %s %.200s", a.status, a.header.Get("X-Soak-Why"), a.body)
	}
	return strconv.ParseInt(a.header.Get("X-Soak-Count"), 10, 64)
}
