package router

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestTheEmptyTableMatchesNothing(t *testing.T) {
	var m Match[int]
	for _, table := range []*Table[int]{new(Table[int]), build(t, nil), new(Table[int]).Without("x")} {
		if got := ask(table, &m, "h", "/", "GET", nil); got.outcome != NoRoute || table.Len() != 0 || table.Get("x") != nil {
			t.Errorf("%+v", got)
		}
		if table.Digest() != new(Table[int]).Digest() || table.Dump() != "" {
			t.Error("empty tables differ")
		}
	}
}

// One bad rule takes no other down, and its last good version stays in force.
func TestARefusedRuleLeavesTheOthersAndItsOwnLastVersion(t *testing.T) {
	before := build(t, []Rule[int]{{ID: "r", Paths: []string{"/old"}}})
	after, err := before.With(
		Rule[int]{ID: "a", Paths: []string{"/a"}},
		Rule[int]{ID: "r", Paths: []string{"/new", "/x/*/y"}},
		Rule[int]{ID: "", Paths: []string{"/"}},
		Rule[int]{ID: "n"},
		Rule[int]{ID: "m", Paths: []string{"/"}, Methods: []string{""}},
		Rule[int]{ID: "z", Paths: []string{"/z"}},
	)
	var m Match[int]
	for path, want := range map[string]string{"/a": "a", "/old": "r", "/new": "", "/z": "z", "/": ""} {
		if got := ask(after, &m, "", path, "GET", nil); got.id != want {
			t.Errorf("%s leads to %q, want %q", path, got.id, want)
		}
	}
	want := strings.Join([]string{
		`router: route "r": paths: "/x/*/y": nothing may follow a "*", which matches all that is left`,
		`router: route "": id: is missing`,
		`router: route "n": paths: at least one is needed`,
		`router: route "m": methods: a method cannot be empty`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if after.Len() != 3 {
		t.Errorf("%d rules, want 3", after.Len())
	}
}

// Patterns that would make matching exponential are refused, and leave no trace.
func TestPatternsThatWouldMakeMatchingExponentialAreRefused(t *testing.T) {
	table := new(Table[int])
	var last *RuleError
	refused := 0
	for bits := range 1 << 10 { // every way to have a parameter or a literal in ten segments
		var p strings.Builder
		for i := range 10 {
			if bits>>i&1 == 0 {
				p.WriteString("/a")
			} else {
				fmt.Fprintf(&p, "/:p%d", i)
			}
		}
		next, err := table.With(Rule[int]{ID: fmt.Sprint(bits), Paths: []string{"/fine" + fmt.Sprint(bits), p.String()}})
		if err == nil {
			table = next
			continue
		}
		if !errors.As(err, &last) || last.Err != ErrTooManyBranches || last.Value != p.String() {
			t.Fatal(err)
		}
		if refused++; refused > 20 {
			continue // looking at every node of both takes a while
		}
		if next.Digest() != table.Digest() || next.Dump() != table.Dump() || next.Len() != table.Len() {
			t.Fatalf("the refused rule %d left something behind", bits)
		}
	}
	if last == nil || table.Len() < MaxBranches {
		t.Fatalf("%d rules are in, want at least %d and less than all", table.Len(), MaxBranches)
	}
	table.hosts.each(nil, func(_ []byte, tree *paths[int]) bool {
		if tree.bounds.branches > MaxBranches {
			t.Errorf("%d branches", tree.bounds.branches)
		}
		return true
	})
	// A rule that is refused when it changes keeps its place.
	keep := build(t, append(slices.Collect(values(table)), Rule[int]{ID: "keep", Paths: []string{"/keep"}, Hosts: []string{"*", "h"}}))
	next, err := keep.With(Rule[int]{ID: "keep", Paths: []string{"/keep", last.Value}, Hosts: []string{"h", "*"}})
	if !errors.Is(err, ErrTooManyBranches) || next.Digest() != keep.Digest() || next.Dump() != keep.Dump() || next.Len() != keep.Len() {
		t.Errorf("after a refused change: %v", err)
	}
	checkTree(t, next)
}

func values(t *Table[int]) func(func(Rule[int]) bool) {
	return func(yield func(Rule[int]) bool) {
		for r := range t.All() {
			if !yield(*r) {
				return
			}
		}
	}
}

func TestRulesAreFoundByIDAndListedInItsOrder(t *testing.T) {
	table := build(t, []Rule[int]{{ID: "b", Paths: []string{"/b"}, Value: 2}, {ID: "ab", Paths: []string{"/ab"}}, {ID: "a", Paths: []string{"/a"}, Value: 1}})
	var ids []string
	for r := range table.All() {
		ids = append(ids, r.ID)
	}
	if !slices.Equal(ids, []string{"a", "ab", "b"}) || table.Len() != 3 {
		t.Errorf("ids %v, length %d", ids, table.Len())
	}
	for range table.All() {
		break // must not go on
	}
	if r := table.Get("b"); r == nil || r.Value != 2 {
		t.Errorf("b is %v", r)
	}
	if table.Get("c") != nil || table.Get("") != nil || table.Get("abc") != nil {
		t.Error("ids that are not there are found")
	}
}

// Of two rules that are alike, the smaller id wins; one rule with two patterns of one leaf counts once, with the first one's names.
func TestDuplicatesAreAllowed(t *testing.T) {
	table := build(t, []Rule[int]{
		{ID: "b", Paths: []string{"/:x"}},
		{ID: "a", Paths: []string{"/:first", "/:second", "/:first"}, Hosts: []string{"*", "*"}},
	})
	var m Match[int]
	if got := ask(table, &m, "", "/v", "GET", nil); got.id != "a" || got.params != "first=v;" {
		t.Errorf("%+v", got)
	}
	table = table.Without("a", "none")
	checkTree(t, table)
	if got := ask(table, &m, "", "/v", "GET", nil); got.id != "b" || table.Len() != 1 {
		t.Errorf("%+v", got)
	}
}

// Equal rules give equal digests; whatever is compared by a match, and Stamp, makes them differ.
func TestTheDigestSeesEveryDifference(t *testing.T) {
	base := Rule[int]{ID: "r", Paths: []string{"/a/:x"}, Methods: []string{"GET", "PUT"}, Hosts: []string{"h", "*.i"}}
	seen := map[uint64]string{build(t, []Rule[int]{base}).Digest(): "base"}
	for what, change := range map[string]func(*Rule[int]){
		"id":       func(r *Rule[int]) { r.ID = "s" },
		"path":     func(r *Rule[int]) { r.Paths = []string{"/b/:x"} },
		"name":     func(r *Rule[int]) { r.Paths = []string{"/a/:y"} },
		"star":     func(r *Rule[int]) { r.Paths = []string{"/a/*x"} },
		"literal":  func(r *Rule[int]) { r.Paths = []string{"/a/x"} },
		"more":     func(r *Rule[int]) { r.Paths = []string{"/a/:x", "/b"} },
		"host":     func(r *Rule[int]) { r.Hosts = []string{"h", "i"} },
		"any host": func(r *Rule[int]) { r.Hosts = nil },
		"method":   func(r *Rule[int]) { r.Methods = []string{"GET"} },
		"priority": func(r *Rule[int]) { r.Priority = 1 },
		"when":     func(r *Rule[int]) { r.When = func(any) bool { return true } },
		"stamp":    func(r *Rule[int]) { r.Stamp = 1 },
	} {
		r := base
		change(&r)
		d := build(t, []Rule[int]{r}).Digest()
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have the same digest", what, other)
		}
		seen[d] = what
	}
	same := base
	same.Methods, same.Hosts = []string{"PUT", "GET"}, []string{"*.I", "H"}
	if seen[build(t, []Rule[int]{same}).Digest()] != "base" {
		t.Error("the order of methods and hosts makes a difference")
	}
}

func TestTheTreeIsDrawnAsInTheGolden(t *testing.T) {
	always := func(any) bool { return true }
	table := build(t, []Rule[int]{
		{ID: "me", Paths: []string{"/users/me"}, Methods: []string{"GET"}, Priority: 5},
		{ID: "user", Paths: []string{"/users/:id"}},
		{ID: "post", Paths: []string{"/users/:id/posts/:post", "/posts/*rest"}, Methods: []string{"GET", "PUT"}},
		{ID: "canary", Paths: []string{"/users/:user"}, When: always},
		{ID: "users", Paths: []string{"/users/*"}},
		{ID: "grpc", Paths: []string{"/grpc.hello.*"}, Hosts: []string{"*.example.com", "grpc.example.com"}},
		{ID: "page", Paths: []string{"/:lang/about", "/:lang"}, Hosts: []string{"www.example.com"}},
		{ID: "all", Paths: []string{"*"}, Priority: -1},
	})
	const file = "testdata/dump.golden"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(table.Dump()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if table.Dump() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", table.Dump(), want)
	}
}

// A condition is asked only where its rule could win.
func TestConditionsAreAskedOnlyWhereTheyMatter(t *testing.T) {
	var asked []string
	rule := func(id, path string, priority int, holds bool, methods ...string) Rule[int] {
		return Rule[int]{ID: id, Paths: []string{path}, Priority: priority, Methods: methods, When: func(facts any) bool {
			asked = append(asked, fmt.Sprint(id, facts))
			return holds
		}}
	}
	table := build(t, []Rule[int]{
		rule("exact-no", "/a/b", 0, false), rule("param", "/a/:x", 0, true), rule("star", "/a/*", 0, true),
		rule("high", "/*", 1, true), rule("put", "/*", 2, true, "PUT"), rule("low", "*", 0, true),
	})
	var m Match[int]
	if got := ask(table, &m, "", "/a/b", "GET", 7); got.id != "high" {
		t.Errorf("%q wins", got.id)
	}
	if want := []string{"exact-no7", "param7", "high7"}; !slices.Equal(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
}

// DESIGN: a change copies the path to the changed leaf, so the number of new nodes does not grow with the table.
func TestAChangeCopiesOnlyThePathToTheLeaf(t *testing.T) {
	for _, n := range []int{100, 20_000} {
		table := manyRoutes(t, n)
		old := map[any]bool{}
		visitNodes(table, func(n any) { old[n] = true })
		for name, next := range map[string]*Table[int]{
			"added":   with(t, table, Rule[int]{ID: "new", Paths: []string{"/r/new"}, Hosts: []string{"*", "new.example.com"}}),
			"changed": with(t, table, Rule[int]{ID: "r0000050", Paths: []string{"/r/elsewhere"}}),
			"removed": table.Without("r0000050"),
		} {
			fresh := 0
			visitNodes(next, func(n any) {
				if !old[n] {
					fresh++
				}
			})
			if fresh == 0 || fresh > 40 {
				t.Errorf("%s: %d of %d nodes are new", name, fresh, len(old))
			}
		}
	}
}

// visitNodes calls visit for every node of every tree.
func visitNodes(t *Table[int], visit func(any)) {
	nodes(t.ids, visit, func(*Rule[int]) {})
	var inPaths func(*paths[int])
	inPaths = func(n *paths[int]) { nodes(n, visit, func(j *junction[int]) { inPaths(j.param) }) }
	nodes(t.hosts, visit, inPaths)
}

func nodes[V any](n *node[V], visit func(any), value func(*V)) {
	if n == nil {
		return
	}
	visit(n)
	if n.value != nil {
		value(n.value)
	}
	for _, kid := range n.kids {
		nodes(kid, visit, value)
	}
}

func with(t testing.TB, table *Table[int], rules ...Rule[int]) *Table[int] {
	t.Helper()
	next, err := table.With(rules...)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// Readers of one table and writers of others share nodes; the race detector looks on.
func TestTablesMayBeUsedAndDerivedFromByManyGoroutines(t *testing.T) {
	base := manyRoutes(t, 500)
	digest := base.Digest()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			mine := base
			var m Match[int]
			for i := range 200 {
				id := fmt.Sprintf("g%d-%d", g, i)
				next, err := mine.With(Rule[int]{ID: id, Paths: []string{"/r/" + id}}, Rule[int]{ID: fmt.Sprintf("r%07d", i), Paths: []string{"/moved/" + id}})
				if err != nil {
					t.Error(err)
				}
				mine = next.Without(fmt.Sprintf("g%d-%d", g, i-5))
				if got := ask(mine, &m, "", "/moved/"+id, "GET", nil); got.outcome != Found {
					t.Errorf("%s: %+v", id, got)
				}
				if got := ask(base, &m, "", fmt.Sprintf("/r/%07d", i), "GET", nil); got.outcome != Found {
					t.Errorf("base lost %d: %+v", i, got)
				}
			}
		})
	}
	wg.Wait()
	if base.Digest() != digest {
		t.Error("the table that others were derived from has changed")
	}
}

// The data path does not allocate: found by any kind of pattern, not found, and, once the Match has room, not allowed.
func TestMatchDoesNotAllocate(t *testing.T) {
	table := with(t, manyRoutes(t, 1000),
		Rule[int]{ID: "params", Paths: []string{"/u/:a/:b/*c"}, Hosts: []string{"*.example.com"}, When: func(f any) bool { return f != nil }},
		Rule[int]{ID: "put", Paths: []string{"/put"}, Methods: []string{"PUT", "POST"}, When: func(f any) bool { return f != nil }},
	)
	var m Match[int]
	facts := any(&m)
	for _, c := range []struct {
		host, path string
		want       Outcome
	}{
		{"h", "/r/0000007", Found}, {"A.example.com:80", "/u/1/2/3/4", Found}, {"h", "/none", NoRoute}, {"h", "/put", MethodNotAllowed},
	} {
		q := Query{Host: []byte(c.host), Path: []byte(c.path), Method: []byte("GET"), Facts: facts}
		if got := table.Match(&q, &m); got != c.want {
			t.Fatalf("%s: %v", c.path, got)
		}
		if n := testing.AllocsPerRun(100, func() { table.Match(&q, &m) }); n != 0 {
			t.Errorf("%s: %v allocations", c.path, n)
		}
	}
}

// The budget of a route is 2 KiB in all; the router may have half of it, rule included.
func TestARouteTakesLessThanAKiB(t *testing.T) {
	if got := bytesPerRoute(t, 20_000); got > 1024 {
		t.Errorf("%d bytes per route", got)
	}
}

func bytesPerRoute(t testing.TB, n int) int {
	before := heap()
	table := manyRoutes(t, n)
	after := heap()
	runtime.KeepAlive(table)
	return int(after-before) / n
}

func heap() uint64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// manyRoutes returns a table of n routes /r/0000000, /r/0000001, …
func manyRoutes(t testing.TB, n int) *Table[int] {
	rules := make([]Rule[int], n)
	for i := range rules {
		rules[i] = Rule[int]{ID: fmt.Sprintf("r%07d", i), Paths: []string{fmt.Sprintf("/r/%07d", i)}}
	}
	return build(t, rules)
}
