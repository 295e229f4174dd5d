package etcd

import (
	"context"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// gRPC leaves out an endpoint that it cannot connect to. One that is connected and answers nothing, such as a proxy whose servers hang, gets its share of all calls: with one such
// of two, every second page of a read waits in vain, and none of many pages ever ends. So once a call has waited in vain each endpoint is asked by itself, and those that do
// not answer are left out until they do.

// answerTime is how long an endpoint that is asked by itself may take, with a connection of its own.
const answerTime = 2 * time.Second

// sift looks, on a goroutine of its own, which of several endpoints answer, and goes on to look while there are some that do not. It does nothing while it does so already.
func (c *Client) sift() {
	if len(c.cfg.Endpoints) < 2 {
		return
	}
	select {
	case c.gate <- struct{}{}:
	default: // somebody dials, which may take its time; the next call that waits in vain comes by again
		return
	}
	defer func() { <-c.gate }()
	if c.closed || c.sifting {
		return
	}
	c.sifting = true
	c.retired.Go(func() {
		for {
			answering := c.answering()
			if len(answering) == 0 { // as good as all of them
				answering = c.cfg.Endpoints
			}
			whole := len(answering) == len(c.cfg.Endpoints)
			c.use(answering, !whole)
			if whole {
				return
			}
			pause(c.ending, silentFor)
			if c.ending.Err() != nil {
				return
			}
		}
	})
}

// use has calls go to some of the endpoints.
func (c *Client) use(endpoints []string, sifting bool) {
	c.gate <- struct{}{}
	defer func() { <-c.gate }()
	c.sifting = sifting
	if slices.Equal(c.endpoints, endpoints) {
		return
	}
	c.endpoints = endpoints
	if c.current != nil {
		c.current.SetEndpoints(endpoints...)
	}
}

// answering returns the endpoints that answer, in the order of the configuration.
func (c *Client) answering() (list []string) {
	answers := make([]bool, len(c.cfg.Endpoints))
	var asking sync.WaitGroup
	for i, endpoint := range c.cfg.Endpoints {
		asking.Go(func() { answers[i] = c.answers(endpoint) })
	}
	asking.Wait()
	for i, endpoint := range c.cfg.Endpoints {
		if answers[i] {
			list = append(list, endpoint)
		}
	}
	return list
}

// answers reports whether an endpoint answers a read, with whatever it may be.
func (c *Client) answers(endpoint string) bool {
	alone, err := c.dial(newLinks(), []string{endpoint})
	if err != nil {
		return false
	}
	defer alone.Close()
	ctx, cancel := context.WithTimeout(c.ending, answerTime)
	defer cancel()
	_, err = alone.Get(ctx, c.cfg.Prefix, clientv3.WithCountOnly())
	code := status.Code(err)
	return ctx.Err() == nil && code != codes.Unavailable && code != codes.DeadlineExceeded
}
