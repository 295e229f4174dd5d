package upstream

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sluice/core/observe"
)

// asleep is the loop of a worker that does nothing.
type asleep struct{}

func (asleep) Post(func()) {}

// busy makes that many tries at a node that do not end.
func busy(s *Service, n *Node, tries int) {
	for range tries {
		new(Try).Begin(s, 0, n, 0)
	}
}

// slow tells the service that a node has taken that long.
func slow(s *Service, n *Node, d time.Duration, now int64) {
	var try Try
	try.Begin(s, 0, n, now-int64(d))
	try.Answered(200, now)
	try.End()
}

// share returns which part of a thousand picks each node gets.
func share(s *Service, now int64) map[*Node]float64 {
	counts := map[*Node]float64{}
	for range 1000 {
		counts[s.Pick(0, Want{Now: now})] += 0.001
	}
	return counts
}

func TestTheFewestExchangesForTheWeightAreAskedFirst(t *testing.T) {
	s := balancedBy(t, BalancerConfig{Type: "least_conn"}, 1, 4, 2, 1)
	for i, n := range []int{8, 4, 1} { // 2 each for a weight of 1, and the last has room
		busy(s, s.Nodes()[i], n)
	}
	if got := s.Pick(0, Want{}); got != s.Nodes()[2] {
		t.Errorf("picked %s", got.Address)
	}
	busy(s, s.Nodes()[2], 2)
	if got := share(s, 0); got[s.Nodes()[2]] > 0 {
		t.Errorf("shares %v: the last has three in flight, the others two for each weight", got)
	}
}

// Beyond the nodes that are all looked at, a node with much in flight loses against nearly anybody.
func TestOfManyNodesTheBusyOnesAreLeftAlone(t *testing.T) {
	weights := make([]int, 10*scannedNodes)
	for i := range weights {
		weights[i] = 1
	}
	s := balancedBy(t, BalancerConfig{Type: "least_conn"}, 1, weights...)
	for _, n := range s.Nodes()[:scannedNodes] {
		busy(s, n, 5)
	}
	got := 0.0
	for _, n := range s.Nodes()[:scannedNodes] {
		got += share(s, 0)[n]
	}
	if got > 0.02 { // both choices would have to be busy ones: a hundredth
		t.Errorf("a tenth of the nodes is busy and gets %.3f of the requests", got)
	}
}

func TestTheSlowNodeIsAskedLessUntilItsSlownessFades(t *testing.T) {
	s := balancedBy(t, BalancerConfig{Type: "ewma"}, 1, 1, 1, 1)
	now := int64(time.Hour)
	for _, n := range s.Nodes() {
		slow(s, n, time.Millisecond, now)
	}
	bad := s.Nodes()[1]
	slow(s, bad, 100*time.Millisecond, now) // one slow answer is enough
	if got := share(s, now)[bad]; got > 0.01 {
		t.Errorf("the slow node gets %.3f right after its slow answer", got)
	}
	// The others are measured on; it is not, and is worth a try again.
	later := now + int64(6*latencyFade)
	for _, n := range s.Nodes() {
		if n != bad {
			slow(s, n, time.Millisecond, later)
		}
	}
	if got := share(s, later)[bad]; got < 0.3 {
		t.Errorf("the node that was slow gets %.3f a minute later", got)
	}
}

// What is in flight counts before any answer tells that a node is slow.
func TestANodeWithMuchInFlightIsAskedLess(t *testing.T) {
	s := balancedBy(t, BalancerConfig{Type: "ewma"}, 1, 1, 1)
	now := int64(time.Hour)
	for _, n := range s.Nodes() {
		slow(s, n, time.Millisecond, now)
	}
	busy(s, s.Nodes()[0], 3)
	if got := share(s, now)[s.Nodes()[0]]; got > 0 {
		t.Errorf("it gets %.3f", got)
	}
}

// A node that fails fast must not look like the best one.
func TestANodeThatFailsFastIsNotTakenForAFastOne(t *testing.T) {
	s := balancedBy(t, BalancerConfig{Type: "ewma"}, 1, 1, 1)
	now := int64(time.Hour)
	slow(s, s.Nodes()[1], 50*time.Millisecond, now)
	for _, status := range []int{0, 503} {
		var try Try
		try.Begin(s, 0, s.Nodes()[0], now)
		if status == 0 {
			try.Failed(FailedBroken, now)
		} else {
			try.Answered(status, now)
		}
		try.End()
		if got := share(s, now)[s.Nodes()[0]]; got > 0 {
			t.Errorf("status %d: it gets %.3f", status, got)
		}
	}
}

func TestARiseOfLatencyCountsAtOnceAndAFallSlowly(t *testing.T) {
	var l latency
	now := int64(time.Hour)
	l.sample(10*time.Millisecond, now)
	l.sample(50*time.Millisecond, now)
	if got := l.at(now); got != 50_000 {
		t.Errorf("%.0f µs after a rise to 50 ms", got)
	}
	for range 1000 { // at the same moment: however many, no time has passed
		l.sample(10*time.Millisecond, now)
	}
	if got := l.at(now); got != 50_000 {
		t.Errorf("%.0f µs though no time has passed", got)
	}
	for range 10_000 {
		now += int64(time.Millisecond)
		l.sample(10*time.Millisecond, now)
	}
	if want, got := 10_000+40_000/math.E, l.at(now); math.Abs(got-want) > 500 {
		t.Errorf("%.0f µs after %v, want %.0f", got, latencyFade, want)
	}
}

// keysOf returns the node of each of some keys.
func keysOf(s *Service, n int, tried ...*Node) []*Node {
	owners := make([]*Node, n)
	for i := range owners {
		owners[i] = s.Pick(i%2, Want{Key: uint64(i) * 0x9e3779b97f4a7c15, Tried: tried})
	}
	return owners
}

var hashed = BalancerConfig{Type: "chash", HashOn: "ip"}

func TestAKeyHasTheSameNodeOnEveryWorkerAndSharesFollowTheWeights(t *testing.T) {
	s := balancedBy(t, hashed, 2, 1, 2, 3)
	const keys = 60_000
	counts := map[*Node]int{}
	for i := range keys {
		key := uint64(i) * 0x9e3779b97f4a7c15
		n := s.Pick(0, Want{Key: key})
		if s.Pick(1, Want{Key: key}) != n || s.Pick(0, Want{Key: key}) != n {
			t.Fatal("a key has two nodes")
		}
		counts[n]++
	}
	for i, n := range s.Nodes() {
		want := float64(keys) * float64(i+1) / 6
		if math.Abs(float64(counts[n])-want) > 0.2*want {
			t.Errorf("node %d has %d keys, want about %.0f", i, counts[n], want)
		}
	}
}

// A node that drains or goes away gives its keys to all others, and no other key moves; so does one that has failed, until it is back.
func TestOnlyTheKeysOfTheNodeThatGoesMove(t *testing.T) {
	specs := make([]NodeSpec, 5)
	for i := range specs {
		specs[i] = NodeSpec{Upstream: fmt.Sprintf("10.0.0.%d:80", i), Weight: 1}
	}
	r := NewRegistry([]Poster{asleep{}, asleep{}}, observe.NewRegistry(2))
	config := &Config{Balancer: hashed}
	s := r.Update("s", config, specs)
	gone := s.Nodes()[2]
	before := keysOf(s, 10_000)
	check := func(how string, after []*Node) {
		t.Helper()
		heirs := map[*Node]int{}
		for i, n := range before {
			switch {
			case n != gone && after[i] != n:
				t.Fatalf("%s: a key of %s moved to %s", how, n.Address, after[i].Address)
			case n == gone:
				heirs[after[i]]++
			}
		}
		if len(heirs) != 4 || heirs[gone] > 0 {
			t.Errorf("%s: its keys went to %d nodes, %d stayed", how, len(heirs), heirs[gone])
		}
	}
	check("tried", keysOf(s, 10_000, gone))
	specs[2].Weight = 0
	check("drained", keysOf(r.Update("s", config, specs), 10_000))
	check("removed", keysOf(r.Update("s", config, append(specs[:2:2], specs[3:]...)), 10_000))
}

// The heaviest node is what others are measured by, and drains as any other.
func TestNoOtherKeysMoveWhileTheHeaviestNodeDrains(t *testing.T) {
	specs := []NodeSpec{{Upstream: "10.0.0.1:80", Weight: 100}, {Upstream: "10.0.0.2:80", Weight: 50}, {Upstream: "10.0.0.3:80", Weight: 30}}
	r := NewRegistry([]Poster{asleep{}, asleep{}}, observe.NewRegistry(2))
	s := r.Update("s", &Config{Balancer: hashed}, specs)
	heaviest := s.Nodes()[0]
	before := keysOf(s, 10_000)
	specs[0].Weight = 0
	s = r.Update("s", &Config{Balancer: hashed}, specs)
	after := keysOf(s, 10_000)
	for i, n := range before {
		if n != heaviest && after[i] != n {
			t.Fatalf("key %d has moved from %s to %s", i, n.Address, after[i].Address)
		}
	}
	specs[0].Weight = 100
	s = r.Update("s", &Config{Balancer: hashed}, specs)
	if !slices.Equal(keysOf(s, 10_000), before) {
		t.Error("not all keys are back")
	}
}

func TestABoundedLoadSendsAPopularKeyToMoreThanOneNode(t *testing.T) {
	bounded := hashed
	bounded.HashBalanceFactor = 125
	s := balancedBy(t, bounded, 1, 1, 1, 1, 1)
	const tries = 100
	for range tries { // all of one key, and none ends
		busy(s, s.Pick(0, Want{Key: 7}), 1)
	}
	for _, n := range s.Nodes() {
		if got := float64(n.load.active.Load()); got > 1.25*tries/4+1 {
			t.Errorf("%s has %.0f of %d in flight", n.Address, got, tries)
		}
	}
}

// The mean is that of the nodes that are in: those that are out carry nothing, and with half of them out every node would be above a mean over all.
func TestABoundedLoadIsMeasuredByTheNodesThatAreIn(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 4, active(1, 1))
		defer c.Close()
		c.config.Balancer = BalancerConfig{Type: "chash", HashBalanceFactor: 125}
		c.ail(1, true)
		c.ail(2, true)
		c.open()
		c.pass(time.Second)
		const all = 1000
		moved, key := 0, uint64(1)
		for range all {
			key = key*6364136223846793005 + 1442695040888963407
			n := c.service.Pick(0, Want{Key: key})
			busy(c.service, n, 1)
			r := c.service.state.roster.Load().ring
			for at := r.find(key); ; at++ { // its owner, where nobody has too much
				if owner := r.nodes[r.owners[at%len(r.owners)]]; owner.In() {
					if owner != n {
						moved++
					}
					break
				}
			}
		}
		for _, i := range []int{0, 3} {
			if n := c.node(i).load.active.Load(); n > all*125/200+1 {
				t.Errorf("node %d of two that are in has %d of %d", i, n, all)
			}
		}
		if moved > all/4 {
			t.Errorf("%d of %d keys are not with their nodes, though those have room", moved, all)
		}
	})
}

func TestAClientStaysWithTheNodeThatItsCookieNames(t *testing.T) {
	r := NewRegistry([]Poster{asleep{}}, observe.NewRegistry(1))
	config := &Config{Balancer: BalancerConfig{Sticky: &StickyConfig{Cookie: "n"}}}
	specs := []NodeSpec{{Upstream: "10.0.0.1:80", Weight: 1}, {Upstream: "10.0.0.2:80", Weight: 1}, {Upstream: "10.0.0.3:80", Weight: 1}}
	s := r.Update("s", config, specs)
	mine := s.Nodes()[1]
	text := string(s.Cookie(mine))
	var value string
	if _, err := fmt.Sscanf(text, "n=%s Path=/; HttpOnly; SameSite=Lax", &value); err != nil {
		t.Fatalf("the cookie is %q: %v", text, err)
	}
	id := ParseSticky([]byte(value[:len(value)-1]))
	for range 10 {
		if got := s.Pick(0, Want{Sticky: id}); got != mine {
			t.Fatalf("picked %s", got.Address)
		}
	}
	if got := s.Pick(0, Want{Sticky: id, Tried: []*Node{mine}}); got == mine {
		t.Error("picked again after it failed")
	}
	specs[1].Weight = 0
	if got := r.Update("s", config, specs).Pick(0, Want{Sticky: id}); got == nil || got == mine {
		t.Error("a node that drains keeps its clients")
	}
	if got := r.Update("s", config, slices.Delete(slices.Clone(specs), 1, 2)).Pick(0, Want{Sticky: id}); got == nil || got == mine {
		t.Error("a node that has gone keeps its clients")
	}
	specs[1].Weight = 1
	s = r.Update("s", config, specs)
	back := s.Nodes()[1]
	if got := s.Pick(0, Want{Sticky: id}); got != back || back == mine {
		t.Error("a node that has come back is not known again")
	}
	back.health.Or(ejected)
	if got := s.Pick(0, Want{Sticky: id}); got == nil || got == back {
		t.Error("a node that is ejected keeps its clients")
	}
	back.health.And(^ejected)
	if got := s.Pick(0, Want{Sticky: id}); got != back {
		t.Error("a node that is in again is not known again")
	}
	for _, bad := range []string{"", "x", "00000000000000001", "g0"} {
		if id := ParseSticky([]byte(bad)); id != 0 {
			t.Errorf("%q names %x", bad, id)
		}
	}
}

// A node that has failed counts as slow, and fails until it is out; once it is in again it has its share at once, and not when that has faded.
func TestANodeThatComesInAgainIsNotHeldToWhatItWas(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, 3, active(1, 1))
		defer c.Close()
		c.config.Balancer.Type = "ewma"
		c.open()
		now := int64(time.Hour)
		for _, n := range c.service.Nodes() {
			slow(c.service, n, time.Millisecond, now)
		}
		ill := c.service.Nodes()[1]
		var try Try
		try.Begin(c.service, 0, ill, now)
		try.Failed(FailedConnect, now)
		try.End()
		if got := share(c.service, now)[ill]; got > 0 {
			t.Errorf("it gets %.3f after it has failed", got)
		}
		c.ail(1, true)
		c.pass(3 * time.Second)
		c.ail(1, false)
		c.pass(3 * time.Second)
		if got := share(c.service, now)[ill]; got < 0.3 {
			t.Errorf("it gets %.3f of the requests once it is in again", got)
		}
	})
}
