package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
	"time"
)

// origin is a server behind the gateway. It reads requests and writes bytes as it likes: the last segment of the path says what it does (visits), its mood
// whether it behaves at all.
type origin struct {
	addr string
	mood atomic.Int32 // a mood

	wrong     atomic.Int64 // bodies that came to a sink and were not what was sent
	endless   atomic.Int64 // answers without an end that are under way
	surprises atomic.Int64 // connections that the gateway has closed upon an answer too many

	mu      sync.Mutex // guards what follows
	ln      net.Listener
	conns   map[net.Conn]struct{}
	serving sync.WaitGroup
}

// mood is how an origin answers an echo.
type mood int32

const (
	moodGood    mood = iota // as it should
	moodSilent              // not at all
	moodGarbage             // with what is not HTTP
	moodHalf                // with half of the answer, and a reset
	moodHangsUp             // by closing without a word
	moodSlow                // as it should, piece by piece
	moods                   // how many there are
)

// pieceDelay is the pause between two pieces of a slow answer.
const pieceDelay = 5 * time.Millisecond

// startOrigin listens on a free port of the address, which is of 127.0.0.0/8. Origins that are to be killed and to come back have an address of their own,
// so that the port is not given away meanwhile.
func startOrigin(address string) (*origin, error) {
	o := &origin{addr: net.JoinHostPort(address, "0"), conns: make(map[net.Conn]struct{})}
	return o, o.listen()
}

// listen lets connections in, on the same address as before.
func (o *origin) listen() error {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", o.addr)
	if err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	o.mu.Lock()
	o.ln, o.addr = ln, ln.Addr().String()
	o.mu.Unlock()
	o.serving.Go(func() { o.accept(ln) })
	return nil
}

func (o *origin) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return // it was closed: nothing else ends a listener on loopback but want of descriptors, which the gateway's answers then tell
		}
		o.mu.Lock()
		alive := o.ln == ln
		if alive {
			o.conns[c] = struct{}{}
		}
		o.mu.Unlock()
		if !alive {
			_ = c.Close()
			continue
		}
		o.serving.Go(func() { o.serve(c) })
	}
}

// kill closes the listener and resets every connection, as the end of a process with unread bytes does.
func (o *origin) kill() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ln != nil {
		_ = o.ln.Close()
		o.ln = nil
	}
	for c := range o.conns {
		reset(c)
	}
}

// alive reports whether it listens.
func (o *origin) alive() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ln != nil
}

// close kills it for good and waits for what it has begun.
func (o *origin) close() {
	o.kill()
	o.serving.Wait()
}

func (o *origin) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		o.mu.Lock()
		delete(o.conns, c)
		o.mu.Unlock()
	}()
	v := &visit{origin: o, conn: c, in: bufio.NewReader(c)}
	for {
		req, err := http.ReadRequest(v.in)
		if err != nil {
			return
		}
		do := visits[path.Base(req.URL.Path)]
		if do == nil || !do(v, req) {
			return
		}
	}
}

// reset closes a connection with a reset.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // it is closed all the same
	}
	_ = c.Close()
}
