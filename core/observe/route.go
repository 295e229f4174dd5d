package observe

import "sync/atomic"

// Route counts the requests of one route, in all workers. It is 40 bytes and its name until a worker first uses it; get one from
// [Registry.Route].
type Route struct {
	id      string // the label; "" = no route matched
	service string // what it points to, for the label and the log
	stats   perWorker[routeStats]
}

// classes are the values of the label class, in the order of routeStats.classes. "none" is an exchange that was never answered,
// since the client had gone.
var classes = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// class is the index into classes of a status.
func class(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status / 100
}

// routeStats is what one worker has counted of one route. It is three cache lines exactly; the allocator starts a block of that size
// on a line, so that no two workers write to the same one.
type routeStats struct {
	classes [len(classes)]atomic.Uint64
	times   histogram
	_       [192 - 8*(len(classes)+buckets+1)]byte
}

func (s *routeStats) add(status int, nanos int64) {
	s.classes[class(status)].Add(1)
	s.times.observe(nanos)
}

// statsOf returns what worker w has counted of rt. It allocates at a worker's first use of a route, and never after.
func (w *Worker) statsOf(rt *Route) *routeStats {
	if s := rt.stats.at(w.index); s != nil {
		return s
	}
	if rt != w.registry.unmatched {
		w.registry.place(rt)
	}
	return rt.stats.grow(w.index)
}

// place makes the first block of rt at its first use: one of its own while there is room, and that of the overflow after that. Several workers
// may do so at once, and the control plane may retire rt meanwhile; whoever comes first decides.
func (r *Registry) place(rt *Route) {
	if rt.stats.first.Load() != nil {
		return
	}
	if r.ownRoutes.Add(1) > r.maxRoutes {
		r.ownRoutes.Add(-1)
		rt.stats.first.CompareAndSwap(nil, r.overflow.stats.first.Load())
		return
	}
	if !rt.stats.first.CompareAndSwap(nil, new(block[routeStats])) {
		r.ownRoutes.Add(-1)
	}
}

// retire gives the place of rt among the MaxRoutes back. A route that was never used is sent to the overflow, so that an exchange
// that comes to it late takes no place which nobody would ever give back.
func (r *Registry) retire(rt *Route) {
	overflow := r.overflow.stats.first.Load()
	if !rt.stats.first.CompareAndSwap(nil, overflow) && rt.stats.first.Load() != overflow {
		r.ownRoutes.Add(-1)
	}
}
