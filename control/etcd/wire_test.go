package etcd

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// wire is a TCP address that leads to a server's socket and can be cut, stalled and mended.
type wire struct {
	listener net.Listener
	socket   string
	wg       sync.WaitGroup

	delay   atomic.Int64 // nanoseconds that each piece takes
	refused atomic.Int64 // connections that were taken and closed

	mu     sync.Mutex // guards the rest
	broken bool
	conns  map[net.Conn]*atomic.Bool // true: what it brings is swallowed
}

func newWire(t *testing.T, socket string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: listener, socket: socket, conns: make(map[net.Conn]*atomic.Bool)}
	w.wg.Go(w.accept)
	t.Cleanup(func() {
		listener.Close()
		w.cut()
		w.wg.Wait()
	})
	return w
}

func (w *wire) endpoint() string { return w.listener.Addr().String() }

func (w *wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.connect(near)
	}
}

// connect joins a connection to the server, unless the wire is cut.
func (w *wire) connect(near net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		w.refused.Add(1)
		near.Close()
		return
	}
	far, err := net.Dial("unix", w.socket)
	if err != nil {
		near.Close()
		return
	}
	w.pass(far, near)
	w.pass(near, far)
}

// pass copies from one to the other until either ends. w.mu is held.
func (w *wire) pass(to, from net.Conn) {
	swallow := new(atomic.Bool)
	w.conns[from] = swallow
	w.wg.Go(func() {
		defer to.Close()
		defer from.Close()
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			if swallow.Load() {
				continue
			}
			if d := w.delay.Load(); d > 0 {
				<-time.After(time.Duration(d)) // the slowness is what is tested
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	})
}

// cut ends all connections and takes no more.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = true
	for conn := range w.conns {
		conn.Close()
	}
	clear(w.conns)
}

// mend takes connections again.
func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = false
}

// stall leaves all connections up and lets nothing through any more. New ones work.
func (w *wire) stall() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, swallow := range w.conns {
		swallow.Store(true)
	}
}
