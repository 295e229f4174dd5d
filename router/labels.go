package router

import "math/bits"

// labels is a set of bytes, one bit each. It stands in the node itself: a string of labels would be one more memory access, and
// most likely a cache miss, on every level of a search (at 100,000 routes they are what a match costs).
type labels [4]uint64

// has reports whether c is in the set.
func (l *labels) has(c byte) bool { return l[c>>6]>>(c&63)&1 != 0 }

// flip puts c in if it is out, and out if it is in.
func (l *labels) flip(c byte) { l[c>>6] ^= 1 << (c & 63) }

// rank returns how many bytes of the set are smaller than c: the position of c's child, or the one it would have.
func (l *labels) rank(c byte) int {
	n := bits.OnesCount64(l[c>>6] & (1<<(c&63) - 1))
	for _, word := range l[:c>>6] {
		n += bits.OnesCount64(word)
	}
	return n
}
