package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// nodeShim speaks HTTP/2 in front of a node of a test, which speaks HTTP/1.1: net/http's on the one side, bytes on the other. What the node does in another way than by an
// answer, it does to the stream: a connection that ends before the answer has is RST_STREAM. A connection of HTTP/1.1 is passed on as it is.
type nodeShim struct {
	node string
	h2   chan net.Conn // to net/http

	mu   sync.Mutex
	open map[net.Conn]bool // everything, to be closed with the test
	idle []*shimConn       // to the node, the latest last
	done bool
}

// shimConn is a connection to the node. While it is idle somebody watches whether the node ends it.
type shimConn struct {
	net.Conn
	r       *bufio.Reader
	watched chan bool // hears whether it is still good
}

// nodeShimH2 starts one, over TLS where config is not nil, and returns its address.
func nodeShimH2(t testing.TB, config *tls.Config, node string) string {
	t.Helper()
	ln, err := net.Listen("tcp", hostOf(node)+":0")
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	s := &nodeShim{node: node, h2: make(chan net.Conn), open: map[net.Conn]bool{}}
	server := &http.Server{Handler: s, Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(&shimListener{ln, s.h2}) })
	running.Go(func() {
		defer close(s.h2)
		var near sync.WaitGroup
		for {
			c, err := ln.Accept()
			if err != nil {
				break
			}
			near.Go(func() { s.accept(c, config) })
		}
		near.Wait()
	})
	t.Cleanup(func() {
		ln.Close()
		s.closeAll()
		server.Close()
		running.Wait()
	})
	return ln.Addr().String()
}

// shimListener gives net/http the connections that speak HTTP/2.
type shimListener struct {
	net.Listener
	conns <-chan net.Conn
}

func (l *shimListener) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

// peekedConn is a connection of which something has been read.
type peekedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *peekedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// CloseWrite ends one direction.
func (c *peekedConn) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

func (s *nodeShim) keep(c net.Conn) bool {
	narrow(tcpOf(c))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[c] = true; s.done {
		c.Close()
	}
	return !s.done
}

func (s *nodeShim) drop(c net.Conn) {
	c.Close()
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
}

func (s *nodeShim) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	for c := range s.open {
		c.Close()
	}
}

// accept finds out what a connection speaks.
func (s *nodeShim) accept(c net.Conn, config *tls.Config) {
	if config != nil {
		c = tls.Server(c, config)
	}
	if !s.keep(c) {
		return
	}
	near := &peekedConn{c, bufio.NewReader(c)}
	if first, err := near.r.Peek(3); err == nil && string(first) == "PRI" {
		s.h2 <- near
		return
	} else if err != nil {
		s.drop(c)
		return
	}
	far, err := net.Dial("tcp", s.node)
	if err != nil || !s.keep(far) {
		s.drop(c)
		return
	}
	var back sync.WaitGroup
	back.Go(func() { pass(far, near) })
	pass(near, far)
	back.Wait()
}

// get returns a connection to the node.
func (s *nodeShim) get() (*shimConn, error) {
	for {
		s.mu.Lock()
		last := len(s.idle) - 1
		if last < 0 {
			s.mu.Unlock()
			break
		}
		c := s.idle[last]
		s.idle = s.idle[:last]
		s.mu.Unlock()
		_ = c.SetReadDeadline(time.Unix(1, 0))
		if <-c.watched && c.quiet() {
			_ = c.SetReadDeadline(time.Time{})
			return c, nil
		}
		s.drop(c.Conn)
	}
	c, err := net.Dial("tcp", s.node)
	if err != nil || !s.keep(c) {
		return nil, errors.Join(err, net.ErrClosed)
	}
	return &shimConn{Conn: c, r: bufio.NewReader(c)}, nil
}

// put gives a connection back after a whole answer.
func (s *nodeShim) put(c *shimConn) {
	c.watched = make(chan bool, 1)
	s.mu.Lock()
	s.idle = append(s.idle, c)
	s.mu.Unlock()
	go func() {
		_, err := c.r.Peek(1)
		good := errors.Is(err, os.ErrDeadlineExceeded)
		c.watched <- good
		if !good {
			c.Close()
		}
	}()
}

// quiet reports whether the node has sent nothing that was not asked for, nor its end: whoever was to watch may not have come to it yet, and a deadline that is over comes before what is
// there.
func (c *shimConn) quiet() bool {
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Control(func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN
	})
	return err == nil && quiet
}

// ServeHTTP passes a request on, and its answer back.
func (s *nodeShim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := s.get()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	kept := false
	var sending sync.WaitGroup
	defer sending.Wait()
	defer func() {
		if !kept {
			s.drop(c.Conn)
		}
	}()
	// It must be called off before the connection is another request's: the context ends with this one.
	forget := context.AfterFunc(r.Context(), func() { c.Close() })
	defer forget()
	sent := make(chan bool, 1)
	var answered atomic.Bool // a node that has answered before the request was whole may keep the connection for nothing else
	sending.Go(func() { sent <- sendText(c, r, &answered) })
	for {
		resp, err := http.ReadResponse(c.r, r)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		answered.Store(resp.StatusCode >= 200)
		// The end of an answer whose length is known comes with its last byte, as it does from most servers: a client of HTTP/1.1 has the whole answer by then, and may go on at once.
		together := r.ContentLength == 0 && resp.ContentLength >= 0 && len(resp.Trailer) == 0
		copyHead(w, resp, together && resp.ContentLength == 0)
		if resp.StatusCode < 200 {
			continue
		}
		passAnswer(w, resp, together)
		whole := r.ContentLength == 0 && <-sent
		select {
		case whole = <-sent:
		default:
		}
		if kept = whole && !resp.Close && forget(); kept {
			s.put(c)
		}
		return
	}
}

// copyHead passes the head of an answer on, at once unless it is the end as well.
func copyHead(w http.ResponseWriter, resp *http.Response, end bool) {
	h := w.Header()
	clear(h)
	for name, values := range resp.Header {
		switch name {
		case "Connection", "Keep-Alive", "Transfer-Encoding":
		default:
			h[name] = values
		}
	}
	if resp.StatusCode >= 200 {
		for name := range resp.Trailer {
			h.Add("Trailer", name)
		}
	} else { // net/http writes an interim head from a copy without it, and without it from h, perhaps while the next head is put there
		h.Set("Content-Length", "0")
	}
	if h["Date"] == nil {
		h["Date"] = nil // none is added
	}
	w.WriteHeader(resp.StatusCode)
	if resp.StatusCode >= 200 && !end {
		w.(http.Flusher).Flush()
	}
}

// passAnswer passes the body of an answer on, its end together with the last byte or alone, and the fields behind it.
func passAnswer(w http.ResponseWriter, resp *http.Response, together bool) {
	buf := make([]byte, 32<<10)
	for left := resp.ContentLength; ; {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				panic(http.ErrAbortHandler)
			}
			if left -= int64(n); left != 0 || !together {
				w.(http.Flusher).Flush()
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	for name, values := range resp.Trailer {
		for _, v := range values {
			w.Header().Add(http.TrailerPrefix+name, v)
		}
	}
}

// sendText writes a request as text, and reports whether all of it was before it was answered.
func sendText(c net.Conn, r *http.Request, answered *atomic.Bool) bool {
	late := false
	write := func(p string) bool {
		late = late || answered.Load()
		_, err := io.WriteString(c, p)
		return err == nil
	}
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.RequestURI, r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			fmt.Fprintf(&head, "%s: %s\r\n", name, v)
		}
	}
	switch {
	case r.ContentLength < 0:
		head.WriteString("Transfer-Encoding: chunked\r\n\r\n")
	default: // net/http keeps the field
		head.WriteString("\r\n")
	}
	if !write(head.String()) {
		return false
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			p := string(buf[:n])
			if r.ContentLength < 0 {
				p = fmt.Sprintf("%x\r\n%s\r\n", n, p)
			}
			if !write(p) {
				return false
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return false
		}
	}
	if r.ContentLength >= 0 {
		return !late
	}
	end := "0\r\n"
	for name, values := range r.Trailer {
		for _, v := range values {
			end += name + ": " + v + "\r\n"
		}
	}
	return write(end+"\r\n") && !late
}
