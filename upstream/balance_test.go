package upstream

import (
	"fmt"
	"math"
	"sync"
	"testing"

	"sluice/core/observe"
)

// balanced returns a service with nodes of those weights at 127.0.0.1, ports 1000 and up, and a registry of that many workers.
func balanced(t testing.TB, workers int, weights ...int) *Service {
	t.Helper()
	specs := make([]NodeSpec, len(weights))
	for i, w := range weights {
		specs[i] = NodeSpec{Upstream: fmt.Sprintf("127.0.0.1:%d", 1000+i), Weight: w}
	}
	return NewRegistry(make([]Poster, workers), observe.NewRegistry(workers)).Update("s", nil, specs)
}

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

// Each worker counts for itself; together they must still meet the weights. Under the race detector this shows also that they share nothing.
func TestSixteenWorkersTogetherMeetTheWeights(t *testing.T) {
	const workers, picks = 16, 10_000
	for _, weights := range [][]int{{1, 1, 1}, {5, 3, 2}, {100, 10, 1}} {
		s := balanced(t, workers, weights...)
		var counts [workers]map[*Node]int
		var all sync.WaitGroup
		for w := range workers {
			counts[w] = map[*Node]int{}
			all.Go(func() {
				for range picks {
					counts[w][s.Pick(w, nil)]++
				}
			})
		}
		all.Wait()
		sum := 0
		for _, w := range weights {
			sum += w
		}
		for i, node := range s.Nodes() {
			got := 0
			for w := range workers {
				got += counts[w][node]
			}
			want := float64(workers*picks*weights[i]) / float64(sum)
			if math.Abs(float64(got)-want) > 0.02*want {
				t.Errorf("weights %v: node %d was picked %d times, want %.0f to within 2%%", weights, i, got, want)
			}
		}
	}
}

// A few requests on each worker must not all go to the first node.
func TestTheFirstPicksOfTheWorkersAreSpread(t *testing.T) {
	s := balanced(t, 4, 1, 1, 1, 1)
	picked := map[*Node]bool{}
	for w := range 4 {
		picked[s.Pick(w, nil)] = true
	}
	if len(picked) != 4 {
		t.Errorf("the first picks of 4 workers went to %d of 4 nodes", len(picked))
	}
}

// The cursor outlives the view: with a view for each request, nodes at the beginning would otherwise have it all.
func TestAChangeDoesNotStartTheRoundAnew(t *testing.T) {
	r := NewRegistry(make([]Poster, 1), observe.NewRegistry(1))
	specs := []NodeSpec{{"127.0.0.1:1", 1}, {"127.0.0.1:2", 1}, {"127.0.0.1:3", 1}}
	counts := map[string]int{}
	for range 300 {
		counts[r.Update("s", nil, specs).Pick(0, nil).Address]++
	}
	for address, n := range counts {
		if n != 100 {
			t.Errorf("%s was picked %d times of 300", address, n)
		}
	}
}

func TestPickPassesOverTriedAndUnresolvedNodes(t *testing.T) {
	s := balanced(t, 1, 3, 1, 1, 0)
	nodes := s.Nodes()
	if len(nodes) != 3 {
		t.Fatalf("%d nodes may be picked, want the 3 that have a weight", len(nodes))
	}
	where := nodes[1].addr.Load()
	nodes[1].addr.Store(nil)
	for range 20 {
		if got := s.Pick(0, nodes[:1]); got != nodes[2] {
			t.Fatalf("picked %s with the first tried and the second unresolved", got.Address)
		}
	}
	if got := s.Pick(0, []*Node{nodes[2], nodes[0]}); got != nil {
		t.Errorf("picked %s though nothing is left", got.Address)
	}
	nodes[1].addr.Store(where)
	if got := s.Pick(0, []*Node{nodes[2], nodes[0]}); got != nodes[1] {
		t.Errorf("picked %v, want the one that has been resolved", got)
	}
	if got := balanced(t, 1).Pick(0, nil); got != nil {
		t.Errorf("picked %s of no nodes", got.Address)
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	s := balanced(t, 1, 5, 3, 2)
	tried := s.Nodes()[:1]
	if n := testing.AllocsPerRun(1000, func() { s.Pick(0, nil); s.Pick(0, tried) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPick(b *testing.B) {
	s := balanced(b, 1, 5, 3, 2)
	b.ReportAllocs()
	for b.Loop() {
		s.Pick(0, nil)
	}
}
