package upstream

import (
	"time"

	"sluice/core/event"
)

// preconnectTime bounds how long a connection that nobody waits for may take to be established.
const preconnectTime = 10 * time.Second

// preconnect has every worker open the connections to n that the service asks for, so that the first requests find them. The caller holds s.mu.
func (s *serviceState) preconnect(n *Node) {
	view := s.view
	if view.pool.preconnect == 0 || n.out() {
		return
	}
	for i, w := range s.registry.workers {
		loop, ok := w.(*event.Loop)
		if !ok {
			continue
		}
		w.Post(func() {
			for range view.pool.preconnect - len(n.pools[i].idle) {
				if n.retired.Load() || !warm(n, view, i, loop) {
					return
				}
			}
		})
	}
}

// warmer is the owner of a connection that is opened in advance, until its pool is.
type warmer struct {
	conn *Conn
	view *Service
}

// warm begins one connection, and reports false where there may be no more.
func warm(n *Node, view *Service, worker int, loop *event.Loop) bool {
	w := &warmer{view: view}
	c, err := n.dialHTTP1(worker, loop, w)
	if err != nil {
		return false
	}
	w.conn = c
	loop.SetTimer(&c.timer, preconnectTime)
	return true
}

// Opened puts the connection into its pool.
func (w *warmer) Opened(*event.Conn) {
	c := w.conn
	c.Established()
	if c.node.retired.Load() || len(c.pool.idle) >= w.view.pool.maxIdle {
		c.Discard()
		return
	}
	c.rest(w.view)
}

// Data closes a connection on which a node speaks first.
func (w *warmer) Data(*event.Conn) { w.conn.Discard() }

// EOF closes a connection that the node does not want.
func (w *warmer) EOF(*event.Conn) { w.conn.Discard() }

// Drained never happens: nothing is written.
func (w *warmer) Drained(*event.Conn) {}

// Closed is the end of a connection that could not be made.
func (w *warmer) Closed(*event.Conn, error) { w.conn.Discard() }

var _ event.Handler = (*warmer)(nil)
