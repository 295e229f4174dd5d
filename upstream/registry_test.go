package upstream

import (
	"slices"
	"testing"

	"sluice/core/event"
	"sluice/core/observe"
)

// A change of weights, or of another node, costs no connection.
func TestANodeIsTheSameInEveryViewThatNamesIt(t *testing.T) {
	b := startBench(t, nil)
	x, _ := b.acquire(false)
	b.release(x)
	out, weight := 0, 7
	config := &Config{Nodes: []NodeConfig{{Upstream: "127.0.0.1:1", Weight: &weight}, {Upstream: "127.0.0.1:2", Status: &out}}}
	next := b.registry.Update("s", config, []NodeSpec{{Upstream: b.address, Weight: 3}, {Upstream: "127.0.0.1:3", Weight: 1}})
	var addresses []string
	for _, n := range next.Nodes() {
		addresses = append(addresses, n.Address)
	}
	slices.Sort(addresses)
	want := []string{b.address, "127.0.0.1:1", "127.0.0.1:3"}
	slices.Sort(want)
	if !slices.Equal(addresses, want) {
		t.Errorf("nodes %v, want %v", addresses, want)
	}
	if !slices.Contains(next.Nodes(), b.node) {
		t.Error("the node is another one")
	}
	b.expect(1, 1)
	// Another service has nodes of its own, though they are at the same address.
	if other := b.registry.Update("other", nil, []NodeSpec{{Upstream: b.address, Weight: 1}}); other.Nodes()[0] == b.node {
		t.Error("two services share a node")
	}
}

// Weight 0 drains: nothing new is sent there, and what is open stays.
func TestANodeWithoutWeightKeepsItsConnections(t *testing.T) {
	b := startBench(t, nil)
	x, _ := b.acquire(false)
	b.release(x)
	next := b.registry.Update("s", nil, []NodeSpec{{Upstream: b.address, Weight: 0}})
	if got := next.Pick(0, Want{}); got != nil {
		t.Errorf("picked %s", got.Address)
	}
	b.expect(1, 1)
	if back := b.registry.Update("s", nil, []NodeSpec{{Upstream: b.address, Weight: 1}}); back.Nodes()[0] != b.node {
		t.Error("it has come back as another node")
	}
}

// Discovery's word counts where the configuration names the same address.
func TestDiscoveryOverridesTheConfiguredWeight(t *testing.T) {
	weight := 9
	r := NewRegistry(make([]Poster, 1), observe.NewRegistry(1))
	s := r.Update("s", &Config{Nodes: []NodeConfig{{Upstream: "127.0.0.1:1", Weight: &weight}}}, []NodeSpec{{Upstream: "127.0.0.1:1", Weight: 1}, {Upstream: "127.0.0.1:2", Weight: 1}})
	if len(s.Nodes()) != 2 || len(s.state.roster.Load().order) != 2 {
		t.Errorf("%d nodes in a round of %d turns, want 2 and 2", len(s.Nodes()), len(s.state.roster.Load().order))
	}
}

func TestARemovedNodeLosesItsIdleConnectionsAndKeepsTheOthersToTheirEnd(t *testing.T) {
	b := startBench(t, nil)
	used, _ := b.acquire(false)
	rests, peer := b.acquire(false)
	b.release(rests)
	b.expect(2, 1)
	b.registry.Update("s", nil, []NodeSpec{{Upstream: "127.0.0.1:1", Weight: 1}})
	closedByUs(t, peer)
	b.expect(1, 0)
	b.do(func() {
		if used.conn.IsClosed() || used.ends > 0 {
			t.Error("a connection in use was closed")
		}
	})
	b.release(used) // and is not kept
	b.expect(0, 0)
	// One that comes back has forgotten everything: whoever is there now is somebody else.
	if back := b.registry.Update("s", nil, []NodeSpec{{Upstream: b.address, Weight: 1}}); back.Nodes()[0] == b.node {
		t.Error("it has come back as the same node")
	}
}

// A pool is its loop's own: each closes what is its own, and under the race detector nobody else's.
func TestEachLoopClosesItsOwnConnectionsOfARemovedService(t *testing.T) {
	workers := []*worker{startWorker(t), startWorker(t)}
	o := startOrigin(t)
	r := NewRegistry([]Poster{workers[0], workers[1]}, observe.NewRegistry(2))
	s := r.Update("s", nil, []NodeSpec{{Upstream: o.address, Weight: 1}})
	node := s.Nodes()[0]
	for i, w := range workers {
		x := &exchange{}
		w.do(func() {
			var err error
			if x.conn, err = node.Acquire(i, w.Loop, x, false); err != nil {
				t.Error(err)
			}
		})
		w.await("the connection", x.conn.IsConnected)
		w.do(func() { x.conn.Release(s) })
	}
	if node.Conns() != 2 {
		t.Fatalf("%d connections", node.Conns())
	}
	r.Close()
	for i, w := range workers {
		w.await("the pool to be empty", func() bool { return len(node.pools[i].idle) == 0 && w.Conns() == 0 })
	}
	if node.Conns() != 0 {
		t.Errorf("%d connections", node.Conns())
	}
	r.Remove("s") // which is gone
}

var _ Poster = (*event.Loop)(nil)
