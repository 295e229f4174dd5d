package proxy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"sluice/core/observe"
	"sluice/internal/testnet"
)

// handOverNow starts the hand-over and returns what HandOver will say. When it returns, no worker accepts any more.
func (g *gateway) handOverNow(t *testing.T) <-chan error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
	t.Cleanup(cancel)
	said := make(chan error, 1)
	go func() { said <- g.HandOver(ctx) }()
	testnet.Await(t, "the workers to hand over", func() bool { return g.onLoop(func(w *worker) bool { return w.draining }) })
	return said
}

// wantLast reads an answer that is the last of its connection.
func (c *browser) wantLast(body string) {
	c.t.Helper()
	a := c.answer()
	a.want(c.t, 200, body)
	if a.get("Connection") != "close" {
		c.t.Errorf("the answer does not say that it is the last: %q", a.head)
	}
	c.wantEnd()
	c.Close()
}

// A connection that is closed while it is idle may lose a request that is on its way: it ends with the answer to the next one.
func TestAHandOverAnswersTheNextRequestOfEveryConnection(t *testing.T) {
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	n := newNode(t, func(c *nodeConn) {
		for head := c.head(); head != ""; head = c.head() {
			if !strings.HasPrefix(head, "GET /slow") {
				c.write(ok)
				continue
			}
			c.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
			asked <- struct{}{}
			c.await(answer)
			c.write("lf")
		}
	})
	g := newGateway(t, []string{n.addr})
	idle, fresh, busy := g.connect(t), g.connect(t), g.connect(t)
	idle.wantGet("ok")
	busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	testnet.Receive(t, "the answer in flight", asked)
	testnet.Await(t, "three connections", func() bool { return g.onLoop(func(w *worker) bool { return w.countSessions() == 3 }) })
	readHead(t, busy) // it promises that the connection goes on
	said := g.handOverNow(t)
	close(answer)
	body := make([]byte, 4)
	if _, err := io.ReadFull(busy.r, body); err != nil || string(body) != "half" {
		t.Fatalf("%q, %v", body, err)
	}
	for _, b := range []*browser{busy, idle, fresh} {
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		b.wantLast("ok")
	}
	if err := testnet.Receive(t, "the end of the hand-over", said); err != nil {
		t.Error(err)
	}
}

// Requests that have come behind the one that is answered would be lost by a "close" too early.
func TestAHandOverAnswersAPipelineToItsEnd(t *testing.T) {
	n, asked, answer := slowNode(t)
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	b.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 3))
	testnet.Receive(t, "the first request", asked)
	said := g.handOverNow(t)
	close(answer)
	for range 3 {
		if a := b.answer(); a.get("Connection") == "close" {
			t.Fatalf("%q, with requests left", a.head)
		}
	}
	b.wantLast("ok")
	if err := testnet.Receive(t, "the end of the hand-over", said); err != nil {
		t.Error(err)
	}
}

func TestAHandOverEndsIdleConnectionsAfterTheirKeepAliveTime(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withClock())
	b := g.connect(t)
	b.wantGet("ok")
	g.await(t, "the connection to be idle", in(phaseIdle))
	said := g.handOverNow(t)
	g.await(t, "the hand-over", func(w *worker) bool { return w.draining })
	g.runOut(t, time.Minute, in(phaseIdle))
	b.wantEnd()
	if err := testnet.Receive(t, "the end of the hand-over", said); err != nil {
		t.Error(err)
	}
}

// SIGTERM during an upgrade: from then on there is haste.
func TestAHandOverCanBecomeADrain(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withWorkers(2))
	b := g.connect(t)
	b.wantGet("ok")
	ctx, cancel := context.WithCancel(context.Background())
	said := make(chan error, 1)
	go func() { said <- g.HandOver(ctx) }()
	testnet.Await(t, "the workers to hand over", func() bool { return g.onLoop(func(w *worker) bool { return w.handingOver }) })
	cancel()
	if err := testnet.Receive(t, "the end of the hand-over", said); err == nil {
		t.Error("all connections are gone")
	}
	drained := g.drainNow(t)
	b.wantEnd()
	b.Close()
	if err := testnet.Receive(t, "the drain", drained); err != nil {
		t.Error(err)
	}
}

// heir starts a gateway on the sockets of another, with its own number of workers.
func (g *gateway) heir(t *testing.T, workers int) *gateway {
	t.Helper()
	sockets, err := g.Sockets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config := g.config
	config.Workers = workers
	stats := observe.NewRegistry(workers)
	server, err := New(config, stats, slog.New(slog.NewTextHandler(testLog{t}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	server.Inherit(sockets)
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(server.Close)
	if server.Addrs()[0] != g.Addrs()[0] {
		t.Fatalf("it listens on %v, want %v", server.Addrs(), g.Addrs())
	}
	return &gateway{Server: server, stats: stats, addr: server.Addrs()[0].String()}
}

// sockets counts the listening sockets of each worker.
func (g *gateway) sockets(t *testing.T) (counts []int) {
	t.Helper()
	for _, w := range g.workers {
		answer := make(chan int, 1)
		w.loop.Post(func() { answer <- len(w.listeners) })
		counts = append(counts, testnet.Receive(t, "the worker", answer))
	}
	return counts
}

// The kernel spreads connections over all sockets of an address: each of them must have a worker, and each worker one of them.
func TestSocketsAreInheritedWhateverTheNumberOfWorkers(t *testing.T) {
	for workers, want := range map[int]string{1: "[3]", 2: "[2 1]", 3: "[1 1 1]", 5: "[1 1 1 1 1]"} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			old := newGateway(t, nil, withWorkers(3))
			next := old.heir(t, workers)
			if got := fmt.Sprint(next.sockets(t)); got != want {
				t.Errorf("the workers have %s sockets, want %s", got, want)
			}
			if err := testnet.Receive(t, "the hand-over", old.handOverNow(t)); err != nil {
				t.Fatal(err)
			}
			for range 100 {
				b := next.connect(t)
				b.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
				if a := b.answer(); a.status != 404 { // it has no routes
					t.Fatalf("%q", a.head)
				}
				b.Close()
			}
		})
	}
}

// The file no longer names the address: it must be free again.
func TestSocketsThatNoListenerWantsAreClosed(t *testing.T) {
	old := newGateway(t, nil)
	sockets, err := old.Sockets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config := old.config
	config.Listeners = []ListenerConfig{{Address: "127.0.0.2:0"}}
	server, err := New(config, observe.NewRegistry(1), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.Inherit(sockets)
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	if err := testnet.Receive(t, "the hand-over", old.handOverNow(t)); err != nil {
		t.Fatal(err)
	}
	if c, err := net.DialTimeout("tcp", old.addr, time.Second); err == nil {
		c.Close()
		t.Error("somebody still listens")
	}
}
