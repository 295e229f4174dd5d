package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/upstream"
)

const hedgeDelay = 50 * time.Millisecond

func withHedge(c *upstream.Config) {
	c.Retry.Hedge = &upstream.HedgeConfig{Delay: unit.Duration(hedgeDelay)}
}

// silent is a node that reads a request, tells the test, and says nothing until the gateway gives up.
func silent(t *testing.T) (n *node, asked chan string, left chan struct{}) {
	return silentAt(t, "127.0.0.1:0")
}

func silentAt(t *testing.T, addr string) (n *node, asked chan string, left chan struct{}) {
	asked, left = make(chan string, 10), make(chan struct{}, 10)
	n = newNodeAt(t, addr, func(c *nodeConn) {
		for {
			head := c.head()
			if head == "" {
				left <- struct{}{}
				return
			}
			asked <- head
		}
	})
	return n, asked, left
}

// The answer is that of whoever answers first; the other call is given up, and its connection closed.
func TestASecondNodeIsAskedBesideOneThatTakesLong(t *testing.T) {
	slow, asked, left := silent(t)
	quick := newNodeAt(t, "127.0.0.2:0", answering(ok))
	g := newGateway(t, []string{slow.addr, quick.addr}, withClock(), withLog(), withService(withHedge))
	b := g.connect(t)
	b.send(get)
	testnet.Receive(t, "the slow node's request", asked)
	g.await(t, "the exchange to wait", waitingFor(waitHead))
	g.pass(t, hedgeDelay-grain)
	if quick.opened.Load() > 0 {
		t.Error("the second node was asked before its time")
	}
	g.pass(t, 2*grain)
	b.answer().want(t, 200, "ok")
	testnet.Receive(t, "the slow node's connection to be closed", left)
	line := g.logged(t, 1)[0]
	if line.Node != quick.addr || line.Retries != 1 || line.Flag != "" {
		t.Errorf("logged %+v", line)
	}
	b.send(get) // the slow node's turn again; the hedge finds the connection that won
	testnet.Receive(t, "the slow node's request", asked)
	g.await(t, "the exchange to wait", waitingFor(waitHead))
	g.pass(t, hedgeDelay+grain)
	b.answer().want(t, 200, "ok")
	if n := quick.opened.Load(); n != 1 {
		t.Errorf("%d connections to the quick node", n)
	}
}

// The first may answer after all.
func TestTheFirstNodeMayWinAgainstItsHedge(t *testing.T) {
	first, asked, answer := gated(t)
	second, hedged, left := silentAt(t, "127.0.0.2:0") // nodes are in the order of their addresses
	g := newGateway(t, []string{first.addr, second.addr}, withClock(), withService(withHedge))
	b := g.connect(t)
	b.send(get)
	testnet.Receive(t, "one request", asked)
	g.await(t, "the exchange to wait", waitingFor(waitHead))
	g.pass(t, hedgeDelay+grain)
	testnet.Receive(t, "the other request", hedged)
	answer()
	b.answer().want(t, 200, "ok")
	testnet.Receive(t, "the loser's connection to be closed", left)
}

// One of two that fails leaves it to the other, whichever it is.
func TestOneOfTwoCallsThatFailsLeavesItToTheOther(t *testing.T) {
	for _, dies := range []int{1, 2} {
		t.Run(fmt.Sprint("call ", dies), func(t *testing.T) {
			die, answer := make(chan struct{}), make(chan struct{})
			script := func(n int) func(c *nodeConn) {
				return func(c *nodeConn) {
					c.head()
					if n == dies {
						c.await(die)
						c.reset()
						return
					}
					c.await(answer)
					c.write(ok)
				}
			}
			first, second := newNodeAt(t, "127.0.0.1:0", script(1)), newNodeAt(t, "127.0.0.2:0", script(2))
			g := newGateway(t, []string{first.addr, second.addr}, withClock(), withLog(), withService(withHedge))
			b := g.connect(t)
			b.send(get)
			g.await(t, "the exchange to wait", waitingFor(waitHead))
			g.pass(t, hedgeDelay+grain)
			testnet.Await(t, "the hedge", func() bool { return second.opened.Load() == 1 })
			close(die)
			g.await(t, "the failure", func(w *worker) bool { return w.exchange().second == nil })
			close(answer)
			b.answer().want(t, 200, "ok")
			if want := []*node{second, first}[dies-1]; g.logged(t, 1)[0].Node != want.addr {
				t.Errorf("logged %+v", g.logged(t, 1)[0])
			}
		})
	}
}

// A method that may not be repeated is never hedged, nor is any beyond the budget.
func TestOnlyWhatMayBeRepeatedIsHedged(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		change  func(*upstream.Config)
	}{
		"post":   {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", func(*upstream.Config) {}},
		"budget": {get, func(c *upstream.Config) { c.Retry.BudgetPercent, c.Retry.MinPerSecond = new(int), new(int) }},
		"once":   {get, func(c *upstream.Config) { one := 1; c.Retry.Attempts = &one }},
	} {
		t.Run(name, func(t *testing.T) {
			first, asked, answer := gated(t)
			second := newNodeAt(t, "127.0.0.2:0", answering(ok))
			g := newGateway(t, []string{first.addr, second.addr}, withClock(), withLog(), withService(withHedge), withService(c.change))
			b := g.connect(t)
			b.send(c.request)
			testnet.Receive(t, "the request", asked)
			g.await(t, "the exchange to wait", waitingFor(waitHead))
			g.pass(t, 10*hedgeDelay)
			answer()
			b.answer().want(t, 200, "ok")
			if line := g.logged(t, 1)[0]; line.Retries != 0 || second.opened.Load() != 0 {
				t.Errorf("logged %+v", line)
			}
		})
	}
}

// Hedging does not hide a node that hangs from those who look after its health.
func TestANodeThatHangsIsTakenOutThoughEveryRequestIsHedged(t *testing.T) {
	hung := newNode(t, func(c *nodeConn) { c.hold() })
	quick := newNodeAt(t, "127.0.0.2:0", answering(ok))
	g := newGateway(t, []string{hung.addr, quick.addr}, withClock(), ejecting, withService(withHedge))
	b := g.connect(t)
	out := func() bool { return g.states()[hung.addr] == "ejected" }
	for range int(2*time.Second/hedgeDelay) + 10 {
		if out() {
			return
		}
		b.send(get)
		g.await(t, "the exchange to wait", waitingFor(waitHead))
		g.pass(t, hedgeDelay+grain)
		b.answer().want(t, 200, "ok") // that was the turn of the other
	}
	testnet.Await(t, "the ejection", out)
}

// The same where nodes speak HTTP/2: the call that is given up is reset, while its connection stays.
func TestAHedgeOverHTTP2TakesTheFirstAnswer(t *testing.T) {
	asked, gone := make(chan struct{}, 10), make(chan struct{}, 10)
	var hung atomic.Value // the address of the node that never answers
	script := func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(http.LocalAddrContextKey).(net.Addr).String() != hung.Load() {
			_, _ = io.WriteString(w, "ok")
			return
		}
		asked <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	}
	nodes := []string{originH2(t, script), originH2(t, script)}
	hung.Store(min(nodes[0], nodes[1])) // nodes are in the order of their addresses, so it has the first turn
	g := newGateway(t, nodes, withClock(), withLog(), withService(withHedge), overHTTP2)
	b := g.connect(t)
	for range 3 {
		b.send(get)
		testnet.Receive(t, "the node's request", asked)
		g.await(t, "the exchange to wait", waitingFor(waitHead))
		g.pass(t, hedgeDelay+grain)
		b.answer().want(t, 200, "ok")
		testnet.Receive(t, "the call to be given up", gone)
	}
	for _, line := range g.logged(t, 3) {
		if line.Retries != 1 || line.Node == hung.Load() || line.Flag != "" {
			t.Errorf("logged %+v", line)
		}
	}
}
