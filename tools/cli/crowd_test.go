package cli

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/testnet"
)

// crowd is clients that make requests without a pause, each on a connection that it keeps as long as it may, and count what goes wrong.
type crowd struct {
	address, path string
	tls           *tls.Config // nil = plain text
	stop          atomic.Bool
	clients       sync.WaitGroup

	asked   atomic.Int64 // requests that were answered with 200
	refused atomic.Int64 // connections that could not be made
	failed  atomic.Int64 // requests that were not answered, or with another status
	closed  atomic.Int64 // connections that the gateway has asked to end

	mu    sync.Mutex // guards first
	first error      // the first thing that went wrong
}

// gather begins with n clients, over TLS where there is a config. The test must call disperse.
func gather(address, path string, n int, config *tls.Config) *crowd {
	c := &crowd{address: address, path: path, tls: config}
	for range n {
		c.clients.Go(c.client)
	}
	return c
}

// gatherHTTP2 is gather over HTTP/2, with config over TLS: n clients share a connection, which is made anew when the gateway says GOAWAY.
func gatherHTTP2(address, path string, n int, config *tls.Config) *crowd {
	c := &crowd{address: address, path: path, tls: config}
	transport := &http.Transport{TLSClientConfig: config, Protocols: new(http.Protocols)}
	scheme := "https://"
	if transport.Protocols.SetHTTP2(config != nil); config == nil {
		transport.Protocols.SetUnencryptedHTTP2(true)
		scheme = "http://"
	}
	client := &http.Client{Transport: transport, Timeout: testnet.Patience}
	for range n {
		c.clients.Go(func() {
			for !c.stop.Load() {
				resp, err := client.Get(scheme + address + path)
				if err == nil {
					err = c.took(resp)
				}
				if err == nil && resp.ProtoMajor != 2 {
					err = fmt.Errorf("it is %s", resp.Proto)
				}
				if err != nil {
					c.note(&c.failed, err)
				}
			}
			transport.CloseIdleConnections()
		})
	}
	return c
}

// took reads an answer to its end, and counts it where it is a good one.
func (c *crowd) took(resp *http.Response) error {
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	c.asked.Add(1)
	return nil
}

func (c *crowd) dial() (net.Conn, error) {
	d := &net.Dialer{Timeout: testnet.Patience}
	if c.tls != nil {
		return tls.DialWithDialer(d, "tcp", c.address, c.tls)
	}
	return d.Dial("tcp", c.address)
}

// client is one of the crowd.
func (c *crowd) client() {
	for !c.stop.Load() {
		conn, err := c.dial()
		if err != nil {
			c.note(&c.refused, err)
			continue
		}
		if err := c.talk(conn); err != nil {
			c.note(&c.failed, err)
		}
		conn.Close()
	}
}

// talk makes requests on a connection until the gateway says that it closes it.
func (c *crowd) talk(conn net.Conn) error {
	r := bufio.NewReader(conn)
	for !c.stop.Load() {
		_ = conn.SetDeadline(time.Now().Add(testnet.Patience))
		if _, err := io.WriteString(conn, "GET "+c.path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		if err := c.took(resp); err != nil {
			return err
		}
		if resp.Close {
			c.closed.Add(1)
			return nil
		}
	}
	return nil
}

// note counts what went wrong.
func (c *crowd) note(count *atomic.Int64, err error) {
	count.Add(1)
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
