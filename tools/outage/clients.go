package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// sample is one request as its client saw it.
type sample struct {
	due    time.Time // when it was to be sent, whatever became of those before
	took   time.Duration
	ok     bool
	origin string // that answered
	why    string // it failed; empty where it did not
}

func (s sample) end() time.Time { return s.due.Add(s.took) }

// clients send requests at a steady rate and do not wait for answers before the next: an open loop, in which a stall is seen by all who come in it.
type clients struct {
	url  string
	rate int
	http http.Client

	mu      sync.Mutex // guards samples
	samples []sample
}

func newClients(address string, rate int) *clients {
	return &clients{url: "http://" + address + "/status", rate: rate, http: http.Client{
		Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1000},
	}}
}

// run sends for a time, and returns when the last answer has come.
func (c *clients) run(ctx context.Context, length time.Duration) {
	var open sync.WaitGroup
	start := time.Now()
	between := time.Second / time.Duration(c.rate)
	for i := 0; ; i++ {
		due := start.Add(time.Duration(i) * between)
		if due.Sub(start) >= length {
			break
		}
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			open.Wait()
			return
		}
		open.Go(func() { c.ask(due) })
	}
	open.Wait()
	c.http.CloseIdleConnections()
}

func (c *clients) ask(due time.Time) {
	s := sample{due: due}
	resp, err := c.http.Get(c.url)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // of an origin three bytes, of a proxy a page
		resp.Body.Close()
		s.origin = resp.Header.Get("X-Origin")
	}
	s.took = time.Since(due)
	if err != nil {
		s.why = reason(err)
	} else if resp.StatusCode != http.StatusOK {
		s.why = reasonOf(resp.StatusCode, body)
	}
	s.ok = s.why == ""
	c.mu.Lock()
	defer c.mu.Unlock()
	c.samples = append(c.samples, s)
}

// reason returns what an error says beside the URL, which is the same for all.
func reason(err error) string {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	return err.Error()
}

// reasonOf returns an answer's status, and the code that sluice says it with.
func reasonOf(status int, body []byte) string {
	var page struct{ Error struct{ Code string } }
	_ = json.Unmarshal(body, &page) // others answer with HTML
	return strings.TrimSpace(fmt.Sprint(status, " ", page.Error.Code))
}

// take returns what was seen.
func (c *clients) take() []sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.samples
}
