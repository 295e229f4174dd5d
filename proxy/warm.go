package proxy

import (
	"sluice/core/event"
	"sluice/upstream"
)

// The worker as the registry of nodes sees it.

// Post runs f on the worker's loop, soon. Any goroutine may call it.
func (w *worker) Post(f func()) { w.loop.Post(f) }

// Loop returns the worker's loop.
func (w *worker) Loop() *event.Loop { return w.loop }

// OpenHTTP2 begins a connection to n, as s asks for, that no exchange waits for, unless there is one.
func (w *worker) OpenHTTP2(s *upstream.Service, n *upstream.Node) error {
	p := w.poolOf(n)
	if len(p.clients) > 0 {
		return nil
	}
	_, err := p.dial(s, upstream.PreconnectTime)
	p.forget()
	return err
}

var _ upstream.Worker = (*worker)(nil)
