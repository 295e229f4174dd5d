package upstream

import "slices"

// Balancer is how a service picks a node for a request.
type Balancer uint8

// The balancers, in the order of the names in the configuration.
const (
	RoundRobin Balancer = iota // smooth weighted: every node has had its share at every moment, to within one turn
	LeastConn                  // the fewest exchanges in flight for its weight
	EWMA                       // of two, the one with less to wait: latency, peak-sensitive, times what is in flight
	CHash                      // the node that a key of the request belongs to
	Random                     // the turns of round robin in an order that nobody can predict
)

// Want is what a pick is told of its request. The zero value is a first try of a request with no key.
type Want struct {
	Tried  []*Node // asked already, and not to be asked again
	Key    uint64  // the hash of what the service hashes on; for CHash
	Sticky uint64  // the [Node.ID] that the client's cookie names; 0 = none
	Now    int64   // loop time; for EWMA
}

// cursor is what one worker remembers of the turns it has given out for a service. It outlives the roster, so that frequent changes do not favour the
// nodes at its beginning. The worker alone touches it.
type cursor struct {
	next uint32 // turns given out
	seed uint64 // of the worker's random numbers; never 0

	// Of the round that Random is in: turn i goes to position (step*i + offset) of the size there are.
	size, step, offset uint32

	_ [32]byte // two workers' cursors never share a cache line
}

// random returns the next of a sequence of numbers (xorshift64*): good enough to spread load, at the cost of three shifts.
func (c *cursor) random() uint64 {
	c.seed ^= c.seed >> 12
	c.seed ^= c.seed << 25
	c.seed ^= c.seed >> 27
	return c.seed * 0x2545f4914f6cdd1d
}

// below returns a random number below n, which is not 0.
func (c *cursor) below(n int) int { return int(c.random() >> 32 * uint64(n) >> 32) }

// startsOf spreads the workers over a round of n turns, so that a few requests on each do not all go to the first node.
func startsOf(workers, n int) []uint32 {
	starts := make([]uint32, workers)
	for i := range starts {
		starts[i] = uint32(i * n / workers)
	}
	return starts
}

// Pick returns the node that is to be asked next, passing over those that w.Tried holds, that are out, or that have all they may have. It returns nil where
// none is left; [Service.Full] then tells whether that is for want of room. It takes no lock and allocates nothing. Called on the worker's loop.
func (s *Service) Pick(worker int, w Want) *Node {
	r := s.state.roster.Load()
	if len(r.nodes) == 0 {
		return nil
	}
	p := picking{roster: r, service: s, worker: worker, cursor: &s.state.local[worker].cursor, want: w, panicking: r.panicking}
	if w.Sticky != 0 {
		if n := r.ids[w.Sticky]; n != nil && p.fits(n) {
			return n
		}
	}
	i := p.choose()
	if i == none && p.overtaken() {
		p.panicking = true
		i = p.choose()
	}
	if i == none {
		return nil
	}
	return r.nodes[i]
}

// picking is one pick under way.
type picking struct {
	roster  *roster
	service *Service
	worker  int
	cursor  *cursor
	want    Want

	panicking bool // as the roster says, or as the next will
}

// none is the position of no node.
const none = -1

// choose returns the position of the node that the balancer is for, or none.
func (p *picking) choose() int {
	switch p.roster.balancer {
	case LeastConn:
		return p.leastLoaded()
	case EWMA:
		return p.quickest()
	case CHash:
		return p.owner()
	case Random:
		return p.turn(p.shuffled)
	default:
		return p.turn(p.ordered)
	}
}

// overtaken reports whether every node of the roster has gone out since it was made. The next one will ask others or, in panic, all; until it is there, a request is better off with a node
// that may be well than with none.
func (p *picking) overtaken() bool {
	r := p.roster
	return !r.panicking && !r.believing && len(p.want.Tried) == 0 && !slices.ContainsFunc(r.nodes, func(n *Node) bool { return !n.out() })
}

// fits reports whether n may be asked.
func (p *picking) fits(n *Node) bool { return p.mayFit(n) && n.room(p.worker, len(p.want.Tried) > 0) }

// mayFit reports the same of a node that has room. In panic a first try goes to any node, but further ones to those that are in: while nobody is, a retry would only be load.
func (p *picking) mayFit(n *Node) bool {
	return (!n.out() || p.panicking && len(p.want.Tried) == 0) && !slices.Contains(p.want.Tried, n)
}

// turnsTried is how many turns of the round are looked at before the nodes are, and nodesTried how many of those. A roster holds nodes that were in when it was
// made, so all but a few fit: what has been tried is at most ten, what has gone out since is away with the next roster. Only a service that has no
// room is looked through in vain, and that must not cost it the rest of its time.
const (
	turnsTried = 16
	nodesTried = 64
)

// turn returns the position of the node whose turn it is, where order says which one a turn belongs to.
func (p *picking) turn(order func() int) int {
	for range min(turnsTried, len(p.roster.order)) {
		if i := order(); p.fits(p.roster.nodes[i]) {
			return i
		}
	}
	return p.anyFrom(int(p.cursor.next))
}

// anyFrom returns the first node that fits of some from a position on.
func (p *picking) anyFrom(start int) int {
	n := len(p.roster.nodes)
	for k := range min(nodesTried, n) {
		if i := (start + k) % n; p.fits(p.roster.nodes[i]) {
			return i
		}
	}
	return none
}

// ordered gives out the next turn of smooth weighted round robin.
func (p *picking) ordered() int {
	r, c := p.roster, p.cursor
	i := (c.next + r.starts[p.worker]) % uint32(len(r.order))
	c.next++
	return int(r.order[i])
}

// shuffled gives out the next turn of a round in random order. Choosing each time anew would give a node up to a tenth more than its share of thousands of requests; so
// every turn of the round has its place once, in an order that each round and each worker draws for itself.
func (p *picking) shuffled() int {
	c, n := p.cursor, uint32(len(p.roster.order))
	if c.size != n || c.next%n == 0 {
		c.size, c.next = n, 0
		c.offset = uint32(c.below(int(n)))
		c.step = 1
		for n > 1 {
			if c.step = 1 + uint32(c.below(int(n-1))); gcd(int(c.step), int(n)) == 1 {
				break // six of ten numbers are such
			}
		}
	}
	i := (uint64(c.step)*uint64(c.next) + uint64(c.offset)) % uint64(n)
	c.next++
	return int(p.roster.order[i])
}

// scannedNodes is up to how many nodes LeastConn looks at each of them. Beyond, the better of two is taken: the longest queue then grows with the logarithm of the
// logarithm of their number, at a cost that does not grow at all.
const scannedNodes = 16

// leastLoaded returns the node with the fewest exchanges in flight for its weight. Of those alike it is the one whose turn it is, so that an idle service sees round
// robin and not its first node alone.
func (p *picking) leastLoaded() int {
	best := p.turn(p.ordered)
	if best == none {
		return none
	}
	if n := len(p.roster.nodes); n <= scannedNodes {
		for i := range n {
			if i != best && p.lighter(i, best) && p.fits(p.roster.nodes[i]) {
				best = i
			}
		}
		return best
	}
	if i := p.other(best); i != none && p.lighter(i, best) {
		best = i
	}
	return best
}

// lighter reports whether node a has less in flight for its weight than b.
func (p *picking) lighter(a, b int) bool {
	r := p.roster
	return r.nodes[a].load.active.Load()*int64(r.weights[b]) < r.nodes[b].load.active.Load()*int64(r.weights[a])
}

// other returns a node that fits beside the one at i, drawn by weight, or none. Where the draw fails the nodes that follow are looked at, a few of them: who finds
// nobody there can do with i.
func (p *picking) other(i int) int {
	r := p.roster
	n := len(r.nodes)
	drawn := int(r.order[p.cursor.below(len(r.order))])
	for step := range min(turnsTried, n) {
		if k := (drawn + step) % n; k != i && p.fits(r.nodes[k]) {
			return k
		}
	}
	return none
}

// quickest returns of two nodes, the one whose turn it is and another, the one that makes the request wait less.
func (p *picking) quickest() int {
	first := p.turn(p.ordered)
	if first == none {
		return none
	}
	second := p.other(first)
	if second == none {
		return first
	}
	a, b := p.cost(first), p.cost(second)
	if a == 0 || b == 0 { // one of them is not known yet
		if p.lighter(second, first) {
			return second
		}
		return first
	}
	if b < a {
		return second
	}
	return first
}

// cost is how long a request would have to wait for node i: what one takes there, for all that are in flight and this one. 0 = not known.
func (p *picking) cost(i int) float64 {
	n := p.roster.nodes[i]
	return n.load.latency.at(p.want.Now) * float64(n.load.active.Load()+1) / float64(p.roster.weights[i])
}
