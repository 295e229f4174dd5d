package observe

var (
	heldDesc  = desc("discovery_held_nodes", "Nodes that are kept in force although their leases have ended, since most of their service's ended at once and they are well.")
	holdsDesc = desc("discovery_holds_total", "Times that most nodes of a service have lost their leases at once.")
)

// SetHeldNodes tells how many nodes are in force although their leases have ended. Any goroutine may call it.
func (r *Registry) SetHeldNodes(n int) { r.heldNodes.Store(int64(n)) }

// CountHold counts one service that most nodes were about to leave at once. Any goroutine may call it.
func (r *Registry) CountHold() { r.holds.Add(1) }

func (r *Registry) collectHolds(s sink) {
	s.gauge(heldDesc, float64(r.heldNodes.Load()))
	s.counter(holdsDesc, r.holds.Load())
}
