package upstream

import (
	"math/bits"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// pointsPerWeight is how many points a node of weight 1 has on the ring: with 160, shares are within about 8 % of even (one standard deviation). maxPoints bounds those of a
// heavier one: weights above it are halved until the heaviest fits, which keeps the ring of 5,000 nodes below 50 MB.
const (
	pointsPerWeight = 160
	maxPoints       = 4 * pointsPerWeight
)

// ring is consistent hashing after ketama: every node has points on a circle, and a key belongs to the node of the first point behind it. A node that goes out leaves its keys
// to those whose points follow, each a different one, and nobody else's keys move; a node that comes back finds what it had. So a ring holds nodes that are out too, and is passed
// over where they stand: a node's health changes nothing in it.
type ring struct {
	nodes   []*Node
	weights []int
	halved  int      // how often
	hashes  []uint64 // sorted
	owners  []uint32 // of each, a position in nodes

	// Where to look: hashes are spread evenly, so the circle is cut into arcs of a few points each. A search by halves would miss the caches at each step of a ring of many nodes.
	arcs  []uint32 // of each, the position of the first point in or behind it
	shift uint     // of a key, that leaves its arc
}

// of returns a ring of those nodes: r itself where it has them already. r may be nil. heaviest is the weight that all others are scaled by.
func (r *ring) of(nodes []*Node, weights []int, heaviest int) *ring {
	halvings := 0
	for heaviest*pointsPerWeight>>halvings > maxPoints {
		halvings++
	}
	if r != nil && r.halved == halvings && slices.Equal(r.nodes, nodes) && slices.Equal(r.weights, weights) {
		return r
	}
	return newRing(nodes, weights, halvings)
}

// newRing places nodes with those weights, of which none is 0, halved so often.
func newRing(nodes []*Node, weights []int, halvings int) *ring {
	type point struct {
		hash  uint64
		owner uint32
	}
	var points []point
	var text []byte
	for i, n := range nodes {
		for k := range max(1, weights[i]*pointsPerWeight>>halvings) {
			text = strconv.AppendInt(append(append(text[:0], n.identity...), '#'), int64(k), 10)
			points = append(points, point{xxhash.Sum64(text), uint32(i)})
		}
	}
	slices.SortFunc(points, func(a, b point) int {
		if a.hash != b.hash {
			if a.hash < b.hash {
				return -1
			}
			return 1
		}
		return int(a.owner) - int(b.owner)
	})
	r := &ring{nodes: nodes, weights: weights, halved: halvings, hashes: make([]uint64, len(points)), owners: make([]uint32, len(points))}
	for i, p := range points {
		r.hashes[i], r.owners[i] = p.hash, p.owner
	}
	r.cut()
	return r
}

// cut makes the arcs: a power of two of them, of two to four points each.
func (r *ring) cut() {
	size := bits.Len(uint(len(r.hashes)) / 4)
	r.arcs, r.shift = make([]uint32, 1<<size), uint(64-size)
	i := 0
	for arc := range r.arcs {
		for i < len(r.hashes) && r.hashes[i]>>r.shift < uint64(arc) {
			i++
		}
		r.arcs[arc] = uint32(i)
	}
}

// find returns the position on the ring of the first point that is not before key.
func (r *ring) find(key uint64) int {
	for i := int(r.arcs[key>>r.shift]); i < len(r.hashes); i++ {
		if r.hashes[i] >= key {
			return i
		}
	}
	return 0
}

// pointsTried bounds the way along the ring to a node that fits: with half of the nodes out, one way in 2^64 is longer.
const pointsTried = 64

// owner returns the node that the key belongs to, or where that does not fit the next on the ring.
func (p *picking) owner() int {
	r := p.roster.ring
	at := r.find(p.want.Key)
	last := none
	for k := range min(pointsTried, len(r.hashes)) {
		i := int(r.owners[(at+k)%len(r.hashes)])
		if i == last || !p.fits(p.roster.nodes[i]) || p.beyond(i) {
			last = i
			continue
		}
		return i
	}
	return p.anyFrom(int(p.want.Key % uint64(len(p.roster.nodes))))
}

// beyond reports whether node i has more than its part of what is in flight: consistent hashing with bounded load, which keeps a popular key from
// drowning its node. The bound is the service's factor times the mean for the node's weight, this request included.
func (p *picking) beyond(i int) bool {
	factor := int64(p.service.hashBalance)
	if factor == 0 {
		return false
	}
	r := p.roster
	all := p.service.state.active.Load() + 1
	// active+1 > ceil(factor/100 * all * weight/total), in whole numbers
	bound := (factor*all*int64(r.weights[i]) + 100*int64(r.total) - 1) / (100 * int64(r.total))
	return r.nodes[i].load.active.Load()+1 > bound
}
