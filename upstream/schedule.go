package upstream

import (
	"container/heap"
	"slices"
)

// maxSchedule and turnsPerNode bound the length of a schedule: the larger of 4096 and 16 turns for each node. Weights whose sum is larger after division by
// their greatest common divisor are scaled down to it; a node's share is then off by at most one turn, and however many small weights are rounded up to one
// turn, together they take at most a sixteenth from the large ones.
const (
	maxSchedule  = 4096
	turnsPerNode = 16
)

// schedule is one round of smooth weighted round robin: positions in the list of nodes, each as often as its weight asks, spread so evenly that at every
// moment of the round each node has had its share to within one turn. It is computed once when the nodes change, so that a pick is one step of a
// cursor: O(1), with nothing shared between workers.
//
// Turn k of a node that has w of the round's n turns belongs into the window from k*n/w to (k+1)*n/w. Giving each turn to the open window that closes first
// meets all of them, since no stretch of the round has more windows inside than turns. (The usual way, to credit every node with its weight at every
// turn, costs nodes times turns.)
func schedule(weights []int) []uint32 {
	turns := scale(weights)
	n := 0
	for _, t := range turns {
		n += t
	}
	order := make([]uint32, 0, n)
	if n == len(turns) && !slices.Contains(turns, 0) { // one turn each, as in most services: with thousands of nodes that come and go, a heap is what costs
		for node := range turns {
			order = append(order, uint32(node))
		}
		return order
	}
	opening := make([][]window, n+1) // by the turn at which they open
	open := func(node, k, earliest int) {
		if t := turns[node]; k < t {
			at := max(k*n/t, earliest)
			opening[at] = append(opening[at], window{closes: ((k+1)*n + t - 1) / t, node: node, k: k})
		}
	}
	for node := range turns {
		open(node, 0, 0)
	}
	var ready windows
	for at := range n {
		for _, w := range opening[at] {
			heap.Push(&ready, w)
		}
		opening[at] = nil
		first := heap.Pop(&ready).(window)
		order = append(order, uint32(first.node))
		open(first.node, first.k+1, at+1)
	}
	return order
}

// scale returns how many turns of the round each weight gets.
func scale(weights []int) []int {
	total, divisor := 0, 0
	for _, w := range weights {
		total += w
		divisor = gcd(divisor, w)
	}
	turns := slices.Clone(weights)
	if total == 0 {
		return turns
	}
	limit := max(maxSchedule, turnsPerNode*len(weights))
	for i, w := range weights {
		switch {
		case total/divisor <= limit:
			turns[i] = w / divisor
		case w > 0:
			turns[i] = max(1, (w*limit+total/2)/total)
		}
	}
	return turns
}

// window is when one turn of a node is due.
type window struct{ closes, node, k int }

// windows is a heap of those that are open, the one that closes first on top; of two, the node that is listed first.
type windows []window

func (w windows) Len() int { return len(w) }
func (w windows) Less(i, j int) bool {
	return w[i].closes < w[j].closes || w[i].closes == w[j].closes && w[i].node < w[j].node
}
func (w windows) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *windows) Push(x any)   { *w = append(*w, x.(window)) }
func (w *windows) Pop() any {
	last := len(*w) - 1
	x := (*w)[last]
	*w = (*w)[:last]
	return x
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
