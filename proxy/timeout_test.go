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
)

// short is a timeout that a test waits out.
const short = unit.Duration(60 * time.Millisecond)

func TestANodeThatDoesNotAnswerIs504(t *testing.T) {
	closed := make(chan struct{})
	n := newNode(t, func(c *nodeConn) { c.head(); c.hold(); close(closed) })
	g := newGateway(t, []string{n.addr}, withLog(), withTimeouts(func(c *TimeoutsConfig) { c.ResponseHeader = short }))
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	b.answer().wantError(t, 504, "upstream_timeout")
	testnet.Receive(t, "the node's connection to close", closed)
	if line := g.logged(t, 1)[0]; line.Flag != "UT" || line.Retries != 0 {
		t.Errorf("logged %+v", line)
	}
}

// fullListener returns an address on loopback where connects get no answer: its queue of completed connections is full and nobody accepts.
func fullListener(t *testing.T) string {
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
	for range 8 {
		c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("this kernel's queue does not fill up")
	return ""
}

func TestAConnectThatGetsNoAnswerIs504AndTriedElsewhere(t *testing.T) {
	full := fullListener(t)
	connect := withTimeouts(func(c *TimeoutsConfig) { c.Connect = short })
	g := newGateway(t, []string{full}, connect, withLog())
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	b.answer().wantError(t, 504, "upstream_timeout")
	if line := g.logged(t, 1)[0]; line.Flag != "UT" {
		t.Errorf("logged %+v", line)
	}
	n := newNodeAt(t, "127.0.0.2:0", answering(ok))
	g = newGateway(t, []string{full, n.addr}, connect)
	g.connect(t).wantGet("ok")
}

func TestAResponseBodyThatStopsIsCut(t *testing.T) {
	n := newNode(t, func(c *nodeConn) { c.head(); c.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour"); c.hold() })
	g := newGateway(t, []string{n.addr}, withLog(), withTimeouts(func(c *TimeoutsConfig) { c.ResponseBody = short }))
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if a := b.answer(); a.status != 200 || a.body != "four" || a.cut == nil {
		t.Errorf("got %+v", a)
	}
	if line := g.logged(t, 1)[0]; line.Flag != "UT" || line.Status != 200 || line.BytesOut != 4 {
		t.Errorf("logged %+v", line)
	}
}

// A body that comes slowly but steadily is not timed out: the bound is between two reads.
func TestASlowResponseBodyIsNotCut(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
		beat := time.NewTicker(short.Std() / 2)
		defer beat.Stop()
		for range 8 {
			<-beat.C
			c.write("x")
		}
	})
	g := newGateway(t, []string{n.addr}, withTimeouts(func(c *TimeoutsConfig) { c.ResponseBody = 2 * short }))
	g.connect(t).wantGet("xxxxxxxx")
}

func TestARequestHeadThatDoesNotComeIs408(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withLog(), withTimeouts(func(c *TimeoutsConfig) { c.RequestHeader = short }))
	b := g.connect(t)
	// Every byte comes in time; the head as a whole does not.
	done := make(chan struct{})
	go func() {
		defer close(done)
		beat := time.NewTicker(5 * time.Millisecond)
		defer beat.Stop()
		for _, c := range []byte("GET /slow HTTP/1.1\r\nHost: a\r\nUser-Agent: snail\r\nX: " + strings.Repeat("y", 1000)) {
			if _, err := b.Write([]byte{c}); err != nil {
				return
			}
			<-beat.C
		}
	}()
	b.answer().wantError(t, 408, "request_timeout")
	b.wantEnd()
	b.Close()
	testnet.Receive(t, "the writer", done)
	if line := g.logged(t, 1)[0]; line.Flag != "DT" || line.Status != 408 {
		t.Errorf("logged %+v", line)
	}
}

// The bytes of a head that is not whole move from buffer to buffer. What is logged of it must be its own, not what another connection has put in the buffer
// since.
func TestTheLogOfAnUnfinishedHeadIsItsOwn(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withLog(), withTimeouts(func(c *TimeoutsConfig) { c.RequestHeader = 4 * short }))
	b := g.connect(t)
	b.send("GET /slow HTTP/1.1\r\nHost: slow\r\nUser-Agent: snail\r\nX: ")
	testnet.Await(t, "the beginning to have been read", func() bool { return g.onLoop(func(w *worker) bool { return w.sessions.phase == phaseHead }) })
	b.send("yyy\r\nX-Y: z")
	other := g.connect(t)
	for range 20 {
		other.send("GET /quick?" + strings.Repeat("q", 1500) + " HTTP/1.1\r\nHost: quick\r\nUser-Agent: rabbit\r\n\r\n")
		other.answer().want(t, 200, "ok")
	}
	b.answer().wantError(t, 408, "request_timeout")
	lines := g.logged(t, 21)
	if l := lines[20]; l.Target != "/slow" || l.Agent != "snail" || l.Method != "GET" || l.Host != "slow" {
		t.Errorf("logged %+v", l)
	}
}

func TestARequestBodyThatStopsIs408(t *testing.T) {
	closed := make(chan struct{})
	n := newNode(t, func(c *nodeConn) { c.head(); c.hold(); close(closed) })
	g := newGateway(t, []string{n.addr}, withLog(), withTimeouts(func(c *TimeoutsConfig) { c.RequestBody = short }))
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfour")
	b.answer().wantError(t, 408, "request_timeout")
	b.wantEnd()
	testnet.Receive(t, "the node's connection to close", closed)
	if line := g.logged(t, 1)[0]; line.Flag != "DT" || line.BytesIn != 4 {
		t.Errorf("logged %+v", line)
	}
}

func TestAnIdleConnectionEndsWithoutAWord(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withTimeouts(func(c *TimeoutsConfig) { c.KeepAlive = short }))
	b := g.connect(t)
	b.wantGet("ok")
	b.send("\r\n") // behind a body some clients send an empty line: no request has begun
	b.wantEnd()
}

func TestAConnectionThatNeverAsksEndsWithoutAWord(t *testing.T) {
	g := newGateway(t, nil, withTimeouts(func(c *TimeoutsConfig) { c.RequestHeader = short }))
	g.connect(t).wantEnd()
}

// endless answers with a body that goes on until the connection ends.
func endless(head string) func(*nodeConn) {
	return func(c *nodeConn) {
		c.head()
		c.write(head)
		for piece := make([]byte, 64<<10); ; {
			if _, err := c.Write(piece); err != nil {
				return
			}
		}
	}
}

func TestAClientThatNeverReadsIsReset(t *testing.T) {
	n := newNode(t, endless("HTTP/1.1 200 OK\r\n\r\n"))
	g := newGateway(t, []string{n.addr}, withLog(), withTimeouts(func(c *TimeoutsConfig) { c.Send = short }))
	b := g.connect(t)
	_ = b.SetReadBuffer(4 << 10)
	b.send("GET / HTTP/1.0\r\n\r\n") // the end of the body is the end of the connection, so only a reset says that it is not whole
	if line := g.logged(t, 1)[0]; line.Flag != "DC" || line.Status != 200 {
		t.Errorf("logged %+v", line)
	}
	if _, err := io.Copy(io.Discard, b.r); err == nil {
		t.Error("the cut answer ended as a whole one does")
	}
	testnet.Await(t, "the node's connection to close", func() bool { return n.open() == 0 })
}

// The request body is stopped while the node takes none of it, and the client's own timer with it: the node has to be timed.
func TestANodeThatNeverReadsIs504(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	n := newNode(t, func(c *nodeConn) { _ = c.SetReadBuffer(4 << 10); c.head(); c.await(stop) })
	g := newGateway(t, []string{n.addr}, withLog(), withTimeouts(func(c *TimeoutsConfig) { c.ResponseHeader, c.RequestBody = 2*short, 20*short }))
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
	line := g.logged(t, 1)[0]
	if line.Status != 504 || line.Code != "upstream_timeout" {
		t.Errorf("logged %+v", line)
	}
	b.Close()
	testnet.Receive(t, "the writer", done)
}
