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
	return balancedBy(t, BalancerConfig{}, workers, weights...)
}

// balancedBy is balanced for a balancer of the caller's choice.
func balancedBy(t testing.TB, by BalancerConfig, workers int, weights ...int) *Service {
	t.Helper()
	specs := make([]NodeSpec, len(weights))
	for i, w := range weights {
		specs[i] = NodeSpec{Upstream: fmt.Sprintf("127.0.0.1:%d", 1000+i), Weight: w}
	}
	r := NewRegistry(make([]Poster, workers), observe.NewRegistry(workers))
	return r.Update("s", &Config{Balancer: by}, specs)
}

// Each worker counts for itself; together they must still meet the weights, with every balancer that is not given a reason to do otherwise. Under the race detector this shows also
// that they share nothing but what is atomic.
func TestSixteenWorkersTogetherMeetTheWeights(t *testing.T) {
	const workers, picks = 16, 10_000
	for _, by := range []string{"roundrobin", "least_conn", "ewma", "random"} {
		for _, weights := range [][]int{{1, 1, 1}, {5, 3, 2}, {100, 10, 1}} {
			s := balancedBy(t, BalancerConfig{Type: by}, workers, weights...)
			var counts [workers]map[*Node]int
			var all sync.WaitGroup
			for w := range workers {
				counts[w] = map[*Node]int{}
				all.Go(func() {
					for range picks {
						counts[w][s.Pick(w, Want{})]++
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
					t.Errorf("%s, weights %v: node %d was picked %d times, want %.0f to within 2%%", by, weights, i, got, want)
				}
			}
		}
	}
}

// The same for few requests: 10,000 over all 16 workers.
func TestNoNodeOfThreeGetsMoreThanItsShare(t *testing.T) {
	const workers, requests = 16, 10_000
	for _, by := range []string{"roundrobin", "least_conn", "ewma", "random"} {
		s := balancedBy(t, BalancerConfig{Type: by}, workers, 1, 1, 1)
		counts := map[*Node]int{}
		for i := range requests {
			node := s.Pick(i%workers, Want{})
			var try Try
			try.Begin(s, i%workers, node, int64(i))
			try.Answered(200, int64(i))
			try.End()
			counts[node]++
		}
		for _, n := range counts {
			if share := requests / 3.0; float64(n) > 1.02*share {
				t.Errorf("%s: a node got %d of %d", by, n, requests)
			}
		}
	}
}

// A few requests on each worker must not all go to the first node.
func TestTheFirstPicksOfTheWorkersAreSpread(t *testing.T) {
	s := balanced(t, 4, 1, 1, 1, 1)
	picked := map[*Node]bool{}
	for w := range 4 {
		picked[s.Pick(w, Want{})] = true
	}
	if len(picked) != 4 {
		t.Errorf("the first picks of 4 workers went to %d of 4 nodes", len(picked))
	}
}

// The cursor outlives the view: with a view for each request, nodes at the beginning would otherwise have it all.
func TestAChangeDoesNotStartTheRoundAnew(t *testing.T) {
	r := NewRegistry(make([]Poster, 1), observe.NewRegistry(1))
	specs := []NodeSpec{{Upstream: "127.0.0.1:1", Weight: 1}, {Upstream: "127.0.0.1:2", Weight: 1}, {Upstream: "127.0.0.1:3", Weight: 1}}
	counts := map[string]int{}
	for range 300 {
		counts[r.Update("s", nil, specs).Pick(0, Want{}).Address]++
	}
	for address, n := range counts {
		if n != 100 {
			t.Errorf("%s was picked %d times of 300", address, n)
		}
	}
}

func TestPickPassesOverTriedNodesAndThoseThatAreOut(t *testing.T) {
	s := balanced(t, 1, 3, 1, 1, 0)
	nodes := s.Nodes()
	if len(nodes) != 3 {
		t.Fatalf("%d nodes may be picked, want the 3 that have a weight", len(nodes))
	}
	nodes[1].health.Store(ejected) // since the roster was made
	for range 20 {
		if got := s.Pick(0, Want{Tried: nodes[:1]}); got != nodes[2] {
			t.Fatalf("picked %s with the first tried and the second out", got.Address)
		}
	}
	if got := s.Pick(0, Want{Tried: []*Node{nodes[2], nodes[0]}}); got != nil {
		t.Errorf("picked %s though nothing is left", got.Address)
	}
	nodes[1].health.Store(0)
	if got := s.Pick(0, Want{Tried: []*Node{nodes[2], nodes[0]}}); got != nodes[1] {
		t.Errorf("picked %v, want the one that is in again", got)
	}
	if got := balanced(t, 1).Pick(0, Want{}); got != nil {
		t.Errorf("picked %s of no nodes", got.Address)
	}
}

// every is each balancer in a configuration that makes it do all it can.
var every = []BalancerConfig{
	{Type: "roundrobin"}, {Type: "least_conn"}, {Type: "ewma"}, {Type: "random"}, {Type: "chash", HashOn: "ip"},
	{Type: "chash", HashOn: "ip", HashBalanceFactor: 125}, {Type: "roundrobin", Sticky: &StickyConfig{Cookie: "n"}},
}

func TestPickAllocatesNothing(t *testing.T) {
	for _, by := range every {
		for _, nodes := range []int{3, 100, 10_000} {
			weights := make([]int, nodes)
			for i := range weights {
				weights[i] = 1 + i%3
			}
			s := balancedBy(t, by, 1, weights...)
			tried := s.Nodes()[:1]
			var key uint64
			n := testing.AllocsPerRun(1000, func() {
				key += 1 << 50
				node := s.Pick(0, Want{Key: key, Sticky: key, Now: int64(key)})
				var try Try
				try.Begin(s, 0, node, 0)
				try.Answered(200, int64(key))
				try.End()
				s.Pick(0, Want{Tried: tried, Key: key})
			})
			if n != 0 {
				t.Errorf("%s of %d nodes: %v allocations", by.Type, nodes, n)
			}
		}
	}
}

// What a pick costs must not grow with the number of nodes, but for the caches they no longer fit, and nothing is allocated.
func BenchmarkPick(b *testing.B) {
	for _, by := range every {
		for _, nodes := range []int{10, 1000, 10_000} {
			name := fmt.Sprintf("%s/%d", by.Type, nodes)
			if by.HashBalanceFactor > 0 {
				name = "bounded_" + name
			}
			b.Run(name, func(b *testing.B) {
				weights := make([]int, nodes)
				for i := range weights {
					weights[i] = 1
				}
				s := balancedBy(b, by, 1, weights...)
				b.ReportAllocs()
				var key uint64
				for b.Loop() {
					key += 0x9e3779b97f4a7c15
					s.Pick(0, Want{Key: key, Now: int64(key >> 20)})
				}
			})
		}
	}
}
