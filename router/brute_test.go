package router

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// allPatterns returns every pattern of up to n segments over a tiny alphabet, and all paths of up to n+1 segments.
func allPatterns(n int) (patterns, paths []string) {
	patterns = []string{"*"}
	prefixes := []string{""}
	for depth := range n {
		var longer []string
		for _, p := range prefixes {
			for _, seg := range []string{"", "a", "ab", fmt.Sprintf(":p%d", depth)} {
				longer = append(longer, p+"/"+seg)
			}
			patterns = append(patterns, p+"/*", p+"/a*", fmt.Sprintf("%s/*rest", p))
		}
		patterns = append(patterns, longer...)
		prefixes = longer
	}
	prefixes = []string{""}
	for range n + 1 {
		var longer []string
		for _, p := range prefixes {
			for _, seg := range []string{"", "a", "ab", "b"} {
				longer = append(longer, p+"/"+seg)
			}
		}
		paths = append(paths, longer...)
		prefixes = longer
	}
	return patterns, append(paths, "", "*", "a")
}

func build(t testing.TB, rules []Rule[int]) *Table[int] {
	t.Helper()
	table, err := Build(rules)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// Every two patterns of up to two segments, with lower, equal and higher priority, on every path of up to three.
func TestEveryPairOfPatternsMatchesAsTheNaiveMatcherSays(t *testing.T) {
	patterns, paths := allPatterns(2)
	var m Match[int]
	for _, a := range patterns {
		for _, b := range patterns {
			for priority := -1; priority <= 1; priority++ {
				rules := []Rule[int]{{ID: "a", Paths: []string{a}}, {ID: "b", Paths: []string{b}, Priority: priority}}
				table := build(t, rules)
				for _, path := range paths {
					want := naiveMatch(rules, "h", path, "GET", nil)
					if got := ask(table, &m, "h", path, "GET", nil); got != want {
						t.Fatalf("rules %v: path %q: got %+v, want %+v", rules, path, got, want)
					}
				}
			}
		}
	}
}

// All patterns of up to three segments in one table, and random halves of them, with random priorities.
func TestAllPatternsTogetherMatchAsTheNaiveMatcherSays(t *testing.T) {
	patterns, paths := allPatterns(3)
	rng := rand.New(rand.NewPCG(1, 2))
	var m Match[int]
	for round := range 6 {
		var rules []Rule[int]
		for i, p := range patterns {
			if round > 0 && rng.IntN(2) == 0 {
				continue
			}
			rules = append(rules, Rule[int]{ID: fmt.Sprintf("r%03d", i), Paths: []string{p}, Priority: rng.IntN(1 + round)})
		}
		table := build(t, rules)
		checkTree(t, table)
		for _, path := range paths {
			want := naiveMatch(rules, "h", path, "GET", nil)
			if got := ask(table, &m, "h", path, "GET", nil); got != want {
				t.Fatalf("round %d: path %q: got %+v, want %+v", round, path, got, want)
			}
		}
	}
}

// ruleKinds is every combination of host, pattern, methods, condition and priority over small sets.
func ruleKinds() (kinds []Rule[int]) {
	isOne := func(facts any) bool { return facts == 1 }
	for _, hosts := range [][]string{nil, {"b.c"}, {"*.c"}, {"*.b.c"}} {
		for _, path := range []string{"/a", "/:x", "/*"} {
			for _, methods := range [][]string{nil, {"GET"}, {"PUT", "GET"}} {
				for _, when := range []func(any) bool{nil, isOne} {
					for priority := range 2 {
						kinds = append(kinds, Rule[int]{Hosts: hosts, Paths: []string{path}, Methods: methods, When: when, Priority: priority})
					}
				}
			}
		}
	}
	return kinds
}

// Every two kinds of rules against every query; then many random sets of five.
func TestEveryPairOfRulesMatchesAsTheNaiveMatcherSays(t *testing.T) {
	kinds := ruleKinds()
	check := func(rules []Rule[int]) {
		for i := range rules {
			rules[i].ID = string(rune('a' + i))
		}
		table := build(t, rules)
		var m Match[int]
		for _, host := range []string{"b.c", "x.b.c", "y.c", "c"} {
			for _, path := range []string{"/a", "/b"} {
				for _, method := range []string{"GET", "PUT", "DELETE"} {
					facts := len(host) % 2
					want := naiveMatch(rules, host, path, method, facts)
					if got := ask(table, &m, host, path, method, facts); got != want {
						t.Fatalf("%s %s%s: got %+v, want %+v\n%s", method, host, path, got, want, table.Dump())
					}
				}
			}
		}
	}
	for i, a := range kinds {
		for _, b := range kinds[:i+1] {
			check([]Rule[int]{a, b})
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		var rules []Rule[int]
		for range 5 {
			rules = append(rules, kinds[rng.IntN(len(kinds))])
		}
		check(rules)
	}
}

// The order is total, and among patterns that match one path it is the naive matcher's.
func TestCompareIsATotalOrderThatAgreesWithTheSearch(t *testing.T) {
	texts, paths := allPatterns(2)
	for _, a := range texts {
		for _, b := range texts {
			pa, pb := mustParse(t, a), mustParse(t, b)
			if pa.Compare(pb) != -pb.Compare(pa) {
				t.Fatalf("%s and %s compare as %d and %d", a, b, pa.Compare(pb), pb.Compare(pa))
			}
			for _, path := range paths {
				if naivePattern(a).MatchString(path) != pa.Matches([]byte(path)) {
					t.Fatalf("%s matches %q: %v", a, path, pa.Matches([]byte(path)))
				}
				if naivePattern(a).MatchString(path) && naivePattern(b).MatchString(path) {
					if got, want := pa.Compare(pb), strings.Compare(naiveRank(a), naiveRank(b)); got != want {
						t.Fatalf("%s and %s compare as %d, want %d", a, b, got, want)
					}
				}
			}
			for _, c := range texts {
				if pc := mustParse(t, c); pa.Compare(pb) < 0 && pb.Compare(pc) < 0 && pa.Compare(pc) >= 0 {
					t.Fatalf("%s < %s < %s, but not the first and last", a, b, c)
				}
			}
		}
	}
}

func mustParse(t testing.TB, s string) Pattern {
	t.Helper()
	p, err := ParsePattern(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// checkTree verifies what node and bounds promise, from the leaves up.
func checkTree(t testing.TB, table *Table[int]) {
	t.Helper()
	checkNode(t, table.ids, true, nil)
	checkNode(t, table.hosts, true, nil)
	table.hosts.each(nil, func(_ []byte, tree *paths[int]) bool {
		checkPaths(t, tree)
		return true
	})
}

func checkPaths(t testing.TB, tree *paths[int]) {
	measure := func(j *junction[int]) bounds {
		if j.param != nil {
			checkPaths(t, j.param)
		}
		all := slices.Concat(j.here, j.rest)
		b := bounds{top: -1 << 63}
		for _, e := range all {
			b.top = max(b.top, e.rule.Priority)
		}
		if j.param != nil {
			b.top = max(b.top, j.param.bounds.top)
			b.branches = j.param.bounds.branches
		}
		if !slices.IsSortedFunc(j.here, compareEntries) || !slices.IsSortedFunc(j.rest, compareEntries) {
			t.Errorf("a leaf is not sorted")
		}
		return b
	}
	checkNode(t, tree, true, measure)
}

func checkNode[V any](t testing.TB, n *node[V], root bool, measure func(*V) bounds) {
	if n == nil {
		return
	}
	if n.value == nil && len(n.kids) < 2 || !root && n.prefix == "" || len(n.kids) != n.labels.rank(255)+bit(n.labels.has(255)) {
		t.Errorf("node %q has no reason to exist", n.prefix)
	}
	want := bounds{top: -1 << 63}
	for i, kid := range n.kids {
		if c := kid.prefix[0]; !n.labels.has(c) || n.labels.rank(c) != i {
			t.Errorf("the children of %q are not in order", n.prefix)
		}
		checkNode(t, kid, false, measure)
		want.top = max(want.top, kid.bounds.top)
		want.branches = max(want.branches, kid.bounds.branches)
	}
	if measure == nil {
		return
	}
	if n.value != nil {
		v := measure(n.value)
		want.top = max(want.top, v.top)
		want.branches += v.branches
	}
	want.branches = max(want.branches, 1)
	if n.bounds != want {
		t.Errorf("the bounds of %q are %+v, want %+v", n.prefix, n.bounds, want)
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
