package proxy

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/testnet"
)

// The timeouts of the contract, at the lengths it gives them, on a clock that the test moves.

// timeouts.request_header: from the first byte of a request to the end of its head.
func TestARequestHeadThatComesTooSlowlyIs408(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withLog(), withClock())
	b := g.connect(t)
	const head = "GET /slow HTTP/1.1\r\nHost: a\r\nUser-Agent: snail\r\nX: yyyy"
	b.send(head[:len(head)-9])
	for i := range 9 { // one more byte a second is no progress
		sent := len(head) - 9 + i
		g.await(t, "the bytes to be read", func(w *worker) bool { return in(phaseHead)(w) && len(w.first().conn.Unread()) == sent })
		g.pass(t, time.Second)
		b.send(head[sent : sent+1])
	}
	g.await(t, "the last byte to be read", func(w *worker) bool { return len(w.first().conn.Unread()) == len(head) })
	g.runOut(t, time.Second, in(phaseHead))
	b.answer().wantError(t, 408, "request_timeout")
	b.wantEnd()
	if line := g.logged(t, 1)[0]; line.Flag != "DT" || line.Status != 408 || line.Target != "/slow" || line.Agent != "snail" {
		t.Errorf("logged %+v", line)
	}
}

func TestAConnectionThatNeverAsksEndsWithoutAWord(t *testing.T) {
	g := newGateway(t, nil, withClock())
	b := g.connect(t)
	g.await(t, "the connection", in(phaseIdle))
	g.runOut(t, 10*time.Second, in(phaseIdle))
	b.wantEnd()
}

// The bytes of a head that is not whole move from buffer to buffer. What is logged of it must be its own, not what another connection has put in the buffer
// since.
func TestTheLogOfAnUnfinishedHeadIsItsOwn(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withLog(), withClock())
	b := g.connect(t)
	b.send("GET /slow HTTP/1.1\r\nHost: slow\r\nUser-Agent: snail\r\nX: ")
	g.await(t, "the beginning to have been read", in(phaseHead))
	b.send("yyy\r\nX-Y: z")
	other := g.connect(t)
	for range 20 {
		other.send("GET /quick?" + strings.Repeat("q", 1500) + " HTTP/1.1\r\nHost: quick\r\nUser-Agent: rabbit\r\n\r\n")
		other.answer().want(t, 200, "ok")
	}
	g.pass(t, 11*time.Second)
	b.answer().wantError(t, 408, "request_timeout")
	lines := g.logged(t, 21) // over HTTP/2 the end of a stream, and with it the last line of the other, may come after it
	i := slices.IndexFunc(lines, func(l logLine) bool { return l.Status == 408 })
	if l := lines[max(i, 0)]; l.Target != "/slow" || l.Agent != "snail" || l.Method != "GET" || l.Host != "slow" {
		t.Errorf("logged %+v", l)
	}
}

// timeouts.request_body: between two reads of the body, however long the whole of it takes.
func TestARequestBodyThatStopsIs408(t *testing.T) {
	closed := make(chan struct{})
	n := newNode(t, func(c *nodeConn) { c.head(); c.hold(); close(closed) })
	g := newGateway(t, []string{n.addr}, withLog(), withClock())
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
	for i := range int64(4) {
		b.send("x")
		g.await(t, "the byte to be read", func(w *worker) bool { return in(phaseBody)(w) && w.first().request.bytesIn == i+1 })
		if i < 3 {
			g.pass(t, 59*time.Second)
		}
	}
	g.runOut(t, time.Minute, in(phaseBody))
	b.answer().wantError(t, 408, "request_timeout")
	b.wantEnd()
	testnet.Receive(t, "the node's connection to close", closed)
	if line := g.logged(t, 1)[0]; line.Flag != "DT" || line.BytesIn != 4 {
		t.Errorf("logged %+v", line)
	}
}

// timeouts.keep_alive: between two requests.
func TestAnIdleConnectionEndsWithoutAWord(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withClock())
	b := g.connect(t)
	for range 3 {
		b.wantGet("ok")
		g.await(t, "the connection to be idle", in(phaseIdle))
		g.pass(t, time.Minute-grain)
	}
	b.wantGet("ok")
	b.send("\r\n") // behind a body some clients send an empty line: no request has begun
	g.await(t, "the line to be read", func(w *worker) bool { return in(phaseIdle)(w) && len(w.first().conn.Unread()) == 2 })
	g.runOut(t, time.Minute, in(phaseIdle))
	b.wantEnd()
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

// timeouts.send: a client that is behind must take something.
func TestAClientThatNoLongerReadsIsReset(t *testing.T) {
	n := newNode(t, endless("HTTP/1.1 200 OK\r\n\r\n"))
	g := newGateway(t, []string{n.addr}, withLog(), withClock())
	b := g.connect(t)
	_ = b.SetReadBuffer(128 << 10)
	b.send("GET / HTTP/1.0\r\n\r\n") // the end of the body is the end of the connection, so only a reset says that it is not whole
	for range 4 {                    // as long as it takes something now and then, it is only slow
		for !g.onLoop(func(w *worker) bool {
			if w.sessions == nil {
				return false
			}
			s := w.first()
			if !s.sendTimer.Armed() || s.conn.Delivered() == s.sentMark {
				return false
			}
			g.clock.ns.Add(int64(10*time.Second + grain))
			return true
		}) {
			if _, err := io.CopyN(io.Discard, b.r, 64<<10); err != nil {
				t.Fatal(err)
			}
		}
		g.pass(t, 0)
		if !g.onLoop(in(phaseWait)) {
			t.Fatal("it was cut though it took something")
		}
	}
	for g.onLoop(in(phaseWait)) { // what the kernel still takes counts as taken, so that it may need some rounds
		g.awaitStandstill(t)
		g.runOut(t, 10*time.Second, in(phaseWait))
	}
	if line := g.logged(t, 1)[0]; line.Flag != "DC" || line.Status != 200 || line.Reason != "the client did not take the answer in time" {
		t.Errorf("logged %+v", line)
	}
	if _, err := io.Copy(io.Discard, b.r); err == nil {
		t.Error("the cut answer ended as a whole one does")
	}
	testnet.Await(t, "the node's connection to close", func() bool { return n.open() == 0 })
}

// awaitStandstill waits until the only client's kernel takes no more of an answer: it has taken nothing in a hundred looks.
func (g *gateway) awaitStandstill(t testing.TB) {
	t.Helper()
	taken, looks := uint64(0), 0
	g.await(t, "the client's kernel to be full", func(w *worker) bool {
		s := w.first()
		if now := s.conn.Delivered(); now != taken || !s.sendTimer.Armed() {
			taken, looks = now, 0
		}
		looks++
		return looks > 100
	})
}

// It holds for the end of an answer too, which may be too little for its source to be stopped: what is whole in our queue is not yet in the client's hands.
func TestAClientThatDoesNotTakeTheEndOfItsAnswerIsReset(t *testing.T) {
	for connection, rests := range map[string]phase{"keep-alive": phaseIdle, "close": phaseLinger} {
		pieces := make(chan string)
		n := newNode(t, func(c *nodeConn) {
			c.head()
			c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			for s := range pieces {
				c.write(s)
			}
			c.hold()
		})
		g := newGateway(t, []string{n.addr}, withLog(), withClock())
		b := g.connect(t)
		_ = b.SetReadBuffer(64 << 10)
		b.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: " + connection + "\r\n\r\n")
		const size = 32 << 10 // half of what stops the node
		piece := "8000\r\n" + strings.Repeat("x", size) + "\r\n"
		for sent, behind := int64(0), false; !behind; {
			pieces <- piece
			sent += size
			g.await(t, "the piece", func(w *worker) bool { return w.sessions != nil && w.first().request.bytesOut == sent })
			behind = g.onLoop(func(w *worker) bool { return w.first().conn.Queued() > 0 })
		}
		pieces <- "0\r\n\r\n"
		close(pieces)
		if line := g.logged(t, 1)[0]; line.Status != 200 || line.Flag != "" {
			t.Errorf("logged %+v", line)
		}
		g.await(t, "the end", in(rests))
		for g.onLoop(in(rests)) {
			g.awaitStandstill(t)
			g.runOut(t, 10*time.Second, in(rests))
		}
		if _, err := io.Copy(io.Discard, b.r); err == nil {
			t.Errorf("%s: the cut answer ended as a whole one does", connection)
		}
	}
}

// A client that has its last answer and neither reads on nor ends its side does not keep the connection.
func TestAClientThatDoesNotEndItsSideIsClosed(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withClock())
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nand more") // else it would be closed at once
	b.answer().want(t, 200, "ok")
	b.wantEnd() // ours: the client's side stays open
	g.await(t, "our side to have ended", in(phaseLinger))
	g.runOut(t, lingerTime, in(phaseLinger))
	if !g.onLoop(func(w *worker) bool { return w.sessions == nil }) {
		t.Error("the connection is still there")
	}
}

// Nor does one that never stops sending.
func TestAClientThatGoesOnSendingBehindItsAnswerIsClosed(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr}, withClock())
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nand more")
	b.answer().want(t, 200, "ok")
	g.await(t, "our side to have ended", in(phaseLinger))
	for passed := time.Duration(0); passed < lingerMost-lingerTime; passed += lingerTime - grain {
		g.pass(t, lingerTime-grain)
		b.send("x")
		for range 2 { // what the kernel has by now is read in the turn that follows
			if g.onLoop(func(w *worker) bool { return w.sessions == nil }) {
				t.Fatalf("the connection was closed after %v", passed)
			}
		}
	}
	g.pass(t, lingerTime)
	testnet.Await(t, "the connection to be closed", func() bool { return g.onLoop(func(w *worker) bool { return w.sessions == nil }) })
}

// A body that nobody wants any more must not take for ever.
func TestABodyThatIsDrainedTooSlowlyClosesTheConnection(t *testing.T) {
	n := earlyNode(t)
	g := newGateway(t, []string{n.addr}, withClock())
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
	b.answer().want(t, 403, "no")
	g.await(t, "the rest of the body to be drained", in(phaseDrain))
	g.pass(t, lingerTime-grain)
	b.send("x")
	g.await(t, "the byte", func(w *worker) bool { return w.first().linger == lingerBytes-1 })
	g.pass(t, 2*grain)
	b.wantEnd()
}

// A drain waits a moment for the first request of a client that has just connected.
func TestADrainWaitsForAFirstRequestForAMoment(t *testing.T) {
	g := newGateway(t, nil, withClock())
	b := g.connect(t)
	g.await(t, "the connection", in(phaseIdle))
	said := g.drainNow(t)
	g.await(t, "the drain", func(w *worker) bool { return w.draining })
	g.runOut(t, greetTime, in(phaseIdle))
	b.wantEnd()
	if err := testnet.Receive(t, "the drain", said); err != nil {
		t.Error(err)
	}
}

// The log has the lengths of the parts of an exchange: until the head was whole, to connect, to the first byte of the answer, and the whole.
func TestTheLogTellsHowLongEachPartTook(t *testing.T) {
	release := make(chan string)
	n := newNode(t, func(c *nodeConn) {
		c.head()
		for s := range release {
			c.write(s)
		}
	})
	g := newGateway(t, []string{n.addr}, withLog(), withClock())
	b := g.connect(t)
	b.send("GET / HTTP/1.1\r\nHo")
	g.await(t, "half of the head", in(phaseHead))
	g.pass(t, 2*time.Second)
	b.send("st: a\r\n\r\n")
	g.await(t, "the request to be sent", waitingFor(waitHead))
	g.pass(t, 3*time.Second)
	release <- "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"
	g.await(t, "the answer to begin", func(w *worker) bool { return waitingFor(waitBody)(w) && w.exchange().bytesOut == 1 })
	g.pass(t, 4*time.Second)
	release <- "k"
	close(release)
	b.answer().want(t, 200, "ok")
	if l := g.logged(t, 1)[0]; l.Head != 2000 || l.FirstByte != 5000 || l.Duration != 9000 {
		t.Errorf("logged %+v", l)
	}
}
