package cli

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowd is clients that make requests without a pause, each on a connection that it keeps as long as it may, and count what goes wrong.
type crowd struct {
	address, path string
	stop          atomic.Bool
	clients       sync.WaitGroup

	asked   atomic.Int64 // requests that were answered with 200
	refused atomic.Int64 // connections that could not be made
	failed  atomic.Int64 // requests that were not answered, or with another status
	closed  atomic.Int64 // connections that the gateway has asked to end

	mu    sync.Mutex // guards first
	first error      // the first thing that went wrong
}

// gather begins with n clients. The test must call disperse.
func gather(address, path string, n int) *crowd {
	c := &crowd{address: address, path: path}
	for range n {
		c.clients.Go(c.client)
	}
	return c
}

// client is one of the crowd.
func (c *crowd) client() {
	for !c.stop.Load() {
		conn, err := net.DialTimeout("tcp", c.address, 10*time.Second)
		if err != nil {
			c.refused.Add(1)
			c.note(err)
			continue
		}
		if err := c.talk(conn); err != nil {
			c.failed.Add(1)
			c.note(err)
		}
		conn.Close()
	}
}

// talk makes requests on a connection until the gateway says that it closes it.
func (c *crowd) talk(conn net.Conn) error {
	r := bufio.NewReader(conn)
	for !c.stop.Load() {
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, "GET "+c.path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", resp.Status)
		}
		c.asked.Add(1)
		if resp.Close {
			c.closed.Add(1)
			return nil
		}
	}
	return nil
}

func (c *crowd) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == nil {
		c.first = err
	}
}

// disperse ends the crowd and fails the test for whatever went wrong.
func (c *crowd) disperse(t *testing.T) {
	t.Helper()
	c.stop.Store(true)
	c.clients.Wait()
	t.Logf("%d requests, %d connections ended by Connection: close, %d refused, %d failed", c.asked.Load(), c.closed.Load(), c.refused.Load(), c.failed.Load())
	if c.asked.Load() == 0 || c.refused.Load() != 0 || c.failed.Load() != 0 {
		t.Errorf("the first failure: %v", c.first)
	}
}
