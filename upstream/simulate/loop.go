// Package simulate lets the balancers, the health checks and the retries of upstream run against nodes that are made up, in a time that is made up too: a minute of traffic takes
// a moment, and the same seed gives the same figures.
//
// What decides is the real code: picks, ejections, probes, budgets. What an exchange of the gateway does with it is told again here in few words, and a node is a queue with a
// number of servers.
package simulate

import (
	"container/heap"
	"math"
	"time"
)

// loop is the time of a simulation: what is to happen, in its order.
type loop struct {
	now    time.Duration
	serial int
	due    events
	seed   uint64
}

type event struct {
	at     time.Duration
	serial int // of two at the same moment, the one that was made first comes first
	run    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].serial < e[j].serial
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

// after runs f when d has passed.
func (l *loop) after(d time.Duration, f func()) {
	l.serial++
	heap.Push(&l.due, event{l.now + max(0, d), l.serial, f})
}

// runUntil lets everything happen that is due before a moment.
func (l *loop) runUntil(end time.Duration) {
	for len(l.due) > 0 && l.due[0].at < end {
		e := heap.Pop(&l.due).(event)
		l.now = e.at
		e.run()
	}
}

// random returns a number from 0 to 1, which it never is.
func (l *loop) random() float64 {
	l.seed += 0x9e3779b97f4a7c15
	z := l.seed
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// exponential returns a time whose mean is d, as between independent arrivals.
func (l *loop) exponential(d time.Duration) time.Duration {
	return time.Duration(-math.Log(1-l.random()) * float64(d))
}
