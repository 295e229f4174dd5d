package router

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// What ParsePattern refuses, and why. The reason is what an operator reads.
func TestPatternsThatCannotMatchOrMisleadAreRefused(t *testing.T) {
	for pattern, want := range map[string]error{
		"":                       errPatternEmpty,
		"a":                      errPatternStart,
		":id":                    errPatternStart,
		"http://x/":              errPatternStart,
		"/a/*/b":                 errPatternStar,
		"/a/**":                  errPatternName,
		"/img/a*b":               errPatternStar,
		"/*.jpg":                 errPatternName,
		"/a/*rest/":              errPatternStar,
		"/:":                     errPatternNoName,
		"/:/a":                   errPatternNoName,
		"/:a.json":               errPatternName,
		"/:a*":                   errPatternName,
		"/:a/:a":                 errPatternTwice,
		"/:a/*a":                 errPatternTwice,
		"/a%":                    errPatternEscape,
		"/a%2":                   errPatternEscape,
		"/a%g0":                  errPatternEscape,
		"/a/./b":                 errPatternDots,
		"/a/..":                  errPatternDots,
		"/a/%2e%2E/b":            errPatternDots,
		"/:a/../b":               errPatternDots,
		"/a?b":                   errPatternQuery,
		"/a#b":                   errPatternQuery,
		"/a b":                   errPatternControl,
		"/a\x00":                 errPatternControl,
		"/a\x7f":                 errPatternControl,
		strings.Repeat("/:a", 2): errPatternTwice,
		"/:1/:2/:3/:4/:5/:6/:7/:8/:9/:10/:11/:12/:13/:14/:15/:16/*17": errPatternParams,
	} {
		_, err := ParsePattern(pattern)
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", pattern, err, want)
		} else if !strings.HasPrefix(err.Error(), "router: pattern ") {
			t.Errorf("%q: the error does not name it: %v", pattern, err)
		}
	}
}

// A pattern is brought into the form of a normalized path (RFC 3986 §6.2.2), and is stable in it.
func TestPatternsAreNormalizedAsPathsAre(t *testing.T) {
	for pattern, want := range map[string]string{
		"/":                  "/",
		"*":                  "*",
		"*all":               "*all",
		"/%61%2f%7e":         "/a%2F~",
		"/caf\u00e9":         "/caf%C3%A9",
		"/grpc.hello.*":      "/grpc.hello.*",
		"/v1/jobs:cancel":    "/v1/jobs:cancel",
		"/a/.*":              "/a/.*",
		"/..a/...":           "/..a/...",
		"//a//":              "//a//",
		"/u/:user_id/:x-y/*": "/u/:user_id/:x-y/*",
	} {
		got := mustParse(t, pattern).String()
		if got != want {
			t.Errorf("%q is understood as %q, want %q", pattern, got, want)
		}
		if again := mustParse(t, got).String(); again != got {
			t.Errorf("%q becomes %q when parsed again", got, again)
		}
	}
}

// The list of the package documentation, word for word.
func TestTheDocumentedOrderIsTheOrder(t *testing.T) {
	const path = "/users/7/posts"
	order := []string{
		"/users/7/posts", "/users/7/*", "/users/7*", "/users/:id/posts", "/users/:id/p*", "/users/:id/:what",
		"/users/:id/*", "/users/*", "/:all/7/posts", "/*", "*",
	}
	var rules []Rule[int]
	for i, p := range order {
		rules = append(rules, Rule[int]{ID: p, Paths: []string{p}})
		if i > 0 && mustParse(t, order[i-1]).Compare(mustParse(t, p)) >= 0 {
			t.Errorf("%s does not go before %s", order[i-1], p)
		}
	}
	slices.Reverse(rules)
	table := build(t, rules)
	var m Match[int]
	for _, p := range order {
		if got := ask(table, &m, "", path, "GET", nil); got.id != p {
			t.Errorf("the best is %q, want %q", got.id, p)
		}
		table = table.Without(p)
	}
}

// The sentences of the contract on prefix and paths, one by one.
func TestPatternFormsMatchWhatTheContractSays(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"/a", []string{"/a"}, []string{"/a/", "/ab", "/", "/A"}},
		{"/a/*", []string{"/a/", "/a/b", "/a/b/c", "/a//"}, []string{"/a", "/ab", "/"}},
		{"/a*", []string{"/a", "/ab", "/a/b"}, []string{"/", "/b"}},
		{"/grpc.hello.*", []string{"/grpc.hello.Greeter/Say", "/grpc.hello."}, []string{"/grpc.hello", "/grpc.hellox"}},
		{"/:x", []string{"/a", "/abc"}, []string{"/", "/a/", "/a/b"}},
		{"/:x/b", []string{"/a/b"}, []string{"//b", "/a/", "/a/c"}},
		{"/f/*path", []string{"/f/", "/f/a/b"}, []string{"/f"}},
		{"/*", []string{"/", "/a", "/a/b"}, []string{"", "*"}},
		{"*", []string{"", "*", "/", "/a/b"}, nil},
		{"/x:y", []string{"/x:y"}, []string{"/x:z", "/xa"}},
	} {
		table := build(t, []Rule[int]{{ID: "r", Paths: []string{c.pattern}}})
		var m Match[int]
		for _, path := range c.yes {
			if got := ask(table, &m, "", path, "GET", nil); got.outcome != Found {
				t.Errorf("%s does not match %q", c.pattern, path)
			}
		}
		for _, path := range c.no {
			if got := ask(table, &m, "", path, "GET", nil); got.outcome != NoRoute {
				t.Errorf("%s matches %q", c.pattern, path)
			}
		}
	}
}

func TestParametersAreReadByNameAndInOrder(t *testing.T) {
	table := build(t, []Rule[int]{{ID: "r", Paths: []string{"/u/:user/p/:post/*rest"}}})
	var m Match[int]
	if got := ask(table, &m, "", "/u/joe/p/7/a/b", "GET", nil); got.params != "user=joe;post=7;rest=a/b;" {
		t.Fatalf("got %q", got.params)
	}
	if v, ok := m.Params.Get("post"); !ok || string(v) != "7" {
		t.Errorf("post is %q, %v", v, ok)
	}
	if v, ok := m.Params.Get("none"); ok || v != nil {
		t.Errorf("a parameter that is not there is %q, %v", v, ok)
	}
	if _, v := m.Params.At(0); cap(v) != len(v) {
		t.Error("appending to a value would overwrite the path")
	}
	if ask(table, &m, "", "/u/joe/p/7/", "GET", nil); m.Params.Len() != 3 {
		t.Error("an empty rest is no parameter")
	}
	// A Match that is used again does not remember.
	if ask(table, &m, "", "/nothing", "GET", nil); m.Params.Len() != 0 || m.Rule != nil {
		t.Error("parameters of the match before are left")
	}
}
