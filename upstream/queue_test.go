package upstream

import (
	"testing"
	"testing/synctest"

	"sluice/core/observe"
)

// letters is a worker whose loop runs what was posted when the test says so.
type letters struct{ posted []func() }

func (l *letters) Post(f func()) { l.posted = append(l.posted, f) }

func (l *letters) deliver() {
	for len(l.posted) > 0 {
		f := l.posted[0]
		l.posted = l.posted[1:]
		f()
	}
}

// guest waits for room at a service, and takes it.
type guest struct {
	waiter Waiter
	try    Try
	room   func() *Node
}

func (g *guest) Room() bool {
	n := g.room()
	if n == nil || !g.try.Begin(g.waiter.service.view, g.waiter.worker, n, 0) {
		return false
	}
	g.waiter.Cancel()
	return true
}

// Room is for whoever waits: where the worker that was told of it has nobody left to take it, it goes to another.
func TestRoomThatNobodyTakesGoesToAnotherWorker(t *testing.T) {
	for gone := range 2 {
		workers := []*letters{{}, {}}
		r := NewRegistry([]Poster{workers[0], workers[1]}, observe.NewRegistry(2))
		s := r.Update("s", &Config{Breaker: BreakerConfig{PerNode: NodeBreaker{MaxRequests: 1}}}, []NodeSpec{{Upstream: "127.0.0.1:1000", Weight: 1}})
		deliver := func() {
			for len(workers[0].posted)+len(workers[1].posted) > 0 {
				workers[0].deliver()
				workers[1].deliver()
			}
		}
		var busy Try
		busy.Begin(s, 0, s.Nodes()[0], 0)
		guests := [2]guest{}
		for w := range guests {
			g := &guests[w]
			g.room = func() *Node { return s.Pick(w, Want{}) }
			g.waiter.Owner = g
			s.Wait(w, &g.waiter)
		}
		deliver()
		busy.End()
		guests[gone].waiter.Cancel() // its client has left, or its time was over
		deliver()
		if stays := &guests[1-gone]; stays.try.node == nil {
			t.Errorf("worker %d's request waits on though there is room", 1-gone)
		}
	}
}

// A try that finds no room has taken it for a moment: whoever was told of room in that moment has seen none, and is told again.
func TestATryThatFindsNoRoomHidesNone(t *testing.T) {
	worker := &letters{}
	r := NewRegistry([]Poster{worker}, observe.NewRegistry(1))
	s := r.Update("s", &Config{Breaker: BreakerConfig{PerNode: NodeBreaker{MaxRequests: 1}}}, []NodeSpec{{Upstream: "127.0.0.1:1000", Weight: 1}})
	var busy, late Try
	busy.Begin(s, 0, s.Nodes()[0], 0)
	g := guest{room: func() *Node { return s.Pick(0, Want{}) }}
	g.waiter.Owner = &g
	s.Wait(0, &g.waiter)
	worker.deliver()
	if late.Begin(s, 0, s.Nodes()[0], 0) {
		t.Fatal("there was room")
	}
	if len(worker.posted) == 0 {
		t.Error("nobody is told")
	}
}

// In panic all nodes may be asked, and so it is for want of room that none is.
func TestInPanicNodesMayBeFull(t *testing.T) {
	silence(t)
	for _, mustered := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := newClinic(t, 2, nil)
			defer c.Close()
			c.config.Breaker.PerNode.MaxRequests = 1
			c.open()
			s := c.service.state
			for _, n := range c.service.Nodes() {
				n.health.Or(ejected)
			}
			if mustered {
				s.mu.Lock()
				s.muster()
				s.mu.Unlock()
			}
			var tries [2]Try
			for i := range tries {
				n := c.service.Pick(0, Want{})
				if n == nil {
					t.Fatal("nobody is asked")
				}
				tries[i].Begin(c.service, 0, n, 0)
			}
			if c.service.Pick(0, Want{}) != nil || !c.service.Full(0, Want{}) {
				t.Error("they are not said to be full")
			}
			for i := range tries {
				tries[i].End()
			}
		})
	}
}
