// Command crowd asks for one URL over HTTP/2 without a pause, until it is interrupted, and says how many requests were not answered with 200:
//
//	go run ./tools/crowd -clients 64 https://127.0.0.1:8443/
//
// It does what a browser does: eight clients share a connection, and where the server says GOAWAY they go over to another one, which loses nothing. Certificates are not
// checked. Exits 1 when anything has failed, or nothing was asked.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// perConnection is how many clients share a connection.
const perConnection = 8

func main() {
	clients := flag.Int("clients", 64, "how many ask at once")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c := gather(ctx, flag.Arg(0), *clients)
	fmt.Printf("%d requests over HTTP/2 on %d connections, %d failed\n", c.answered.Load(), c.dialed.Load(), c.failed.Load())
	if c.failed.Load() > 0 || c.answered.Load() == 0 {
		fmt.Println("the first failure:", c.first)
		os.Exit(1)
	}
}

// crowd counts what comes of its clients' requests.
type crowd struct {
	url                      string
	answered, failed, dialed atomic.Int64
	once                     sync.Once
	first                    error // what failed first
}

// gather lets n clients ask until ctx ends, and returns when each has its last answer.
func gather(ctx context.Context, url string, n int) *crowd {
	c := &crowd{url: url}
	var running sync.WaitGroup
	for left := n; left > 0; left -= perConnection {
		client := c.share()
		for range min(left, perConnection) {
			running.Go(func() {
				for ctx.Err() == nil {
					c.note(ask(client, url))
				}
			})
		}
	}
	running.Wait()
	return c
}

// share returns a client that keeps a connection of its own.
func (c *crowd) share() *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true,
		VerifyConnection:   func(tls.ConnectionState) error { c.dialed.Add(1); return nil },
	}}
	tr.Protocols.SetHTTP2(true)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// ask makes one request.
func ask(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		err = errors.Join(err, fmt.Errorf("status %s over %s", resp.Status, resp.Proto))
	}
	return errors.Join(err, resp.Body.Close())
}

func (c *crowd) note(err error) {
	if err == nil {
		c.answered.Add(1)
		return
	}
	c.failed.Add(1)
	c.once.Do(func() { c.first = err })
}
