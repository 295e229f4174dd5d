package proxy

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sluice/internal/testnet"
)

// drainNow starts a drain and returns what Drain will say.
func (g *gateway) drainNow(t *testing.T) <-chan error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
	t.Cleanup(cancel)
	said := make(chan error, 1)
	go func() { said <- g.Drain(ctx) }()
	return said
}

func TestADrainAnswersWhatIsInFlightAndEndsWhatIsIdle(t *testing.T) {
	n, asked, answer := slowNode(t)
	g := newGateway(t, []string{n.addr}, withWorkers(2))
	idle, busy, reading := g.connect(t), g.connect(t), g.connect(t)
	idle.wantGet("ok")
	reading.send("GET /half HTTP/1.1\r\nHo")
	busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	testnet.Receive(t, "the request in flight", asked)
	said := g.drainNow(t)
	idle.wantEnd()
	idle.Close()
	testnet.Await(t, "the listeners to be closed", func() bool {
		c, err := net.Dial("tcp", g.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	reading.send("st: a\r\n\r\n")
	a := reading.answer()
	a.want(t, 200, "ok")
	if a.get("Connection") != "close" {
		t.Errorf("%q", a.head)
	}
	reading.wantEnd()
	reading.Close()
	select {
	case err := <-said:
		t.Fatalf("the drain ended before the request in flight: %v", err)
	default:
	}
	close(answer)
	a = busy.answer()
	a.want(t, 200, "ok")
	if a.get("Connection") != "close" {
		t.Errorf("%q", a.head)
	}
	busy.wantEnd()
	busy.Close()
	if err := testnet.Receive(t, "the drain", said); err != nil {
		t.Error(err)
	}
}

// A connection that the kernel has greeted is not refused, though the worker hears of it only when the drain begins.
func TestADrainServesWhoeverHasJustConnected(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr})
	in, out := make(chan struct{}), make(chan struct{})
	g.workers[0].loop.Post(func() { close(in); <-out })
	testnet.Receive(t, "the worker", in)
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	empty := make(chan struct{}, 1)
	g.workers[0].loop.Post(func() { g.workers[0].drain(empty) }) // before the worker can accept
	close(out)
	a := b.answer()
	a.want(t, 200, "ok")
	if a.get("Connection") != "close" {
		t.Errorf("%q", a.head)
	}
	b.wantEnd()
	b.Close()
	testnet.Receive(t, "the drain", empty)
}

// Whoever has its answer, and whoever has been there for longer than a first request may be on its way, is let go without its help: it need not end its side.
func TestADrainWaitsForNobodyWhoRests(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withClock())
	idle, never := g.connect(t), g.connect(t)
	idle.wantGet("ok")
	g.await(t, "the answer to be acknowledged", func(w *worker) bool {
		return w.countSessions() == 2 && w.oldest.session.(*session).delivered() && w.sessions.session.(*session).delivered()
	})
	g.pass(t, greetTime)
	if err := testnet.Receive(t, "the drain", g.drainNow(t)); err != nil { // no time passes
		t.Error(err)
	}
	idle.wantEnd()
	never.wantEnd()
}

// A request that has come before the drain is answered, though the worker has not heard of it yet.
func TestADrainAnswersARequestThatHasJustCome(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	b.wantGet("ok")
	in, out := make(chan struct{}), make(chan struct{})
	g.workers[0].loop.Post(func() { close(in); <-out })
	testnet.Receive(t, "the worker", in)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	empty := make(chan struct{}, 1)
	g.workers[0].loop.Post(func() { g.workers[0].drain(empty) }) // before the worker can read
	close(out)
	b.wantLast("ok")
	testnet.Receive(t, "the drain", empty)
}

// A head that has begun has its time in a drain too. Behind the answer the connection is closed as soon as a reset would do no harm, a moment after the client has fallen silent.
func TestADrainWaitsAMomentForTheEndOfOthers(t *testing.T) {
	g := newGateway(t, nil, withClock())
	b := g.connect(t)
	b.send("GET /half HTTP/1.1\r\nHo")
	g.await(t, "the head to begin", in(phaseHead))
	said := g.drainNow(t)
	g.await(t, "the drain", func(w *worker) bool { return w.draining })
	g.runOut(t, 10*time.Second, in(phaseHead))
	if a := b.answer(); a.status != 408 {
		t.Errorf("got %+v", a)
	}
	b.wantEnd()
	g.await(t, "the end to be acknowledged", func(w *worker) bool { return w.first().delivered() })
	g.runOut(t, greetTime, in(phaseLinger))
	if err := testnet.Receive(t, "the drain", said); err != nil {
		t.Error(err)
	}
}

func TestADrainThatTakesTooLongSaysSo(t *testing.T) {
	n := newNode(t, func(c *nodeConn) { c.head(); c.hold() })
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	testnet.Await(t, "the node to be asked", func() bool { return n.open() == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	err := g.Drain(ctx)
	if err == nil || !strings.Contains(err.Error(), "1 connections") {
		t.Errorf("got %v", err)
	}
}

func TestAnIdleServerDrainsAtOnce(t *testing.T) {
	g := newGateway(t, nil, withWorkers(2))
	if err := testnet.Receive(t, "the drain", g.drainNow(t)); err != nil {
		t.Error(err)
	}
}

// A client that has asked for the end behind its request sends nothing that a reset could follow: its connection is gone with the answer. One that has sent more is
// read to its end, or the reset would take the answer with it (RFC 9112 §9.6).
func TestAConnectionThatTheClientWantsClosedIsClosedAtOnce(t *testing.T) {
	g := newGateway(t, []string{origin(t, echo)})
	gone := func() bool { return g.onLoop(func(w *worker) bool { return w.sessions == nil }) }
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	b.answer()
	b.wantEnd()
	if !gone() {
		t.Error("the connection waits for the client to end it too")
	}
	b = g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /more HTTP/1.1\r\nHost: a\r\n\r\n")
	b.answer()
	b.wantEnd()
	if gone() {
		t.Error("the connection was closed with bytes unread")
	}
}

// A tunnel goes on while the gateway drains. When the time of the drain is up it is cut, and logged like one that ended by itself.
func TestATunnelLivesThroughADrainUntilItsTimeIsUp(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write(switched)
		_, _ = io.Copy(c.TCPConn, c.r)
	})
	g := newGateway(t, []string{n.addr}, withLog())
	c, r := openTunnel(t, g.addr)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	said := make(chan error, 1)
	go func() { said <- g.Drain(ctx) }()
	g.await(t, "the drain", func(w *worker) bool { return w.draining })
	for range 3 {
		if _, err := io.WriteString(c, "still here"); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len("still here"))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != "still here" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	cancel() // its time is up
	if err := testnet.Receive(t, "the drain", said); err == nil || !strings.Contains(err.Error(), "1 connections") {
		t.Errorf("got %v", err)
	}
	g.Close()
	_, _ = io.ReadAll(r)
	if l := g.logged(t, 1)[0]; l.Flag != "LR" || l.Code != "stopped" || l.Status != 101 || l.BytesIn != 30 || l.BytesOut != 30 {
		t.Errorf("logged %+v", l)
	}
	if opened, open := g.metric(t, "sluice_tunnels_total"), g.metric(t, "sluice_tunnels"); opened != 1 || open != 0 {
		t.Errorf("%v tunnels were opened, %v are open", opened, open)
	}
}

// What the end of the process cuts is in the log, whatever the protocol; and the client can tell that it was cut.
func TestWhatIsCutByTheEndOfTheProcessIsLogged(t *testing.T) {
	asked := make(chan struct{}, 3)
	n := newNode(t, func(c *nodeConn) {
		for head := c.head(); head != ""; head = c.head() {
			if strings.HasPrefix(head, "GET /again") {
				c.write(ok)
				continue
			}
			if strings.HasPrefix(head, "GET /half") {
				c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
			}
			asked <- struct{}{}
			c.hold()
		}
	})
	g := newGateway(t, []string{n.addr}, withLog())
	half, waiting, idle := g.connect(t), g.connect(t), g.connect(t)
	idle.wantGet("ok")
	half.send("GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := half.r.Peek(1); err != nil {
		t.Fatal(err)
	}
	waiting.send("GET /waiting HTTP/1.1\r\nHost: a\r\n\r\n")
	failed := make(chan error, 1)
	go func() {
		resp, err := h2cClient(t).Get("http://" + g.addr + "/h2")
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	for range 3 {
		testnet.Receive(t, "the requests to reach the node", asked)
	}
	g.Close()
	if a := half.answer(); a.status != 200 || a.body != "half" || a.cut == nil {
		t.Errorf("got %+v", a)
	}
	if a, err := readAnswer(waiting.r, "GET"); err == nil {
		t.Errorf("got %+v", a)
	}
	if err := testnet.Receive(t, "the end of the HTTP/2 request", failed); err == nil {
		t.Error("it was answered")
	}
	for _, l := range g.logged(t, 4)[1:] {
		if l.Flag != "LR" {
			t.Errorf("logged %+v", l)
		}
	}
}
