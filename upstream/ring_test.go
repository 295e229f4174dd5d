package upstream

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The arcs are a short cut to what a search by halves finds.
func TestAKeyIsFoundOnTheRingWhereASearchWouldFindIt(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, points := range []int{1, 2, 3, 4, 7, 160, 5000} {
		r := &ring{hashes: make([]uint64, points)}
		for i := range r.hashes {
			r.hashes[i] = rnd.Uint64()
		}
		if points == 7 {
			copy(r.hashes, []uint64{0, 0, math.MaxUint64})
		}
		slices.Sort(r.hashes)
		r.cut()
		keys := append([]uint64{0, 1, math.MaxUint64, math.MaxUint64 - 1, 1 << 63}, r.hashes...)
		for range 1000 {
			keys = append(keys, rnd.Uint64())
		}
		for _, key := range keys {
			want, _ := slices.BinarySearch(r.hashes, key)
			if got := r.find(key); got != want%points {
				t.Fatalf("%d points: key %x is found at %d, want %d", points, key, got, want%points)
			}
		}
	}
}
