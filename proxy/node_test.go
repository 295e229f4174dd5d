package proxy

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// node is an origin that does on each connection what a script says, byte for byte.
type node struct {
	addr   string
	opened atomic.Int32 // connections so far

	listener net.Listener
	running  sync.WaitGroup
	mu       sync.Mutex // guards conns and stopped
	conns    map[*nodeConn]bool
	stopped  bool
	quit     chan struct{} // closed by stop
}

// nodeConn is one connection of a node, as its script sees it. The script runs on a goroutine of its own and must not end the test.
type nodeConn struct {
	*net.TCPConn
	n    int // of the connection, from 1
	r    *bufio.Reader
	quit <-chan struct{}
}

// newNode starts a node on a free port; it ends with the test, whatever its scripts are doing.
func newNode(t testing.TB, script func(c *nodeConn)) *node {
	t.Helper()
	return newNodeAt(t, "127.0.0.1:0", script)
}

// newNodeAt starts it on an address: all of 127.0.0.0/8 is this machine, which gives nodes an order.
func newNodeAt(t testing.TB, addr string, script func(c *nodeConn)) *node {
	t.Helper()
	n := startNode(t, addr, script)
	t.Cleanup(n.stop)
	return n
}

func startNode(t testing.TB, addr string, script func(c *nodeConn)) *node {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{addr: ln.Addr().String(), listener: ln, conns: map[*nodeConn]bool{}, quit: make(chan struct{})}
	n.running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			nc := &nodeConn{TCPConn: c.(*net.TCPConn), n: int(n.opened.Add(1)), r: bufio.NewReader(c), quit: n.quit}
			if !n.add(nc) {
				continue
			}
			n.running.Go(func() {
				defer n.remove(nc)
				script(nc)
			})
		}
	})
	return n
}

func (n *node) add(c *nodeConn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped {
		c.Close()
		return false
	}
	n.conns[c] = true
	return true
}

func (n *node) remove(c *nodeConn) {
	c.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// open returns how many connections are open now.
func (n *node) open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns)
}

func (n *node) stop() {
	n.listener.Close()
	close(n.quit)
	n.mu.Lock()
	n.stopped = true
	for c := range n.conns {
		c.Close()
	}
	n.mu.Unlock()
	n.running.Wait()
}

// until reads up to and with mark; "" when the connection ends before.
func (c *nodeConn) until(mark string) string {
	var b strings.Builder
	for !strings.HasSuffix(b.String(), mark) {
		p, err := c.r.ReadByte()
		if err != nil {
			return ""
		}
		b.WriteByte(p)
	}
	return b.String()
}

// head reads a request head; "" when the connection ends before.
func (c *nodeConn) head() string { return c.until("\r\n\r\n") }

// take reads n bytes; fewer when the connection ends before.
func (c *nodeConn) take(n int) string {
	b := make([]byte, n)
	got, _ := io.ReadFull(c.r, b)
	return string(b[:got])
}

// write sends s; a connection that is gone is the test's to notice.
func (c *nodeConn) write(s string) { _, _ = io.WriteString(c.TCPConn, s) }

// reset closes the connection so that the gateway sees an error.
func (c *nodeConn) reset() {
	_ = c.SetLinger(0)
	c.Close()
}

// await returns once ch is closed or the test has ended.
func (c *nodeConn) await(ch <-chan struct{}) {
	select {
	case <-ch:
	case <-c.quit:
	}
}

// hold does nothing until the gateway ends the connection.
func (c *nodeConn) hold() { _, _ = io.Copy(io.Discard, c.r) }

// ok is an answer without a body's worth of news.
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// answering is a script that answers every request, none with a body, with the same bytes.
func answering(answer string) func(*nodeConn) {
	return func(c *nodeConn) {
		for c.head() != "" {
			c.write(answer)
		}
	}
}

// slowNode is a node that answers at once, but for GET /slow: it tells the test of each, and answers those once answer is closed.
func slowNode(t testing.TB) (n *node, asked <-chan struct{}, answer chan struct{}) {
	t.Helper()
	came, answer := make(chan struct{}, 1), make(chan struct{})
	n = newNode(t, func(c *nodeConn) {
		for head := c.head(); head != ""; head = c.head() {
			if strings.HasPrefix(head, "GET /slow") {
				came <- struct{}{}
				c.await(answer)
			}
			c.write(ok)
		}
	})
	return n, came, answer
}
