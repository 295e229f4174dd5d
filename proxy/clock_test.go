package proxy

import (
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"sluice/codec/h2"
	"sluice/internal/testnet"
)

// clock is the time of a gateway's loops. It stands still until the test lets it pass, so that the bounds of the contract are tried at their real length, and to
// the moment.
type clock struct{ ns atomic.Int64 }

// grain is a tick of the loops' wheel: how much later than its time a timer may run out.
const grain = 8 * time.Millisecond

// withClock gives the gateway a clock that the test moves.
func withClock() option {
	return func(s *setup) {
		s.clock = new(clock)
		s.clock.ns.Store(int64(time.Hour))
		s.config.now = s.clock.ns.Load
	}
}

// pass lets time pass. The timers that are due have run out when it returns.
func (g *gateway) pass(t testing.TB, d time.Duration) {
	t.Helper()
	g.clock.ns.Add(int64(d))
	for _, w := range g.workers {
		// The first letter may be read in a turn that began before; the second is in one that has the new time, and the third behind its timers.
		for range 3 {
			done := make(chan struct{})
			w.loop.Post(func() { close(done) })
			testnet.Receive(t, "the loop", done)
		}
	}
}

// await waits for a condition that is asked on the first worker's loop.
func (g *gateway) await(t testing.TB, what string, question func(w *worker) bool) {
	t.Helper()
	testnet.Await(t, what, func() bool { return g.onLoop(question) })
}

// runOut lets a timer of that length, which was set at the present moment, run out; and shows that still, which is asked on the loop, holds to its last moment.
func (g *gateway) runOut(t testing.TB, bound time.Duration, still func(w *worker) bool) {
	t.Helper()
	g.pass(t, bound-grain)
	if !g.onLoop(still) {
		t.Errorf("it was over before %v had passed", bound)
	}
	g.pass(t, 2*grain)
}

// in returns the question whether the only client's session is in a phase.
func in(p phase) func(w *worker) bool {
	return func(w *worker) bool { return w.sessions != nil && w.first().phase == p }
}

// waitingFor returns the question whether the only exchange there is waits for something of its node.
func waitingFor(what wait) func(w *worker) bool {
	return func(w *worker) bool {
		x := w.exchange()
		return x != nil && x.waiting == what
	}
}

// exchange returns the first of the exchanges, nil for none.
func (w *worker) exchange() *Exchange {
	for x := range w.exchanges() {
		return x
	}
	return nil
}

// exchanges returns those that are under way, beginning with the client's session that was opened last.
func (w *worker) exchanges() iter.Seq[*Exchange] {
	return func(yield func(*Exchange) bool) {
		more := true
		for at := w.sessions; at != nil && more; at = at.next {
			switch s := at.session.(type) {
			case *session:
				more = s.request == nil || yield(&s.request.Exchange)
			case *sessionH2:
				s.codec.Each(func(stream *h2.Stream) {
					more = more && yield(&stream.Owner.(*requestH2).x)
				})
			}
		}
	}
}
