package proxy

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/upstream"
)

// silentListener returns an address on loopback where connects get no answer: its queue of completed connections is full and nobody accepts.
func silentListener(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*unix.SockaddrInet4).Port)).String()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	testnet.Await(t, "the queue of the listener to be full", func() bool {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		return err == nil && info.Unacked > info.Sacked // of a listener: how many wait, and how many may
	})
	return addr
}

// timeouts.connect: the node has seen nothing, so another one may be asked.
func TestAConnectThatGetsNoAnswerIs504AndTriedElsewhere(t *testing.T) {
	silent := silentListener(t)
	g := newGateway(t, []string{silent}, withLog(), withClock())
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	g.await(t, "the connect", waitingFor(waitConnect))
	g.runOut(t, 3*time.Second, waitingFor(waitConnect))
	b.answer().wantError(t, 504, "upstream_timeout")
	if line := g.logged(t, 1)[0]; line.Flag != "UT" {
		t.Errorf("logged %+v", line)
	}
	n := newNodeAt(t, "127.0.0.2:0", answering(ok)) // asked second: nodes are in the order of their addresses
	g = newGateway(t, []string{silent, n.addr}, withClock())
	b = g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	g.await(t, "the connect", waitingFor(waitConnect))
	g.runOut(t, 3*time.Second, waitingFor(waitConnect))
	b.answer().want(t, 200, "ok")
}

// timeouts.response_header: from the last byte of the request on.
func TestANodeThatDoesNotAnswerIs504(t *testing.T) {
	closed := make(chan struct{}, 2)
	n := newNode(t, func(c *nodeConn) { c.head(); c.hold(); closed <- struct{}{} })
	g := newGateway(t, []string{n.addr}, withLog(), withClock())
	b := g.connect(t)
	b.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx")
	g.await(t, "half of the request", func(w *worker) bool { return in(phaseBody)(w) && w.first().request.bytesIn == 1 })
	g.pass(t, 59*time.Second)
	b.send("x")
	g.await(t, "the rest of it", waitingFor(waitHead))
	g.runOut(t, time.Minute, waitingFor(waitHead))
	b.answer().wantError(t, 504, "upstream_timeout")
	testnet.Receive(t, "the node's connection to close", closed)
	if line := g.logged(t, 1)[0]; line.Flag != "UT" || line.Retries != 0 {
		t.Errorf("logged %+v", line)
	}
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") // the client's connection is not to blame
	g.await(t, "the next request", waitingFor(waitHead))
}

// A node that takes nothing of the request stops its client, and the client's own timer with it: the node has to be timed.
func TestANodeThatNeverReadsIs504(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	n := newNode(t, func(c *nodeConn) { _ = c.SetReadBuffer(128 << 10); c.head(); c.await(stop) })
	g := newGateway(t, []string{n.addr}, withLog(), withClock())
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for piece := "10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n"; ; {
			if _, err := io.WriteString(b, piece); err != nil {
				return
			}
		}
	}()
	g.await(t, "the node to be behind", waitingFor(waitSend))
	g.await(t, "the kernel to be full", func(w *worker) bool {
		g.clock.ns.Add(int64(61 * time.Second)) // what the kernel still takes counts as taken
		return !waitingFor(waitSend)(w)
	})
	line := g.logged(t, 1)[0]
	if line.Status != 504 || line.Code != "upstream_timeout" {
		t.Errorf("logged %+v", line)
	}
	b.Close()
	testnet.Receive(t, "the writer", done)
}

// The bounds of a route and of its service come before the gateway's own.
func TestTheBoundsOfARouteComeBeforeThoseOfItsServiceAndTheGateway(t *testing.T) {
	n := newNode(t, func(c *nodeConn) { c.head(); c.hold() })
	ofService := withService(func(c *upstream.Config) { c.Timeout.Response = unit.Duration(20 * time.Second) })
	for _, c := range []struct {
		bound, route time.Duration
		options      []option
	}{
		{time.Minute, 0, nil},
		{20 * time.Second, 0, []option{ofService}},
		{5 * time.Second, 5 * time.Second, []option{ofService}},
	} {
		g := newGateway(t, []string{n.addr}, append(c.options, withClock())...)
		g.onLoop(func(*worker) bool { // where it is read
			g.Snapshot().Routes.Get("all").Value.Timeout.Response = c.route
			return true
		})
		b := g.connect(t)
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		g.await(t, "the request", waitingFor(waitHead))
		g.runOut(t, c.bound, waitingFor(waitHead))
		b.answer().wantError(t, 504, "upstream_timeout")
	}
}

// timeouts.response_body: between two reads of the body. A body that comes slowly but steadily is not cut.
func TestAResponseBodyThatStopsIsCut(t *testing.T) {
	more := make(chan string)
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
		for s := range more {
			c.write(s)
		}
		c.hold()
	})
	g := newGateway(t, []string{n.addr}, withLog(), withClock())
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	for i := range int64(4) {
		more <- "x"
		g.await(t, "the byte", func(w *worker) bool { return waitingFor(waitBody)(w) && w.exchange().bytesOut == i+1 })
		if i < 3 {
			g.pass(t, 59*time.Second)
		}
	}
	close(more)
	g.runOut(t, time.Minute, waitingFor(waitBody))
	if a := b.answer(); a.status != 200 || a.body != "xxxx" || a.cut == nil {
		t.Errorf("got %+v", a)
	}
	if line := g.logged(t, 1)[0]; line.Flag != "UT" || line.Status != 200 || line.BytesOut != 4 {
		t.Errorf("logged %+v", line)
	}
}

// timeouts.tunnel_idle: what either side says is a sign of life.
func TestASilentTunnelEnds(t *testing.T) {
	ended := make(chan struct{})
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write(switched)
		_, _ = io.Copy(c.TCPConn, c.r)
		close(ended)
	})
	g := newGateway(t, []string{n.addr}, withLog(), withClock())
	c, r := openTunnel(t, g.addr)
	for i := range int64(3) {
		if _, err := io.WriteString(c, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.ReadByte(); err != nil {
			t.Fatal(err)
		}
		g.await(t, "the byte", func(w *worker) bool { return w.exchange().bytesOut == i+1 })
		if i < 2 {
			g.pass(t, time.Hour-time.Second)
		}
	}
	g.runOut(t, time.Hour, in(phaseTunnel))
	_, _ = io.ReadAll(r) // an end or a reset: the tunnel has no end of its own
	testnet.Receive(t, "the node's end", ended)
	if line := g.logged(t, 1)[0]; line.Flag != "SI" || line.Code != "tunnel_idle" || line.Status != 101 || line.BytesIn != 3 || line.BytesOut != 3 {
		t.Errorf("logged %+v", line)
	}
}
