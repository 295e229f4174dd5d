package router

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// naive is the contract as directly as it can be written: look at every rule, host and pattern, keep what matches, sort. It
// shares no code with the package.

type found struct {
	outcome Outcome
	id      string
	params  string
	allow   string
}

type candidate struct {
	rule    *Rule[int]
	host    string
	pattern string
}

func naiveMatch(rules []Rule[int], host, path, method string, facts any) found {
	var hits []candidate
	allow := map[string]bool{}
	for i := range rules {
		r := &rules[i]
		hosts := r.Hosts
		if len(hosts) == 0 {
			hosts = []string{"*"}
		}
		for _, h := range hosts {
			for _, p := range r.Paths {
				if !naiveHost(h, host) || !naivePattern(p).MatchString(path) || r.When != nil && !r.When(facts) {
					continue
				}
				if len(r.Methods) > 0 && !slices.Contains(r.Methods, method) {
					for _, m := range r.Methods {
						allow[m] = true
					}
					continue
				}
				hits = append(hits, candidate{r, h, p})
			}
		}
	}
	if len(hits) == 0 {
		var list []string
		for m := range allow {
			list = append(list, m)
		}
		slices.Sort(list)
		if list != nil {
			return found{outcome: MethodNotAllowed, allow: fmt.Sprint(list)}
		}
		return found{outcome: NoRoute}
	}
	best := slices.MinFunc(hits, naiveCompare) // the first of equals, so the first pattern of a rule
	return found{outcome: Found, id: best.rule.ID, params: naiveParams(best.pattern, path)}
}

func naiveCompare(a, b candidate) int {
	no := func(b bool) int {
		if b {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(naiveHostRank(a.host), naiveHostRank(b.host)),
		-cmp.Compare(a.rule.Priority, b.rule.Priority),
		cmp.Compare(naiveRank(a.pattern), naiveRank(b.pattern)),
		cmp.Compare(no(a.rule.Methods != nil), no(b.rule.Methods != nil)),
		cmp.Compare(no(a.rule.When != nil), no(b.rule.When != nil)),
		cmp.Compare(a.rule.ID, b.rule.ID),
	)
}

func naiveHost(pattern, host string) bool {
	if pattern == "*" {
		return true
	}
	pattern, host = strings.ToLower(pattern), strings.ToLower(host)
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(host, suffix) && len(host) > len(suffix)
	}
	return pattern == host
}

// naiveHostRank is smaller for the better one of two hosts that match the same name.
func naiveHostRank(pattern string) int {
	switch {
	case pattern == "*":
		return 0
	case pattern[0] == '*':
		return -len(pattern)
	}
	return -1000
}

var (
	tokens   = regexp.MustCompile(`(^|/):[^/]+|\*.*$|.`)
	compiled sync.Map
)

// naivePattern translates a pattern to a regular expression with a named group for each parameter.
func naivePattern(pattern string) *regexp.Regexp {
	if re, ok := compiled.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re := regexp.MustCompile("^" + tokens.ReplaceAllStringFunc(pattern, func(t string) string {
		switch {
		case strings.Contains(t, ":") && len(t) > 1:
			slash, name, _ := strings.Cut(t, ":")
			return slash + "(?P<" + name + ">[^/]+)"
		case t == "*":
			return ".*"
		case t[0] == '*':
			return "(?P<" + t[1:] + ">.*)"
		}
		return regexp.QuoteMeta(t)
	}) + "$")
	compiled.Store(pattern, re)
	return re
}

// naiveRank is a string that sorts patterns which match the same path, best first: a letter for each literal byte, for the end,
// for a parameter, for a star.
func naiveRank(pattern string) string {
	return tokens.ReplaceAllStringFunc(pattern, func(t string) string {
		switch {
		case t[0] == '*':
			return "d"
		case len(t) > 1:
			return strings.Repeat("a", strings.Index(t, ":")) + "c"
		}
		return "a"
	}) + "b"
}

func naiveParams(pattern, path string) string {
	re := naivePattern(pattern)
	var b strings.Builder
	values := re.FindStringSubmatch(path)
	for i, name := range re.SubexpNames()[1:] {
		fmt.Fprintf(&b, "%s=%s;", name, values[i+1])
	}
	return b.String()
}

// ask puts the answer of a table into the same form.
func ask(t *Table[int], m *Match[int], host, path, method string, facts any) found {
	q := Query{Host: []byte(host), Path: []byte(path), Method: []byte(method), Facts: facts}
	f := found{outcome: t.Match(&q, m)}
	switch f.outcome {
	case Found:
		f.id = m.Rule.ID
		var b strings.Builder
		for i := range m.Params.Len() {
			name, value := m.Params.At(i)
			fmt.Fprintf(&b, "%s=%s;", name, value)
		}
		f.params = b.String()
	case MethodNotAllowed:
		f.allow = fmt.Sprint(m.Allow)
	}
	return f
}
