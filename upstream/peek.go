package upstream

// Peek returns the node that [Service.Pick] would return, and leaves the balancer as it was: the next pick is what it would have been. It is for explaining.
// Called on the worker's loop.
func (s *Service) Peek(worker int, w Want) *Node {
	c := &s.state.local[worker].cursor
	before := *c
	node := s.Pick(worker, w)
	*c = before
	return node
}
