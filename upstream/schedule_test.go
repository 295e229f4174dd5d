package upstream

import (
	"math"
	"testing"
)

// Every vector of up to four weights from 1 to 6: a round gives each node exactly its share, and at every moment of it each has had its share to within
// one turn.
func TestAScheduleIsExactAndSmooth(t *testing.T) {
	var try func(weights []int)
	try = func(weights []int) {
		if len(weights) > 0 {
			checkSchedule(t, weights)
		}
		for w := 1; w <= 6 && len(weights) < 4; w++ {
			try(append(weights[:len(weights):len(weights)], w))
		}
	}
	try(nil)
	checkSchedule(t, []int{1, 1000})
	checkSchedule(t, []int{3, 100, 1, 100, 57, 2})
}

func checkSchedule(t *testing.T, weights []int) {
	t.Helper()
	total, divisor := 0, 0
	for _, w := range weights {
		total, divisor = total+w, gcd(divisor, w)
	}
	order := schedule(weights)
	if len(order) != total/divisor {
		t.Fatalf("%v: a round of %d turns, want %d", weights, len(order), total/divisor)
	}
	had := make([]int, len(weights))
	for i, node := range order {
		had[node]++
		for n, w := range weights {
			if share := float64((i+1)*w) / float64(total); math.Abs(float64(had[n])-share) >= 1 {
				t.Fatalf("%v: after %d turns node %d has had %d, its share is %.2f: %v", weights, i+1, n, had[n], share, order)
			}
		}
	}
	for n, w := range weights {
		if had[n] != w/divisor {
			t.Fatalf("%v: node %d had %d turns, want %d", weights, n, had[n], w/divisor)
		}
	}
}

func TestALongRoundIsScaledDownAndForgetsNobody(t *testing.T) {
	weights := []int{MaxWeight, 1, MaxWeight - 1, 20_000}
	order := schedule(weights)
	if len(order) > maxSchedule+len(weights) {
		t.Errorf("%d turns", len(order))
	}
	had := make([]int, len(weights))
	for _, node := range order {
		had[node]++
	}
	total := 2*MaxWeight + 20_000
	for n, w := range weights {
		if share := float64(w*maxSchedule) / float64(total); had[n] == 0 || math.Abs(float64(had[n])-share) > 1 {
			t.Errorf("weight %d had %d turns, its share is %.2f", w, had[n], share)
		}
	}
	if none := schedule(nil); len(none) != 0 {
		t.Errorf("a round of nobody: %v", none)
	}
}
