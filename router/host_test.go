package router

import (
	"errors"
	"strings"
	"testing"
)

func TestHostsThatCannotMatchAreRefused(t *testing.T) {
	for host, want := range map[string]error{
		"":                               errHostEmpty,
		".":                              errHostEmpty,
		"*.":                             errHostEmpty,
		"a..b":                           errHostEmpty,
		".a":                             errHostEmpty,
		"a.*.b":                          errHostStar,
		"*a.b":                           errHostStar,
		"**":                             errHostStar,
		"a.b:80":                         errHostPort,
		"a/b":                            errHostChar,
		"b\u00fccher.de":                 errHostChar,
		"[::1]:80":                       errHostPort,
		"[::1]x":                         errHostChar,
		"[::1":                           errHostChar,
		"[x]":                            errHostChar,
		strings.Repeat("a.", 127):        nil,
		strings.Repeat("a.b.", 64) + "c": errHostLong,
	} {
		_, err := Build([]Rule[int]{{ID: "r1", Hosts: []string{host}, Paths: []string{"/"}}})
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", host, err, want)
		}
		var re *RuleError
		if want != nil && (!errors.As(err, &re) || re.ID != "r1" || re.Field != "hosts" || re.Value != host) {
			t.Errorf("%q: %#v does not say where", host, err)
		}
	}
}

// Case, port and one trailing dot do not count, on either side (RFC 9110 §4.2.3).
func TestHostsAreComparedWithoutCasePortAndTrailingDot(t *testing.T) {
	table := build(t, []Rule[int]{
		{ID: "exact", Hosts: []string{"API.example.com."}, Paths: []string{"/"}},
		{ID: "wild", Hosts: []string{"*.Example.com"}, Paths: []string{"/"}},
		{ID: "deep", Hosts: []string{"*.eu.example.com"}, Paths: []string{"/"}},
		{ID: "v6", Hosts: []string{"[::1]"}, Paths: []string{"/"}},
		{ID: "any", Hosts: []string{"*"}, Paths: []string{"/"}},
	})
	var m Match[int]
	for host, want := range map[string]string{
		"api.example.com":        "exact",
		"api.EXAMPLE.com:8080":   "exact",
		"api.example.com.:80":    "exact",
		"x.example.com":          "wild",
		"x.y.example.com":        "wild",
		"eu.example.com":         "wild",
		"x.eu.example.com":       "deep",
		"xapi.example.com":       "wild",
		"x.api.example.com":      "wild",
		"example.com":            "any",
		".example.com":           "any",
		"notexample.com":         "any",
		"api.example.com.evil":   "any",
		"":                       "any",
		":80":                    "any",
		"[::1]":                  "v6",
		"[::1]:8080":             "v6",
		"[::2]":                  "any",
		"[::1":                   "any",
		"api.example.com:80:foo": "exact",
	} {
		if got := ask(table, &m, host, "/", "GET", nil); got.id != want {
			t.Errorf("%q leads to %q, want %q", host, got.id, want)
		}
	}
}

// A more specific host whose rules do not match the rest of the request hides nothing, and goes before priority.
func TestTheSearchFallsBackToLessSpecificHosts(t *testing.T) {
	table := build(t, []Rule[int]{
		{ID: "exact", Hosts: []string{"a.b.c"}, Paths: []string{"/exact"}, Methods: []string{"GET"}},
		{ID: "wild", Hosts: []string{"*.c"}, Paths: []string{"/exact", "/wild"}, Methods: []string{"PUT"}, Priority: 5},
		{ID: "any", Paths: []string{"/*"}, Methods: []string{"GET", "POST"}, Priority: 9},
	})
	var m Match[int]
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/exact", "exact"},
		{"PUT", "/exact", "wild"},
		{"GET", "/wild", "any"},
		{"GET", "/else", "any"},
	} {
		if got := ask(table, &m, "a.b.c", c.path, c.method, nil); got.id != c.want {
			t.Errorf("%s %s leads to %q, want %q", c.method, c.path, got.id, c.want)
		}
	}
	if got := ask(table, &m, "a.b.c", "/exact", "DELETE", nil); got.outcome != MethodNotAllowed || got.allow != "[GET POST PUT]" {
		t.Errorf("DELETE: %+v, want the methods of all three hosts", got)
	}
}
