package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/testnet"
	"sluice/upstream"
)

// holding is an engine behind a holder, with a service s that a route leads to.
type holding struct {
	*bench
	holder *Holder

	mu     sync.Mutex // guards both
	health map[string]string
	alive  bool // leases do not end
	blind  bool // there are no probes
}

// newHolding starts with nodes 10.0.0.1, 10.0.0.2 and so on, all of them well.
func newHolding(t *testing.T, nodes int, change func(*HolderOptions)) *holding {
	t.Helper()
	h := &holding{bench: newBench(t), health: make(map[string]string)}
	o := HolderOptions{
		Engine: h.Engine, Stats: h.Engine.options.Stats, period: time.Millisecond,
		Health: func() (list []upstream.NodeStatus) {
			h.mu.Lock()
			defer h.mu.Unlock()
			for address, word := range h.health {
				for _, one := range strings.Fields(word) { // of each address that the name has
					list = append(list, upstream.NodeStatus{Service: "s", Upstream: address, Health: one, Probed: !h.blind})
				}
			}
			return list
		},
		LeaseEnded: func(context.Context, int64) (bool, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return !h.alive, nil
		},
	}
	if change != nil {
		change(&o)
	}
	h.holder = NewHolder(o)
	t.Cleanup(h.holder.Close)
	all := []Change{put("routes/a", route("/a", "s"))}
	for i := 1; i <= nodes; i++ {
		h.health[address(i)] = "healthy"
		all = append(all, put(key(i), nodeAt("s", address(i))))
	}
	h.feed(true, all...)
	return h
}

func address(i int) string { return fmt.Sprintf("10.0.0.%d:80", i) }

func key(i int) string { return "discovery/" + NodeID("s", address(i)) }

// feed gives the holder a batch.
func (h *holding) feed(full bool, changes ...Change) {
	h.t.Helper()
	h.revision++
	for i := range changes {
		changes[i].ModRevision = h.revision
	}
	h.holder.Apply(Batch{Revision: h.revision, Full: full, Changes: changes})
}

// expire ends the leases of nodes, all in one batch.
func (h *holding) expire(nodes ...int) {
	h.t.Helper()
	var changes []Change
	for _, i := range nodes {
		changes = append(changes, Change{Entry: Entry{Key: key(i)}, Deleted: true, Lease: int64(100 + i)})
	}
	h.feed(false, changes...)
}

func (h *holding) set(i int, word string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.health[address(i)] = word
}

// inForce returns the nodes of the service in the snapshot.
func (h *holding) inForce() []string {
	h.holder.mu.Lock()
	defer h.holder.mu.Unlock()
	list := h.nodes("s")
	slices.Sort(list)
	return list
}

func (h *holding) want(nodes ...int) {
	h.t.Helper()
	var list []string
	for _, i := range nodes {
		list = append(list, address(i))
	}
	if got := h.inForce(); !slices.Equal(got, list) {
		h.t.Errorf("in force: %v, want %v", got, list)
	}
}

func (h *holding) wantHeld(nodes ...int) {
	h.t.Helper()
	var got []string
	for _, n := range h.holder.Held() {
		if n.Service != "s" || n.Until.Sub(n.Since) != h.holder.options.most {
			h.t.Errorf("%+v", n)
		}
		got = append(got, n.Upstream)
	}
	slices.Sort(got)
	var list []string
	for _, i := range nodes {
		list = append(list, address(i))
	}
	if !slices.Equal(got, list) {
		h.t.Errorf("held: %v, want %v", got, list)
	}
}

// FIELD, service registration: an outage of etcd can end all leases at once; nodes that are well are kept.
func TestAServiceThatLosesAllLeasesKeepsTheNodesThatAreWell(t *testing.T) {
	h := newHolding(t, 4, nil)
	h.set(3, "unhealthy healthy unhealthy")
	h.set(4, "unhealthy")
	h.expire(1, 2, 3, 4)
	h.want(1, 2, 3)
	h.wantHeld(1, 2, 3)
	// Each that registers again is held no more.
	h.feed(false, put(key(1), nodeAt("s", address(1))))
	h.want(1, 2, 3)
	h.wantHeld(2, 3)
	// One that turns out not to be well goes.
	h.set(2, "unhealthy")
	testnet.Await(t, "the node to go", func() bool { return len(h.holder.Held()) == 1 })
	h.want(1, 3)
	h.set(3, "ejected")
	testnet.Await(t, "the other to go", func() bool { return len(h.holder.Held()) == 0 })
	h.want(1)
}

// Without probes nobody knows whether they are well: requests tell of a node that dies only by failing.
func TestWithoutHealthChecksNodesGoWithTheirLeases(t *testing.T) {
	for _, word := range []string{"unchecked", "unresolved", "healthy"} {
		h := newHolding(t, 2, nil)
		h.blind = true
		h.set(1, word)
		h.set(2, word)
		h.expire(1, 2)
		h.want()
		h.wantHeld()
	}
}

// What is deleted, and what has said that it goes, goes.
func TestNodesThatAreTakenOutGo(t *testing.T) {
	h := newHolding(t, 3, nil)
	h.feed(false, del(key(1)), del(key(2)), del(key(3)))
	h.want()
	h = newHolding(t, 2, nil)
	h.feed(false, put(key(1), `{"service_name":"s","upstream":"`+address(1)+`","weight":0}`), put(key(2), `{"service_name":"s","upstream":"`+address(2)+`","status":0}`))
	h.expire(1, 2)
	h.want()
	h.wantHeld()
}

// A key that was under a lease and is deleted by an operator: the lease lives.
func TestAnExplicitDeletionIsNotHeldForLong(t *testing.T) {
	h := newHolding(t, 2, nil)
	h.mu.Lock()
	h.alive = true
	h.mu.Unlock()
	h.expire(1, 2)
	testnet.Await(t, "the nodes to go", func() bool { return len(h.holder.Held()) == 0 })
	h.want()
}

// However many services lose their nodes in one batch, the checks are asked once.
func TestABatchThatTakesManyServicesAsksTheChecksOnce(t *testing.T) {
	services, asked := []string{"a", "b", "c"}, 0
	h := newHolding(t, 0, func(o *HolderOptions) {
		o.Health = func() (list []upstream.NodeStatus) {
			asked++
			for _, s := range services {
				list = append(list, upstream.NodeStatus{Service: s, Upstream: address(1), Health: healthy, Probed: true})
			}
			return list
		}
	})
	h.holder.Close() // nobody else asks
	var begin, end []Change
	for _, s := range services {
		begin = append(begin, put("routes/"+s, route("/"+s, s)), put("discovery/"+s, nodeAt(s, address(1))))
		end = append(end, Change{Entry: Entry{Key: "discovery/" + s}, Deleted: true, Lease: 1})
	}
	h.feed(false, begin...)
	h.feed(false, end...)
	if asked != 1 || len(h.holder.Held()) != len(services) {
		t.Errorf("asked %d times; held: %v", asked, h.holder.Held())
	}
	for _, s := range services {
		if got := h.nodes(s); !slices.Equal(got, []string{address(1)}) {
			t.Errorf("%s has %v", s, got)
		}
	}
}

// A store that does not answer is asked once a round: each question may take a second.
func TestAStoreThatDoesNotAnswerIsAskedOnceARound(t *testing.T) {
	asked := 0
	h := newHolding(t, 3, func(o *HolderOptions) {
		o.LeaseEnded = func(context.Context, int64) (bool, error) {
			asked++
			return false, ErrUnavailable
		}
	})
	h.holder.Close() // the rounds are the test's
	h.expire(1, 2, 3)
	for round := 1; round <= 2; round++ {
		if h.holder.look(); asked != round {
			t.Errorf("after round %d: asked %d times", round, asked)
		}
	}
	h.wantHeld(1, 2, 3)
}

// Half of the nodes may go at a time. What goes within a minute counts together, and those that went first come back with the rest.
func TestLossesWithinAMinuteCountTogether(t *testing.T) {
	h := newHolding(t, 4, nil)
	h.expire(1)
	h.want(2, 3, 4)
	h.expire(2)
	h.want(3, 4)
	h.wantHeld()
	h.expire(3)
	h.want(1, 2, 3, 4)
	h.wantHeld(1, 2, 3)

	h = newHolding(t, 4, func(o *HolderOptions) { o.window = time.Nanosecond })
	h.expire(1)
	h.expire(2)
	h.expire(3)
	h.want(4) // 1 of 4, 1 of 3, 1 of 2
	h.wantHeld()
	h.expire(4)
	h.want(4)
	if held := h.holder.Held(); len(held) != 1 || held[0].Until.Sub(held[0].Since) != holdAlone {
		t.Errorf("held: %+v", held)
	}
}

// A lease that ends alone says that whoever renewed it has died, as after a kill -9: no outage does that. The node goes, although something still answers at its address.
func TestANodeWhoseLeaseAloneHasEndedGoes(t *testing.T) {
	brief := func(o *HolderOptions) { o.alone = 20 * time.Millisecond }
	h := newHolding(t, 1, brief)
	h.expire(1)
	h.want(1) // in case others follow
	testnet.Await(t, "the node to go", func() bool { return len(h.holder.Held()) == 0 })
	h.want()

	// Several nodes under one lease are one registrar's.
	h = newHolding(t, 2, brief)
	h.feed(false, Change{Entry: Entry{Key: key(1)}, Deleted: true, Lease: 7}, Change{Entry: Entry{Key: key(2)}, Deleted: true, Lease: 7})
	testnet.Await(t, "the nodes to go", func() bool { return len(h.holder.Held()) == 0 })
	h.want()
}

// A second lease that ends, whatever service its node is of, or a store that was out of reach, says that it is the store that is in trouble.
func TestANodeWhoseLeaseWasNotAloneIsHeld(t *testing.T) {
	h := newHolding(t, 1, nil)
	h.feed(false, put("discovery/other.1", nodeAt("other", "10.1.0.1:80")))
	h.expire(1)
	h.feed(false, Change{Entry: Entry{Key: "discovery/other.1"}, Deleted: true, Lease: 3})
	h.want(1)
	h.wantHeld(1)

	h = newHolding(t, 1, func(o *HolderOptions) { o.StoreLost = time.Now })
	h.expire(1)
	h.want(1)
	h.wantHeld(1)
}

// The leases of an outage may end seconds apart: a node that was let go meanwhile comes back, and one that has registered again speaks for the others still.
func TestLeasesThatEndOneByOneAreNotAlone(t *testing.T) {
	h := newHolding(t, 1, func(o *HolderOptions) { o.alone = 20 * time.Millisecond })
	h.feed(false, put("discovery/other.1", nodeAt("other", "10.1.0.1:80")), put("discovery/other.2", nodeAt("other", "10.1.0.2:80")))
	h.expire(1)
	testnet.Await(t, "the node to go", func() bool { return len(h.holder.Held()) == 0 })
	h.feed(false, Change{Entry: Entry{Key: "discovery/other.1"}, Deleted: true, Lease: 3})
	h.want(1)
	h.wantHeld(1)

	h = newHolding(t, 1, nil)
	h.feed(false, put("discovery/other.1", nodeAt("other", "10.1.0.1:80")))
	h.feed(false, Change{Entry: Entry{Key: "discovery/other.1"}, Deleted: true, Lease: 3})
	h.feed(false, put("discovery/other.1", nodeAt("other", "10.1.0.1:80")))
	h.expire(1)
	h.want(1)
	h.wantHeld(1)
}

// A node that dies twice within a minute, under one lease after another, has died alone both times.
func TestANodeThatDiesTwiceGoesTwice(t *testing.T) {
	h := newHolding(t, 1, func(o *HolderOptions) { o.alone = 20 * time.Millisecond })
	for lease := range int64(2) {
		h.feed(false, put(key(1), nodeAt("s", address(1))))
		h.want(1)
		h.feed(false, Change{Entry: Entry{Key: key(1)}, Deleted: true, Lease: 7 + lease})
		testnet.Await(t, "the node to go", func() bool { return len(h.holder.Held()) == 0 })
		h.want()
	}
}

// Nobody hears of other leases while the store is out of reach, so none is known to have ended alone.
func TestANodeIsHeldWhileTheStoreIsOutOfReach(t *testing.T) {
	away, lost := error(ErrUnavailable), time.Time{}
	h := newHolding(t, 1, func(o *HolderOptions) {
		o.alone = time.Nanosecond
		o.LeaseEnded = func(context.Context, int64) (bool, error) { return true, away }
		o.StoreLost = func() time.Time { return lost }
	})
	h.holder.Close() // the rounds are the test's
	h.expire(1)
	if h.holder.ctx, h.holder.cancel = context.WithCancel(t.Context()); !h.holder.look() {
		t.Error("the node has gone while the store did not answer")
	}
	away, lost = nil, time.Now()
	if !h.holder.look() {
		t.Error("the node has gone while there was no watch")
	}
	h.want(1)
	h.wantHeld(1)
}

// A hold has an end, whatever the checks say.
func TestAHoldEnds(t *testing.T) {
	h := newHolding(t, 2, func(o *HolderOptions) { o.most = 20 * time.Millisecond })
	h.expire(1, 2)
	testnet.Await(t, "time to be up", func() bool { return len(h.holder.Held()) == 0 })
	h.want()
}

// What is read anew as a whole is what there is.
func TestAFullBatchForgetsWhatIsHeld(t *testing.T) {
	h := newHolding(t, 2, nil)
	h.expire(1, 2)
	h.wantHeld(1, 2)
	h.feed(true, put("routes/a", route("/a", "s")), put(key(2), nodeAt("s", address(2))))
	h.want(2)
	h.wantHeld()
}

// Other services, and other resources in the same batch, are not touched.
func TestOnlyTheServiceThatLosesItsNodesIsHeld(t *testing.T) {
	h := newHolding(t, 2, nil)
	h.feed(false, put("routes/b", route("/b", "other")), put("discovery/other.1", nodeAt("other", "10.1.0.1:80")))
	h.feed(false, Change{Entry: Entry{Key: key(1)}, Deleted: true, Lease: 1}, Change{Entry: Entry{Key: key(2)}, Deleted: true, Lease: 2},
		Change{Entry: Entry{Key: "discovery/other.1"}, Deleted: true, Lease: 3}, put("routes/c", route("/c", "s")), del("routes/b"))
	h.want(1, 2)
	if h.match("/c") != "c" || h.match("/b") != "" || h.nodes("other") != nil {
		t.Errorf("%q %q %v", h.match("/c"), h.match("/b"), h.nodes("other"))
	}
}
