package router

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// Covers and Meets are what they say on every path of up to four segments.
func TestPatternsCoverAndMeetAsTheirPathsSay(t *testing.T) {
	patterns, _ := allPatterns(2)
	_, paths := allPatterns(3)
	matched := map[string]map[string]bool{}
	for _, p := range patterns {
		matched[p] = map[string]bool{}
		for _, path := range paths {
			if naivePattern(p).MatchString(path) {
				matched[p][path] = true
			}
		}
	}
	for _, a := range patterns {
		for _, b := range patterns {
			covers, meets := true, false
			for path := range matched[b] {
				covers = covers && matched[a][path]
				meets = meets || matched[a][path]
			}
			pa, pb := mustParse(t, a), mustParse(t, b)
			if pa.Covers(pb) != covers || pa.Meets(pb) != meets {
				t.Errorf("%s and %s: covers %v, want %v; meets %v, want %v", a, b, pa.Covers(pb), covers, pa.Meets(pb), meets)
			}
		}
	}
}

// Explain and Match agree on every query, and a loser's reason is true.
func TestExplainFindsTheWinnerThatMatchFinds(t *testing.T) {
	kinds := ruleKinds()
	rng := rand.New(rand.NewPCG(5, 6))
	var m Match[int]
	for range 1500 {
		var rules []Rule[int]
		for i := range 6 {
			r := kinds[rng.IntN(len(kinds))]
			r.ID = string(rune('a' + i))
			if rng.IntN(3) == 0 {
				r.Paths, r.Hosts = []string{"/:x", "/a", "/*"}[rng.IntN(3):], append([]string{"b.c"}, r.Hosts...)
			}
			rules = append(rules, r)
		}
		table := build(t, rules)
		for _, host := range []string{"b.c", "x.b.c:80", "C", ""} {
			for _, path := range []string{"/a", "/b", "/a/b"} {
				for _, method := range []string{"GET", "PUT"} {
					q := Query{Host: []byte(host), Path: []byte(path), Method: []byte(method), Facts: len(host) % 2}
					list, more := table.Explain(&q, 1+rng.IntN(8))
					checkExplained(t, table, &q, &m, list, more)
				}
			}
		}
	}
}

func checkExplained(t *testing.T, table *Table[int], q *Query, m *Match[int], list []Candidate[int], more bool) {
	t.Helper()
	found := table.Match(q, m) == Found
	won := 0
	for i, c := range list {
		if c.Reason == Won {
			won++
			if c.Rule != m.Rule {
				t.Fatalf("%s %s: %s won, not %v\n%s", q.Host, q.Path, c.Rule.ID, m.Rule, table.Dump())
			}
		}
		if !naivePattern(c.Pattern.String()).Match(q.Path) || !naiveHost(c.Host, string(BareHost(q.Host))) {
			t.Fatalf("%s %s: %s is at %s %s", q.Host, q.Path, c.Rule.ID, c.Host, c.Pattern)
		}
		able := c.Rule.allows(q.Method) && (c.Rule.When == nil || c.Rule.When(q.Facts))
		if able != (c.Reason < OtherMethod) {
			t.Fatalf("%s: %d", c.Rule.ID, c.Reason)
		}
		if able && found && !more && i > 0 && list[i-1].Reason > Won && list[i-1].Reason < OtherMethod && c.Reason == Won {
			t.Fatalf("a loser stands before the winner: %+v", list)
		}
	}
	if found != (won == 1) {
		t.Fatalf("%s %s %s: found %v, %d winners in %+v", q.Method, q.Host, q.Path, found, won, list)
	}
}

func TestExplainGivesTheReasonOfEachLoss(t *testing.T) {
	never := func(any) bool { return false }
	always := func(any) bool { return true }
	table := build(t, []Rule[int]{
		{ID: "winner", Hosts: []string{"a.b"}, Paths: []string{"/x/:y"}, Methods: []string{"GET"}, When: always, Priority: 5},
		{ID: "wild", Hosts: []string{"*.b"}, Paths: []string{"/x/1"}, Priority: 9},
		{ID: "any", Paths: []string{"/x/1"}, Priority: 9},
		{ID: "low", Hosts: []string{"a.b"}, Paths: []string{"/x/1"}, Priority: 4},
		{ID: "star", Hosts: []string{"a.b"}, Paths: []string{"/*"}, Priority: 5},
		{ID: "methods", Hosts: []string{"a.b"}, Paths: []string{"/x/:z"}, When: always, Priority: 5},
		{ID: "condition", Hosts: []string{"a.b"}, Paths: []string{"/x/:z"}, Methods: []string{"GET"}, Priority: 5},
		{ID: "z", Hosts: []string{"a.b"}, Paths: []string{"/x/:z"}, Methods: []string{"GET"}, When: always, Priority: 5},
		{ID: "put", Hosts: []string{"a.b"}, Paths: []string{"/x/1"}, Methods: []string{"PUT"}, Priority: 9},
		{ID: "never", Hosts: []string{"a.b"}, Paths: []string{"/x/1"}, When: never, Priority: 9},
		{ID: "elsewhere", Hosts: []string{"c.d"}, Paths: []string{"/x/1"}, Priority: 9},
	})
	list, more := table.Explain(&Query{Host: []byte("A.B:8080"), Path: []byte("/x/1"), Method: []byte("GET")}, 100)
	var got []string
	for _, c := range list {
		got = append(got, fmt.Sprint(c.Rule.ID, " ", c.Host, " ", c.Pattern, " ", c.Reason))
	}
	want := []string{
		"put a.b /x/1 7", "never a.b /x/1 8", "winner a.b /x/:y 0", "z a.b /x/:z 6", "condition a.b /x/:z 5", "methods a.b /x/:z 4", "star a.b /* 3", "low a.b /x/1 2",
		"wild *.b /x/1 1", "any * /x/1 1",
	}
	if !slices.Equal(got, want) || more {
		t.Errorf("%q\nwant %q", got, want)
	}
	if list, more := table.Explain(&Query{Host: []byte("a.b"), Path: []byte("/x/1"), Method: []byte("GET")}, 2); len(list) != 2 || !more {
		t.Errorf("%d candidates, more: %v", len(list), more)
	}
}

// Overlaps finds what a look at every pair finds, and each overlap is what the naive matcher says of the two rules alone.
func TestOverlapsAreWhatRequestsMeet(t *testing.T) {
	kinds := ruleKinds()
	rng := rand.New(rand.NewPCG(7, 8))
	patterns := []string{"*", "/*", "/a", "/:x", "/a*", "/a/*", "/:x/*", "/ab/:y", "/a/:y"}
	_, paths := allPatterns(1)
	pick := func(id string) Rule[int] {
		r := kinds[rng.IntN(len(kinds))]
		r.ID, r.Paths = id, []string{patterns[rng.IntN(len(patterns))]}
		if rng.IntN(3) == 0 {
			r.Paths = append(r.Paths, patterns[rng.IntN(len(patterns))])
		}
		return r
	}
	seen := map[Overlap]int{}
	for range 250 {
		var rules []Rule[int]
		for i := range 5 {
			rules = append(rules, pick(string(rune('b'+i))))
		}
		rule := pick([]string{"a", "z"}[rng.IntN(2)])
		if rng.IntN(2) == 0 { // one that is nearly there already
			rule.Hosts, rule.Paths, rule.Priority = rules[0].Hosts, rules[0].Paths, rules[0].Priority
		}
		list, whole := build(t, rules).Overlaps(&rule, 1<<20)
		if !whole {
			t.Fatal("not whole")
		}
		got := map[string]Overlap{}
		for _, o := range list {
			got[o.Rule.ID] = o.Overlap
			seen[o.Overlap]++
		}
		for i := range rules {
			want, ok := overlapOf(&rule, &rules[i])
			if has, found := got[rules[i].ID]; found != ok || has != want && ok {
				t.Fatalf("%+v and %+v: found %v %v, want %v %v", rule, rules[i], found, has, ok, want)
			}
			checkOverlap(t, rule, rules[i], paths, want, ok)
		}
	}
	for _, o := range []Overlap{Covers, Covered, Ties, Takes} {
		if seen[o] < 3 {
			t.Errorf("overlap %d was seen %d times", o, seen[o])
		}
	}
}

// checkOverlap asks the naive matcher who gets each request, with both rules there and with one of them.
func checkOverlap(t *testing.T, rule, other Rule[int], paths []string, overlap Overlap, ok bool) {
	t.Helper()
	reached, kept, taken := false, false, false
	for _, host := range []string{"b.c", "x.b.c", "y.c", "c"} {
		for _, path := range paths {
			for _, method := range []string{"GET", "PUT", "DELETE"} {
				for facts := range 2 {
					both := naiveMatch([]Rule[int]{rule, other}, host, path, method, facts).id
					alone := naiveMatch([]Rule[int]{other}, host, path, method, facts).id
					reached = reached || both == rule.ID
					kept = kept || both == other.ID
					taken = taken || both == rule.ID && alone == other.ID
				}
			}
		}
	}
	switch {
	case ok && overlap == Covers && reached, ok && overlap == Covered && kept:
		t.Fatalf("%+v and %+v: overlap %d, reached %v, kept %v", rule, other, overlap, reached, kept)
	case !ok && taken, ok && overlap == Takes && !taken && len(rule.Paths)+len(other.Paths) == 2:
		t.Fatalf("%+v and %+v: overlap %v %d, taken %v", rule, other, ok, overlap, taken)
	}
}

// The cost of a look at overlaps is bounded however many rules there are, and what covers the new rule is found first.
func TestOverlapsAreBoundedAndFindWhatCovers(t *testing.T) {
	rules := []Rule[int]{{ID: "all", Paths: []string{"/*"}, Priority: 1}}
	for i := range 20000 {
		rules = append(rules, Rule[int]{ID: fmt.Sprintf("r%d", i), Paths: []string{fmt.Sprintf("/api/%d/x", i)}})
	}
	table := build(t, rules)
	list, whole := table.Overlaps(&Rule[int]{ID: "new", Paths: []string{"/api/*"}}, 500)
	if whole || len(list) == 0 || list[0].Rule.ID != "all" || list[0].Overlap != Covers {
		t.Errorf("whole %v, %+v", whole, list)
	}
	if list, whole = table.Overlaps(&Rule[int]{ID: "new", Paths: []string{"/api/7/x"}}, 500); !whole || len(list) != 2 {
		t.Errorf("whole %v, %+v", whole, list)
	}
	if list, whole = table.Overlaps(&Rule[int]{ID: "bad", Paths: []string{"no slash"}}, 500); !whole || list != nil {
		t.Errorf("whole %v, %+v", whole, list)
	}
}
