package proxy

import (
	"testing"
	"time"

	"sluice/codec"
	"sluice/codec/h2"
	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/upstream"
)

func withTimeout(change func(*upstream.TimeoutConfig)) option {
	return withService(func(c *upstream.Config) { change(&c.Timeout) })
}

// per_try: a node that hangs costs no more than that, since another is asked.
func TestATryThatTakesTooLongIsMadeElsewhere(t *testing.T) {
	hung, asked, left := silent(t)
	good := newNodeAt(t, "127.0.0.2:0", answering(ok))
	g := newGateway(t, []string{hung.addr, good.addr}, withClock(), withLog(), withTimeout(func(c *upstream.TimeoutConfig) {
		c.PerTry = unit.Duration(300 * time.Millisecond)
	}))
	b := g.connect(t)
	b.send(get)
	testnet.Receive(t, "the request", asked)
	g.await(t, "the exchange to wait", waitingFor(waitHead))
	g.runOut(t, 300*time.Millisecond, waitingFor(waitHead))
	b.answer().want(t, 200, "ok")
	testnet.Receive(t, "the hung node's connection to be closed", left)
	if line := g.logged(t, 1)[0]; line.Retries != 1 || line.Node != good.addr {
		t.Errorf("logged %+v", line)
	}
	// What may not be repeated is not.
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	testnet.Receive(t, "the request", asked)
	g.await(t, "the exchange to wait", waitingFor(waitHead))
	g.pass(t, 300*time.Millisecond+grain)
	b.answer().wantError(t, 504, "upstream_timeout")
}

// total: to the end of the answer, tries and waits between them included.
func TestAnExchangeTakesNoLongerThanItMay(t *testing.T) {
	started := make(chan struct{}, 1)
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ")
		started <- struct{}{}
		c.hold()
	})
	g := newGateway(t, []string{n.addr}, withClock(), withLog(), withTimeout(func(c *upstream.TimeoutConfig) { c.Total = unit.Duration(2 * time.Second) }))
	b := g.connect(t)
	b.send(get)
	testnet.Receive(t, "the answer to begin", started)
	g.await(t, "half of the body", func(w *worker) bool { return waitingFor(waitBody)(w) && w.exchange().bytesOut == int64(len("half ")) }) // its head alone may come first
	g.runOut(t, 2*time.Second, waitingFor(waitBody))
	if a := b.answer(); a.status != 200 || a.body != "half " || a.cut == nil {
		t.Errorf("got %+v", a)
	}
	if line := g.logged(t, 1)[0]; line.Flag != "UT" {
		t.Errorf("logged %+v", line)
	}
}

// The client's own wish counts where it is shorter.
func TestAClientMayAskForLessTime(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"X-Request-Timeout: 1":        time.Second,
		"X-Request-Timeout: 250ms":    250 * time.Millisecond,
		"X-Request-Timeout: 0.5s":     500 * time.Millisecond,
		"grpc-timeout: 700m":          700 * time.Millisecond,
		"X-Request-Timeout: 1m":       2 * time.Second,
		"X-Request-Timeout: whenever": 2 * time.Second,
	} {
		hung, asked, _ := silent(t)
		g := newGateway(t, []string{hung.addr}, withClock(), withTimeout(func(c *upstream.TimeoutConfig) { c.Total = unit.Duration(2 * time.Second) }))
		b := g.connect(t)
		b.send("GET / HTTP/1.1\r\nHost: a\r\n" + header + "\r\n\r\n")
		testnet.Receive(t, "the request", asked)
		g.await(t, "the exchange to wait", waitingFor(waitHead))
		g.runOut(t, want, waitingFor(waitHead))
		b.answer().wantError(t, 504, "upstream_timeout")
	}
}

// The route's bounds come before the service's.
func TestTheTimeoutsOfARouteComeFirst(t *testing.T) {
	hung, asked, _ := silent(t)
	for name, timeout := range map[string]RouteTimeout{"per try": {PerTry: 100 * time.Millisecond}, "total": {Total: 100 * time.Millisecond}} {
		g := newGateway(t, []string{hung.addr}, withClock(), withTimeout(func(c *upstream.TimeoutConfig) {
			c.PerTry, c.Total = unit.Duration(time.Second), unit.Duration(5*time.Second)
		}), withRouteTimeout(timeout))
		b := g.connect(t)
		b.send(get)
		testnet.Receive(t, name, asked)
		g.await(t, "the exchange to wait", waitingFor(waitHead))
		g.runOut(t, 100*time.Millisecond, waitingFor(waitHead))
		b.answer().wantError(t, 504, "upstream_timeout")
	}
}

// The first retry is made at once, the second after a pause, half of which is by chance.
func TestFurtherRetriesComeAfterAPause(t *testing.T) {
	n := newNodeAt(t, "127.0.0.2:0", answering(ok))
	g := newGateway(t, []string{testnet.Reserve(t), testnet.Reserve(t), n.addr}, withAttempts(3), withClock(), withLog(), withService(func(c *upstream.Config) {
		c.Retry.Backoff, c.Retry.MaxBackoff = unit.Duration(time.Second), unit.Duration(time.Second)
	}))
	b := g.connect(t)
	b.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	g.await(t, "the pause", waitingFor(waitBackoff))
	g.pass(t, 500*time.Millisecond-grain)
	if n.opened.Load() > 0 {
		t.Error("there was no pause")
	}
	g.pass(t, 500*time.Millisecond+2*grain)
	b.answer().want(t, 200, "ok")
	if line := g.logged(t, 1)[0]; line.Retries != 2 {
		t.Errorf("logged %+v", line)
	}
}

// With 504 among the statuses to retry, so is the gateway's own.
func TestAnAnswerThatDoesNotComeIsRetriedWhereTheServiceSaysSo(t *testing.T) {
	hung, asked, _ := silent(t)
	good := newNodeAt(t, "127.0.0.2:0", answering(ok))
	g := newGateway(t, []string{hung.addr, good.addr}, withClock(), withService(func(c *upstream.Config) {
		c.Retry.On, c.Timeout.Response = []string{"504"}, unit.Duration(time.Second)
	}))
	b := g.connect(t)
	b.send(get)
	testnet.Receive(t, "the request", asked)
	g.await(t, "the exchange to wait", waitingFor(waitHead))
	g.runOut(t, time.Second, waitingFor(waitHead))
	b.answer().want(t, 200, "ok")
}

func TestTimeoutsOfClientsAreRead(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, "0": 0, "1.25s": 1250 * time.Millisecond, "15ms": 15 * time.Millisecond, "2m": 2 * time.Minute,
		"-1": 0, "1h": 0, "s": 0, "1.2.3": 0, "99999999999999": maxAsked, "1e9": 0, "12345678901234567": 0,
	} {
		if got := parseRequestTimeout([]byte(text)); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
	for text, want := range map[string]time.Duration{
		"": 0, "1S": time.Second, "100m": 100 * time.Millisecond, "5u": 5 * time.Microsecond, "7n": 7, "2M": 2 * time.Minute, "1H": time.Hour,
		"99999999H": maxAsked, "123456789S": 0, "S": 0, "1": 0, "1s": 0, "-1S": 0,
	} {
		if got := parseGRPCTimeout([]byte(text)); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
}

// A node that keeps the client's deadline too, as gRPC's do, gives the call up when it is over: that is no failure of it, whoever is first.
func TestANodeThatKeepsTheClientsDeadlineIsWell(t *testing.T) {
	const asked = 50*time.Millisecond + 1 // over before a tick of the wheel tells
	called, over := make(chan struct{}), make(chan struct{})
	n := newNode(t, speakH2(func(c *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte {
		close(called)
		c.await(over)
		return conn.AppendReset(nil, s, h2.Cancel)
	}))
	other := newNodeAt(t, "127.0.0.2:0", speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte { return okH2(conn, s) }))
	g := newGateway(t, []string{n.addr, other.addr}, overHTTP2, withClock(), ejecting, withService(func(c *upstream.Config) { c.Health.Passive.ConsecutiveFailures = 1 }))
	b := g.connect(t)
	b.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nGrpc-Timeout: 50000001n\r\n\r\n")
	testnet.Receive(t, "the call", called)
	g.await(t, "the exchange to wait", waitingFor(waitHead))
	g.pass(t, asked)
	close(over)
	b.answer().wantError(t, 504, "upstream_timeout")
	if got := g.states()[n.addr]; got != "healthy" {
		t.Errorf("the node is %s", got)
	}
}

// A node that is silent until the service's total is over has failed, and is ejected like one that is silent for its own time. What a client has asked for says nothing of the node.
func TestANodeThatIsSilentUntilTheEndOfTheWholeTimeHasFailed(t *testing.T) {
	for name, c := range map[string]struct {
		field string
		want  string
	}{"service": {"", "ejected"}, "client": {"X-Request-Timeout: 900ms\r\n", "healthy"}} {
		t.Run(name, func(t *testing.T) {
			hung, asked, _ := silent(t)
			other := newNodeAt(t, "127.0.0.2:0", answering(ok))
			g := newGateway(t, []string{hung.addr, other.addr}, withClock(), ejecting, withService(func(c *upstream.Config) {
				c.Timeout.Total, c.Retry.Attempts = unit.Duration(time.Second), new(int)
				*c.Retry.Attempts = 1
			}))
			b := g.connect(t)
			for range 3 { // the turns of both
				b.send("GET / HTTP/1.1\r\nHost: a\r\n" + c.field + "\r\n")
				testnet.Receive(t, "the request", asked)
				g.await(t, "the exchange to wait", waitingFor(waitHead))
				g.pass(t, time.Second+grain)
				b.answer().wantError(t, 504, "upstream_timeout")
				b.wantGet("ok")
			}
			if c.want == "ejected" {
				testnet.Await(t, "the ejection", func() bool { return g.states()[hung.addr] == c.want })
			} else if got := g.states()[hung.addr]; got != c.want {
				t.Errorf("the node is %s", got)
			}
		})
	}
}
