package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/router"
)

func TestAnEmptyStoreMakesTheFirstSnapshot(t *testing.T) {
	b := newBench(t)
	if b.Status().Ready() {
		t.Error("ready before anything is known")
	}
	b.resync()
	if b.times != 1 || !b.Status().Ready() || b.match("/") != "" || b.Status().Revision != 1 {
		t.Errorf("%d snapshots, %+v", b.times, b.Status())
	}
}

func TestRoutesServicesAndNodesComeIntoForceTogether(t *testing.T) {
	b := newBench(t)
	b.resync(
		put("routes/a", route("/a/*", "s")), put("routes/b", contractRoute), put("services/demo1", contractService),
		put("discovery/s.1", nodeAt("s", "10.0.0.1:80")), put("discovery/any/key", nodeAt("s", "10.0.0.2:80")), put("users/x", `{`), put("elsewhere", `{`))
	b.wantErrors()
	if b.times != 1 || b.match("/a/x") != "a" || !slices.Equal(b.nodes("s"), []string{"10.0.0.1:80", "10.0.0.2:80"}) || !slices.Equal(b.nodes("demo1"), []string{"127.0.0.1:1024"}) {
		t.Errorf("%d snapshots, %q, %v, %v", b.times, b.match("/a/x"), b.nodes("s"), b.nodes("demo1"))
	}
	if s := b.Status(); s.Routes != 2 || s.Services != 2 || s.Nodes != 2 || s.Revision != 1 || s.Published != 1 {
		t.Errorf("%+v", s)
	}
	b.apply(put("routes/a", route("/b", "s")), del("discovery/s.1"))
	if b.times != 2 || b.match("/a/x") != "" || b.match("/b") != "a" || !slices.Equal(b.nodes("s"), []string{"10.0.0.2:80"}) {
		t.Errorf("%d snapshots, %q, %v", b.times, b.match("/b"), b.nodes("s"))
	}
	b.apply(del("routes/a"))
	if b.match("/b") != "" || b.nodes("s") != nil {
		t.Errorf("%q, %v", b.match("/b"), b.nodes("s"))
	}
}

// FIELD: a bad resource must take no other down, and its last good version stays.
func TestABadValueLeavesThePreviousOneInForce(t *testing.T) {
	b := newBench(t)
	b.resync(put("routes/a", route("/a", "s")), put("services/s", `{"retry":{"attempts":3}}`), put("discovery/s.1", nodeAt("s", "10.0.0.1:80")))
	b.apply(put("routes/a", `{"prefix":"a"`), put("services/s", `{"retry":{"attempts":99}}`), put("discovery/s.1", `{}`), put("routes/b", `{}`), put("routes/c", route("/c", "s")))
	b.wantErrors("discovery/s.1", "routes/a", "routes/b", "services/s")
	if b.match("/a") != "a" || b.match("/c") != "c" || !slices.Equal(b.nodes("s"), []string{"10.0.0.1:80"}) || b.now.Services[0].Attempts != 3 {
		t.Errorf("%q %q %v", b.match("/a"), b.match("/c"), b.nodes("s"))
	}
	for _, e := range b.Status().Errors {
		if e.Revision != 2 || len(e.Problems) == 0 || e.Previous != (e.Key != "routes/b") {
			t.Errorf("%+v", e)
		}
	}
	b.apply(put("routes/a", route("/a2", "s")), del("routes/b"), put("services/s", `{}`), put("discovery/s.1", nodeAt("s", "10.0.0.2:80")))
	b.wantErrors()
	if b.match("/a") != "" || b.match("/a2") != "a" || !slices.Equal(b.nodes("s"), []string{"10.0.0.2:80"}) {
		t.Errorf("%q %q %v", b.match("/a"), b.match("/a2"), b.nodes("s"))
	}
}

func TestABadValueThatIsDeletedIsForgotten(t *testing.T) {
	b := newBench(t)
	b.resync(put("routes/a", route("/a", "s")))
	b.apply(put("routes/a", `{}`))
	b.apply(del("routes/a"))
	b.wantErrors()
	if b.match("/a") != "" {
		t.Error("the deleted route is in force")
	}
}

// A transaction may write a key twice; the last good value of it counts.
func TestGoodThenBadInOneBatchIsTheGoodOne(t *testing.T) {
	b := newBench(t)
	b.resync(put("routes/a", route("/a", "s")), put("routes/a", `{}`))
	b.wantErrors("routes/a")
	if b.match("/a") != "a" {
		t.Error("the good value is not in force")
	}
}

// APISIX #13303: a resync that brings nothing new must change nothing.
func TestNothingNewPublishesNothing(t *testing.T) {
	b := newBench(t)
	all := func() []Change {
		return []Change{put("routes/a", route("/a", "s")), put("routes/bad", `{}`), put("services/s", `{}`), put("discovery/s.1", nodeAt("s", "10.0.0.1:80"))}
	}
	b.resync(all()...)
	first := b.now
	b.resync(all()...)
	b.apply(all()...)
	b.apply()
	b.apply(del("routes/none"), del("services/none"), del("discovery/none"), put("consumers/a", `{}`))
	b.apply(put("discovery/t.1", nodeAt("t", "10.0.0.1:80"))) // nobody names t
	if b.times != 1 || b.now != first {
		t.Errorf("%d snapshots", b.times)
	}
	b.wantErrors("routes/bad")
	if s := b.Status(); s.Revision != 6 || s.Published != 1 {
		t.Errorf("%+v", s)
	}
}

// A change of one node must cost nothing at the routes, and the other way round.
func TestANodeChangeDoesNotTouchRoutes(t *testing.T) {
	b := newBench(t)
	b.resync(put("routes/a", route("/a", "s")), put("routes/b", route("/b", "t")), put("discovery/s.1", nodeAt("s", "10.0.0.1:80")))
	before := b.now
	b.apply(put("discovery/s.2", nodeAt("s", "10.0.0.2:80")))
	if b.now == before || b.now.Routes != before.Routes {
		t.Error("the table is another one")
	}
	if i := before.Routes.Get("b").Value.Service; before.Services[i] != b.now.Services[i] {
		t.Error("the other service is another one")
	}
	if i := before.Routes.Get("a").Value.Service; len(before.Services[i].Nodes()) != 1 || len(b.now.Services[i].Nodes()) != 2 {
		t.Error("a published snapshot has changed")
	}
	before = b.now
	b.apply(put("routes/c", route("/c", "s")))
	for i, s := range before.Services {
		if b.now.Services[i] != s {
			t.Errorf("service %s is another one", s.Name)
		}
	}
}

func TestAFullBatchTakesOutWhatItDoesNotHave(t *testing.T) {
	b := newBench(t)
	b.resync(put("routes/a", route("/a", "s")), put("routes/b", route("/b", "s")), put("routes/bad", `{}`), put("discovery/s.1", nodeAt("s", "10.0.0.1:80")), put("services/u", `{}`))
	b.resync(put("routes/b", route("/b", "s")))
	b.wantErrors()
	if b.match("/a") != "" || b.match("/b") != "b" || len(b.nodes("s")) != 0 || b.Status().Services != 1 || b.Status().Nodes != 0 {
		t.Errorf("%q %q %v %+v", b.match("/a"), b.match("/b"), b.nodes("s"), b.Status())
	}
}

func TestStatusZeroTakesOut(t *testing.T) {
	b := newBench(t)
	b.resync(put("routes/a", route("/a", "s")), put("discovery/1", nodeAt("s", "10.0.0.1:80")), put("discovery/2", nodeAt("s", "10.0.0.2:80")))
	b.apply(put("discovery/1", `{"service_name":"s","upstream":"10.0.0.1:80","status":0}`))
	if !slices.Equal(b.nodes("s"), []string{"10.0.0.2:80"}) {
		t.Errorf("%v", b.nodes("s"))
	}
	b.apply(put("routes/a", `{"prefix":"/a","service_name":"s","status":0}`))
	if b.match("/a") != "" || b.Status().Routes != 0 {
		t.Error("a route that is out matches")
	}
	b.apply(put("routes/a", route("/a", "s")))
	if b.match("/a") != "a" || !slices.Equal(b.nodes("s"), []string{"10.0.0.2:80"}) {
		t.Errorf("%q %v", b.match("/a"), b.nodes("s"))
	}
}

// What discovery says of an address counts more than what the configuration says.
func TestANodeThatIsOutStaysOutWhenItIsAlsoStatic(t *testing.T) {
	b := newBench(t)
	b.resync(put("services/s", `{"nodes":[{"upstream":"10.0.0.1:80"},{"upstream":"10.0.0.2:80"}]}`),
		put("discovery/1", `{"service_name":"s","upstream":"10.0.0.1:80","status":0}`))
	if !slices.Equal(b.nodes("s"), []string{"10.0.0.2:80"}) {
		t.Errorf("%v", b.nodes("s"))
	}
}

// A node that registers again under another key is there once, as it was written last.
func TestTheSameAddressUnderTwoKeysIsOneNode(t *testing.T) {
	b := newBench(t)
	b.resync(put("routes/a", route("/a", "s")), put("discovery/old", nodeAt("s", "10.0.0.1:80")))
	b.apply(put("discovery/new", `{"service_name":"s","upstream":"10.0.0.1:80","status":0}`))
	if len(b.nodes("s")) != 0 {
		t.Errorf("%v", b.nodes("s"))
	}
	b.apply(del("discovery/new"))
	if !slices.Equal(b.nodes("s"), []string{"10.0.0.1:80"}) {
		t.Errorf("%v", b.nodes("s"))
	}
}

func TestANodeMayMoveToAnotherService(t *testing.T) {
	b := newBench(t)
	b.resync(put("routes/a", route("/a", "s")), put("routes/b", route("/b", "t")), put("discovery/1", nodeAt("s", "10.0.0.1:80")))
	b.apply(put("discovery/1", nodeAt("t", "10.0.0.1:80")))
	if len(b.nodes("s")) != 0 || len(b.nodes("t")) != 1 {
		t.Errorf("%v %v", b.nodes("s"), b.nodes("t"))
	}
}

// proxy.Route.Service: the same for a service's whole life, and free for another afterwards.
func TestServiceIndicesAreStableAndUsedAgain(t *testing.T) {
	b := newBench(t)
	b.resync(put("routes/a", route("/a", "s")), put("routes/b", route("/b", "t")))
	s := b.now.Routes.Get("a").Value.Service
	b.apply(put("routes/a", route("/a", "u")), put("services/s", `{}`))
	b.apply(put("routes/c", route("/c", "s")))
	if got := b.now.Routes.Get("c").Value.Service; got != s {
		t.Errorf("the index of s went from %d to %d", s, got)
	}
	b.apply(del("routes/c"))
	b.apply(del("services/s"))
	if b.now.Services[s] != nil {
		t.Error("a service that nobody names is in the snapshot")
	}
	b.apply(put("routes/d", route("/d", "v")))
	if got := b.now.Routes.Get("d").Value.Service; got != s || len(b.now.Services) != 3 {
		t.Errorf("v has index %d of %d, and %d was free", got, len(b.now.Services), s)
	}
}

// A route that moves from the only service that needed it leaves no trace of it.
func TestRenamingTheServiceOfARouteFreesTheOldOne(t *testing.T) {
	b := newBench(t)
	b.resync(put("routes/a", route("/a", "s0")))
	for i := range 50 {
		b.apply(put("routes/a", route("/a", fmt.Sprintf("s%d", i+1))))
	}
	if len(b.now.Services) > 2 || b.Status().Services != 1 {
		t.Errorf("%d places for %d services", len(b.now.Services), b.Status().Services)
	}
}

// Patterns that would make matching dear are refused by the table, not by validation: it is their number that is wrong. The route comes
// into force by itself when there is room.
func TestARouteThatTheTableRefusesWaitsForItsTurn(t *testing.T) {
	b := newBench(t)
	var changes []Change
	const all = 2 * router.MaxBranches
	for i := range all {
		changes = append(changes, put(fmt.Sprintf("routes/%03d", i), route("/"+branchy(i, 9), "s")))
	}
	b.resync(changes...)
	bad := b.Status().Errors
	if len(bad) == 0 {
		t.Fatal("the router takes all of these patterns")
	}
	if !strings.Contains(bad[0].Problems.Error(), "paths") {
		t.Errorf("%v", bad[0].Problems)
	}
	if b.Status().Routes+len(bad) != all {
		t.Errorf("%d in force and %d refused", b.Status().Routes, len(bad))
	}
	waiting := bad[0].Key
	var out []Change
	for i := range all {
		if key := fmt.Sprintf("routes/%03d", i); key != waiting {
			out = append(out, del(key))
		}
	}
	b.apply(out...)
	b.wantErrors()
	if b.Status().Routes != 1 {
		t.Errorf("%d routes in force", b.Status().Routes)
	}
}

// branchy is a pattern of n segments which are literals or parameters as the bits of i say.
func branchy(i, n int) string {
	parts := make([]string, n)
	for j := range parts {
		if parts[j] = "a"; i>>j&1 == 1 {
			parts[j] = fmt.Sprintf(":p%d", j)
		}
	}
	return strings.Join(parts, "/")
}
