package upstream

import (
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"sluice/core/event"
	"sluice/core/observe"
	"sluice/internal/testnet"
)

// worker is a loop that runs for the time of a test, on a clock that the test moves.
type worker struct {
	*event.Loop
	t     testing.TB
	clock *atomic.Int64
}

func startWorker(t testing.TB) *worker {
	t.Helper()
	w := &worker{t: t, clock: new(atomic.Int64)}
	w.clock.Store(int64(time.Hour))
	l, err := event.NewLoop(event.Options{Now: w.clock.Load, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w.Loop = l
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	t.Cleanup(func() {
		l.Stop()
		if err := testnet.Receive(t, "the loop to end", done); err != nil {
			t.Error(err)
		}
	})
	return w
}

// do runs f on the loop and waits for it.
func (w *worker) do(f func()) {
	w.t.Helper()
	done := make(chan struct{})
	w.Post(func() { defer close(done); f() })
	testnet.Receive(w.t, "the loop", done)
}

// await waits until cond, which is asked on the loop, is true.
func (w *worker) await(what string, cond func() bool) {
	w.t.Helper()
	testnet.Await(w.t, what, func() (ok bool) {
		w.do(func() { ok = cond() })
		return ok
	})
}

// pass lets time pass. The timers that are due have expired when it returns.
func (w *worker) pass(d time.Duration) {
	w.t.Helper()
	w.clock.Add(int64(d))
	for range 2 {
		w.do(func() {})
	}
}

// origin is a node: the test holds its ends of the connections.
type origin struct {
	address string
	conns   chan *net.TCPConn
}

func startOrigin(t testing.TB) *origin {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{address: ln.Addr().String(), conns: make(chan *net.TCPConn, 100)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			o.conns <- c.(*net.TCPConn)
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		testnet.Receive(t, "the origin to end", ended)
		for len(o.conns) > 0 {
			(<-o.conns).Close()
		}
	})
	return o
}

// exchange owns a connection as an exchange does.
type exchange struct {
	conn *Conn
	got  []byte
	ends int
}

func (x *exchange) Opened(*event.Conn) { x.conn.Established() }

func (x *exchange) Data(c *event.Conn) {
	x.got = append(x.got, c.Unread()...)
	c.Consume(len(c.Unread()))
}

func (x *exchange) EOF(*event.Conn)           { x.ends++; x.conn.Discard() }
func (x *exchange) Drained(*event.Conn)       {}
func (x *exchange) Closed(*event.Conn, error) { x.ends++; x.conn.Discard() }

// bench is one worker, one service and its one node.
type bench struct {
	*worker
	*origin
	registry *Registry
	service  *Service
	node     *Node
}

func startBench(t testing.TB, change func(*Config)) *bench {
	t.Helper()
	w, o := startWorker(t), startOrigin(t)
	config := &Config{}
	if change != nil {
		change(config)
	}
	r := NewRegistry([]Poster{w}, observe.NewRegistry(1))
	s := r.Update("s", config, []NodeSpec{{Upstream: o.address, Weight: 1}})
	return &bench{w, o, r, s, s.Nodes()[0]}
}

// acquire begins an exchange on an established connection, and returns the node's end too where it is a new one.
func (b *bench) acquire(fresh bool) (x *exchange, peer *net.TCPConn) {
	b.t.Helper()
	x = &exchange{}
	b.do(func() {
		c, err := b.node.Acquire(0, b.Loop, x, fresh)
		if err != nil {
			b.t.Error(err)
		}
		x.conn = c
	})
	if x.conn == nil {
		b.t.FailNow()
	}
	b.await("the connection", func() bool { return x.conn.IsConnected() })
	if !x.conn.Reused {
		peer = testnet.Receive(b.t, "the node's end", b.conns)
		b.t.Cleanup(func() { peer.Close() })
	}
	return x, peer
}

func (b *bench) release(x *exchange) {
	b.t.Helper()
	b.do(func() { x.conn.Release(b.service) })
}

// idle returns how many connections the pool keeps.
func (b *bench) idle() (n int) {
	b.t.Helper()
	b.do(func() { n = len(b.node.pools[0].idle) })
	return n
}

// expect checks what is open and what of it is idle.
func (b *bench) expect(open, idle int) {
	b.t.Helper()
	if o, i := b.node.Conns(), b.idle(); o != open || i != idle {
		b.t.Errorf("%d connections, %d of them idle; want %d and %d", o, i, open, idle)
	}
}

// gone waits until nothing is open.
func (b *bench) gone() {
	b.t.Helper()
	b.await("the connections to be closed", func() bool { return b.node.Conns() == 0 && len(b.node.pools[0].idle) == 0 })
}
