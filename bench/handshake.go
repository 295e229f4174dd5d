package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// handshake is how the connections of a job begin.
type handshake uint8

const (
	handshakeNone    handshake = iota // they are there: wrk makes the load
	handshakeFull                     // one for every request, with certificate and signature
	handshakeP256                     // the same, where the client offers P-256 alone for the key exchange
	handshakeResumed                  // one for every request, with a session of before
)

// benchTLS is what the clients of the harness offer: curve X25519 alone, or the newer library would agree with whoever knows it upon a post-quantum key exchange that
// the other does not have.
func benchTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "bench.test", CurvePreferences: []tls.CurveID{tls.X25519}, NextProtos: []string{"http/1.1"}}
}

// runHandshakes opens connections one after the other on so many lanes, each for one request. A load with another share of resumed sessions than it asks for is wrong.
func runHandshakes(ctx context.Context, host, target string, j job, d time.Duration) (*load, error) {
	ends := time.Now().Add(d)
	lanes := make([]*seen, j.connections)
	var running sync.WaitGroup
	began := time.Now()
	for i := range lanes {
		l := &seen{}
		lanes[i] = l
		running.Go(func() {
			config := benchTLS()
			if j.handshake == handshakeP256 {
				config.CurvePreferences = []tls.CurveID{tls.CurveP256}
			}
			if j.handshake == handshakeResumed {
				config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				if _, err := handshakeOnce(ctx, host, target, j.size, config); err != nil { // for the first ticket
					l.err = err
					return
				}
			}
			for time.Now().Before(ends) && l.err == nil && ctx.Err() == nil {
				start := time.Now()
				resumed, err := handshakeOnce(ctx, host, target, j.size, config)
				if err == nil && resumed != (j.handshake == handshakeResumed) {
					err = fmt.Errorf("resumed: %v", resumed)
				}
				l.err = err
				l.latencies = append(l.latencies, time.Since(start))
			}
		})
	}
	running.Wait()
	return gather("handshakes", lanes, time.Since(began))
}

// handshakeOnce makes one connection with one request, and reports whether its session was resumed.
func handshakeOnce(ctx context.Context, host, target string, size int64, config *tls.Config) (resumed bool, err error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: laneTimeout}, Config: config}
	c, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return false, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(laneTimeout)); err != nil {
		return false, err
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, host); err != nil {
		return false, err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false, err
	}
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || n != size) {
		err = fmt.Errorf("%s, %d bytes", res.Status, n)
	}
	state := c.(*tls.Conn).ConnectionState() // DialContext of tls.Dialer returns no other
	return state.DidResume, err
}
