package router

import (
	"strings"
	"testing"
)

// ParsePattern never panics; what it accepts has one form, and matches the path that it spells.
func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"/", "*", "/a/*", "/a/:id/b", "/a/*rest", "/%7euser", "/a%2Fb", "/grpc.hello.*", "/.*", "/:a/../b", "/v:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePattern(s)
		if err != nil {
			return
		}
		again, err := ParsePattern(p.String())
		if err != nil || again.String() != p.String() || p.Compare(again) != 0 {
			t.Fatalf("%q is %q, and that is %q, %v", s, p, again, err)
		}
		path := strings.Join(p.runs, "x")
		if !p.Matches([]byte(path)) {
			t.Fatalf("%q does not match %q", p, path)
		}
	})
}

// Match never panics, and for patterns and host of any kind agrees with Pattern.Matches and Pattern.Compare.
func FuzzMatch(f *testing.F) {
	f.Add("/a/:x\n/a/b\n/*", "*.example.com", "a.example.com:80", "/a/b", "GET")
	f.Add("*\n/:x/:y", "*", "", "", "")
	f.Add("/a*\n/ab*\n/abc", "[::1]", "[::1]:1", "/abc", "PUT")
	f.Fuzz(func(t *testing.T, patterns, ruleHost, host, path, method string) {
		var rules []Rule[int]
		best := -1
		var parsed []Pattern
		for _, s := range strings.Split(patterns, "\n") {
			p, err := ParsePattern(s)
			if err != nil {
				continue
			}
			rules = append(rules, Rule[int]{ID: string(rune(len(rules) + 1)), Paths: []string{s}, Hosts: []string{ruleHost, "*"}})
			parsed = append(parsed, p)
			i := len(parsed) - 1
			if p.Matches([]byte(path)) && (best < 0 || p.Compare(parsed[best]) < 0) {
				best = i
			}
		}
		table, err := Build(rules)
		if err != nil {
			return
		}
		var m Match[int]
		got := ask(table, &m, host, path, method, nil)
		if (best < 0) != (got.outcome == NoRoute) || best >= 0 && got.id != rules[best].ID {
			t.Fatalf("got %+v, want rule %d\n%s", got, best, table.Dump())
		}
	})
}
