package router

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

var sizes = []int{10, 1_000, 100_000, 1_000_000}

var tables = map[string]*Table[int]{}

// cached keeps tables over the runs of one benchmark binary: a million routes take a while to make.
func cached(b *testing.B, name string, n int, build func(testing.TB, int) *Table[int]) *Table[int] {
	b.Helper()
	key := fmt.Sprint(name, n)
	if tables[key] == nil {
		tables[key] = build(b, n)
		runtime.GC() // so that no collection of what building left runs into the measurement
	}
	return tables[key]
}

// manyHosts returns a table of n hosts with one route each.
func manyHosts(t testing.TB, n int) *Table[int] {
	rules := make([]Rule[int], n)
	for i := range rules {
		rules[i] = Rule[int]{ID: fmt.Sprintf("h%07d", i), Hosts: []string{fmt.Sprintf("t%07d.example.com", i)}, Paths: []string{"/api/:id/*"}}
	}
	return build(t, rules)
}

func benchmarkMatch(b *testing.B, table *Table[int], queries []Query, want Outcome) {
	b.Helper()
	var m Match[int]
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if table.Match(&queries[i], &m) != want {
			b.Fatalf("%s%s", queries[i].Host, queries[i].Path)
		}
		if i++; i == len(queries) {
			i = 0
		}
	}
}

// spread makes 1,024 queries that go to different parts of a table of n, as traffic does, rather than one that stays in the cache.
func spread(n int, query func(i int) Query) []Query {
	queries := make([]Query, 1024)
	for i := range queries {
		queries[i] = query(i * 7919 % n)
	}
	return queries
}

func BenchmarkMatchPath(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchmarkMatch(b, cached(b, "routes", n, manyRoutes), spread(n, func(i int) Query {
				return Query{Host: []byte("www.example.com:8080"), Path: fmt.Appendf(nil, "/r/%07d", i), Method: []byte("GET")}
			}), Found)
		})
	}
}

func BenchmarkMatchHost(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchmarkMatch(b, cached(b, "hosts", n, manyHosts), spread(n, func(i int) Query {
				return Query{Host: fmt.Appendf(nil, "t%07d.example.com", i), Path: []byte("/api/42/comments/7"), Method: []byte("GET")}
			}), Found)
		})
	}
}

func BenchmarkMatchNothing(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchmarkMatch(b, cached(b, "routes", n, manyRoutes), spread(n, func(i int) Query {
				return Query{Host: []byte("www.example.com"), Path: fmt.Appendf(nil, "/r/%07d/x", i), Method: []byte("GET")}
			}), NoRoute)
		})
	}
}

// The dearest table that is allowed: all ways through eight segments exist and none leads to a rule.
func BenchmarkMatchWorst(b *testing.B) {
	var rules []Rule[int]
	for bits := range MaxBranches {
		var p strings.Builder
		for i := range 8 {
			if bits>>i&1 == 0 {
				p.WriteString("/a")
			} else {
				fmt.Fprintf(&p, "/:p%d", i)
			}
		}
		rules = append(rules, Rule[int]{ID: fmt.Sprint(bits), Paths: []string{p.String()}})
	}
	benchmarkMatch(b, build(b, rules), []Query{{Path: []byte("/a/a/a/a/a/a/a/a/b"), Method: []byte("GET")}}, NoRoute)
}

// A rule is changed, then changed back: With replaces, so it removes and adds.
func BenchmarkWith(b *testing.B) {
	for name, fill := range map[string]func(testing.TB, int) *Table[int]{"routes": manyRoutes, "hosts": manyHosts} {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s-%d", name, n), func(b *testing.B) {
				table := cached(b, name, n, fill)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					i = (i + 7919) % n
					rule := Rule[int]{ID: fmt.Sprintf("r%07d", i), Hosts: []string{"t0000003.example.com", "*"}, Paths: []string{fmt.Sprintf("/r/%07d", i)}}
					next, err := table.With(rule)
					if err != nil {
						b.Fatal(err)
					}
					table = next
				}
			})
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, n := range sizes[2:3] {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				manyRoutes(b, n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/route")
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	table := cached(b, "routes", 100_000, manyRoutes)
	b.ReportAllocs()
	for b.Loop() {
		table.Digest()
	}
}

// Memory of a route, its rule, id and path included.
func BenchmarkMemory(b *testing.B) {
	got := 0
	for b.Loop() {
		got = bytesPerRoute(b, 100_000)
	}
	b.ReportMetric(float64(got), "B/route")
}
