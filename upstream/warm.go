package upstream

import (
	"errors"
	"time"

	"sluice/core/event"
)

// Worker is a worker's loop on which connections are opened before anybody asks for them.
type Worker interface {
	Poster
	Loop() *event.Loop
	// OpenHTTP2 begins a connection over HTTP/2 to n, as s asks for, that no exchange waits for, unless there is one, and shares it at once ([Conn.Share]). It has [PreconnectTime] to be
	// established. Called on the loop.
	OpenHTTP2(s *Service, n *Node) error
}

// PreconnectTime bounds how long a connection that nobody waits for may take to be established: as long as the default of timeouts.connect, since those who come meanwhile may
// be given one over HTTP/2.
const PreconnectTime = 3 * time.Second

// warmth keeps one worker's pool of one node as its service asks: with so many connections over HTTP/1.1 that wait for an exchange, or one over HTTP/2, which carries many. Loop only.
//
//	        one is taken, or ends            a pause              established
//	warm ──────────────────────────► short ───────────► opening ──────────────► warm
//	                                   ▲                   │
//	                                   └───────────────────┘ the node refuses, or ends it as it comes:
//	                                                         the pause is doubled each time
//
// It rests while the node is out and begins again when that comes in.
type warmth struct {
	node   *Node
	pool   *pool
	worker Worker
	view   *Service // that asks for it

	timer    event.Timer // until some are opened
	opening  int         // over HTTP/1.1
	failures int         // in a row
	failing  bool        // the timer is for a failure
}

const (
	warmPause   = 10 * time.Millisecond // in which what was taken may have come back
	warmLongest = 30 * time.Second
	warmLater   = time.Second // while there may be no more, or others need them more
	warmAtOnce  = 4           // so that a node which comes in is not met with all that every worker keeps; 1 to one that fails
)

// warmAsked is what every worker was told to keep at a node; none where its pool's preconnect is 0.
type warmAsked struct {
	pool  poolSettings
	http2 bool
}

// preconnect tells the workers what the service asks for at n, which has that weight: one that drains gets nothing new. The caller holds s.mu.
func (s *serviceState) preconnect(n *Node, weight int) {
	var asked warmAsked
	if weight > 0 && s.view.pool.preconnect > 0 {
		asked = warmAsked{s.view.pool, s.view.HTTP2}
	}
	if asked != n.warm {
		n.warm = asked
		s.keepWarm(n)
	}
}

// keepWarm has every worker keep what it was told to at n, from now on. The caller holds s.mu.
func (s *serviceState) keepWarm(n *Node) {
	view, keep := s.view, n.warm.pool.preconnect > 0
	for i, p := range s.registry.workers {
		if w, ok := p.(Worker); ok {
			p.Post(func() {
				if keep && !n.retired.Load() {
					n.pools[i].keepWarm(n, w, view)
				} else {
					n.pools[i].chill()
				}
			})
		}
	}
}

func (p *pool) keepWarm(n *Node, on Worker, view *Service) {
	if p.warm == nil {
		p.warm = &warmth{node: n, pool: p, worker: on}
		p.warm.timer.Owner = p.warm
	}
	w := p.warm
	w.view, w.failures, w.failing = view, 0, false
	w.worker.Loop().StopTimer(&w.timer)
	w.fill()
}

// chill lets what is kept go as it would without.
func (p *pool) chill() {
	if w := p.warm; w != nil {
		p.warm = nil
		w.worker.Loop().DropTimer(&w.timer)
	}
}

// cooled tells that a connection that was kept is not any more: it was taken, or has ended. useless says that it was of no use to anybody.
func (p *pool) cooled(useless bool) {
	w := p.warm
	switch {
	case w == nil:
	case useless:
		w.failed()
	default:
		w.failures = 0
		w.pause(warmPause)
	}
}

// failed doubles the pause. Several that fail at once count as one, and workers that fail together do not try again together.
func (w *warmth) failed() {
	if w.failing {
		return
	}
	w.failing = true
	w.failures++
	w.worker.Loop().StopTimer(&w.timer)
	half := min(warmLongest, warmPause<<min(w.failures, 20)) / 2
	w.pause(half + time.Duration(w.node.owner.registry.seed()%uint64(half)))
}

// pause fills up after d, or sooner where that is due already.
func (w *warmth) pause(d time.Duration) {
	if !w.timer.Armed() {
		w.worker.Loop().SetTimer(&w.timer, d)
	}
}

// Expired is the end of a pause. What was opened before it and is still there has not failed.
func (w *warmth) Expired(*event.Timer) {
	if !w.failing && len(w.pool.idle)+len(w.pool.shared) > 0 {
		w.failures = 0
	}
	w.failing = false
	w.fill()
}

// fill opens what is missing, a few at once.
func (w *warmth) fill() {
	n, owner := w.node, w.node.owner
	switch {
	case n.out() || w.timer.Armed():
	case owner.waiting.Load() > 0 && owner.bounds.Load().boundConns(): // they are for those who wait
		w.pause(warmLater)
	case w.view.HTTP2:
		w.begun(w.worker.OpenHTTP2(w.view, n))
	default:
		atOnce := warmAtOnce
		if w.failures > 0 {
			atOnce = 1
		}
		missing := w.view.pool.preconnect - len(w.pool.idle) - w.opening
		for more := min(missing, atOnce-w.opening); more > 0 && w.begun(w.open()); more-- {
		}
	}
}

// open begins one connection, which is its own handler until somebody takes it.
func (w *warmth) open() error {
	loop := w.worker.Loop()
	c, err := w.node.dialHTTP1(w.pool.worker, loop, nil)
	if err != nil {
		return err
	}
	c.SetHandler(c)
	c.warming = w
	w.opening++
	loop.SetTimer(&c.timer, PreconnectTime)
	return nil
}

// begun reports whether a connection was, and sees to the next attempt where it was not: there are all that may be, or something has run out here.
func (w *warmth) begun(err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, ErrFull):
		w.pause(warmLater)
	default:
		w.failed()
	}
	return false
}

// opened takes in a connection that is there.
func (w *warmth) opened(c *Conn) {
	w.opening--
	c.warming = nil
	c.Established()
	if w.node.retired.Load() || len(w.pool.idle) >= w.view.pool.maxIdle {
		c.Discard()
		return
	}
	c.rest(w.view)
	switch {
	case w.pool.warm != w: // nothing is kept any more
	case w.failures > 0:
		w.pause(warmLater) // it may end as those before it
	default:
		w.fill()
	}
}
