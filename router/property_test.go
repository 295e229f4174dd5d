package router

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawRule makes a rule from small sets, so that rules meet at leaves, split and join nodes, and replace one another.
func drawRule(t *rapid.T) Rule[int] {
	pick := func(label string, from ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, 2, rapid.ID[string]).Draw(t, label)
	}
	r := Rule[int]{
		ID:       rapid.SampledFrom([]string{"r", "r1", "r12", "r2", "s", "st"}).Draw(t, "id"),
		Hosts:    pick("hosts", "a.b", "*.b", "ca.b", "*.a.b", "b", "*"),
		Methods:  pick("methods", "GET", "PUT"),
		Priority: rapid.IntRange(-1, 1).Draw(t, "priority"),
		Paths:    pick("paths", "/a", "/ab", "/ab/c", "/a/*", "/a*", "/:x", "/:y", "/:x/c", "/:x/:y", "/*", "/*z", "*", "/"),
		Stamp:    rapid.Uint64Range(0, 1).Draw(t, "stamp"),
	}
	if len(r.Methods) == 0 {
		r.Methods = nil
	}
	if len(r.Paths) == 0 {
		r.Paths = []string{"/:x/*"}
	}
	if rapid.Bool().Draw(t, "when") {
		r.When = func(facts any) bool { return facts == 1 }
	}
	return r
}

// kept is a table as it was when it was made.
type kept struct {
	table *Table[int]
	dump  string
	sum   uint64
}

func keep(t *Table[int]) kept { return kept{t, t.Dump(), t.Digest()} }

// However a table came to be, it is the table that Build makes of its rules, and tables made on the way stay what they were.
func TestATableThatGrewIsTheOneBuiltAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, model := new(Table[int]), map[string]Rule[int]{}
		history := []kept{keep(table)}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "what") == 0 {
				ids := rapid.SliceOfN(rapid.SampledFrom([]string{"r", "r1", "r12", "r2", "s", "st", "none"}), 1, 3).Draw(t, "ids")
				table = table.Without(ids...)
				for _, id := range ids {
					delete(model, id)
				}
			} else {
				rules := rapid.SliceOfN(rapid.Custom(drawRule), 1, 3).Draw(t, "rules")
				var err error
				if table, err = table.With(rules...); err != nil {
					t.Fatal(err)
				}
				for _, r := range rules {
					model[r.ID] = r
				}
			}
			history = append(history, keep(table))
			compareToModel(t, table, slices.Collect(maps.Values(model)))
		}
		for i, k := range history {
			if k.table.Dump() != k.dump || k.table.Digest() != k.sum {
				t.Fatalf("table %d has changed since it was made", i)
			}
		}
	})
}

func compareToModel(t *rapid.T, table *Table[int], rules []Rule[int]) {
	rules = rapid.Permutation(rules).Draw(t, "order")
	anew, err := Build(rules)
	if err != nil {
		t.Fatal(err)
	}
	if table.Digest() != anew.Digest() || table.Dump() != anew.Dump() || table.Len() != len(rules) {
		t.Fatalf("the table is\n%s\nand built anew\n%s", table.Dump(), anew.Dump())
	}
	var m Match[int]
	for _, host := range []string{"a.b", "x.a.b", "c"} {
		for _, path := range []string{"/", "/a", "/ab", "/ab/c", "/a/c", "/x/y/z", "*"} {
			for facts := range 2 {
				want := naiveMatch(rules, host, path, "GET", facts)
				if got := ask(table, &m, host, path, "GET", facts); got != want {
					t.Fatalf("%s%s: got %+v, want %+v\n%s", host, path, got, want, table.Dump())
				}
			}
		}
	}
}
