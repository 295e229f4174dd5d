package router

import (
	"slices"
	"strings"
)

// Overlap is how an existing rule and a new one stand to each other where both match.
type Overlap uint8

// The overlaps, the graver first.
const (
	Covers  Overlap = iota // the existing rule takes all that the new one matches: the new one is unreachable
	Covered                // the new rule takes all that the existing one matches
	Ties                   // under one host and pattern nothing but the ids tells them apart, for some requests
	Takes                  // the new rule takes a part of what the existing one gets
)

// Overlapping is an existing rule that overlaps with a new one.
type Overlapping[T any] struct {
	Rule    *Rule[T]
	Overlap Overlap
}

// Overlaps finds the rules of the table that a new one overlaps with, by id; one of the same id is passed over, since the new one would replace it. It visits no more than so many
// nodes of the trees, the more general patterns first, and tells whether that was enough for all of them. So its cost does not grow with the number of rules, and what
// covers the new rule is found, but perhaps not everything that the new one takes from. A rule that cannot be in a table overlaps with nothing.
func (t *Table[T]) Overlaps(rule *Rule[T], visits int) (list []Overlapping[T], whole bool) {
	to, err := locate(rule)
	if err != nil {
		return nil, true
	}
	o := overlapping[T]{visits: visits, found: make(map[string]*Rule[T])}
	for _, key := range to.hosts {
		for i := range to.patterns {
			p := &to.patterns[i]
			o.visitHosts(t.hosts, key, func(tree *paths[T]) { o.walk(tree, cursor{pattern: p}) })
		}
	}
	delete(o.found, rule.ID)
	for _, other := range o.found {
		if how, ok := overlapOf(rule, other); ok {
			list = append(list, Overlapping[T]{other, how})
		}
	}
	slices.SortFunc(list, func(a, b Overlapping[T]) int { return strings.Compare(a.Rule.ID, b.Rule.ID) })
	return list, o.visits > 0
}

// overlapping is one Overlaps under way.
type overlapping[T any] struct {
	visits int // that are left
	found  map[string]*Rule[T]
}

// visitHosts visits the trees of a host and of those that stand for it too: *.example.com and any for api.example.com.
func (o *overlapping[T]) visitHosts(n *hosts[T], key string, visit func(*paths[T])) {
	for n != nil && strings.HasPrefix(key, n.prefix) {
		key = key[len(n.prefix):]
		if n.value != nil && (key == "" || n.prefix == "" || n.prefix[len(n.prefix)-1] == '.') {
			visit(n.value)
		}
		if key == "" {
			return
		}
		n = n.kid(key[0])
	}
}

// cursor is a place in a pattern that a tree is walked along.
type cursor struct {
	pattern *Pattern
	run, at int  // the next literal byte is runs[run][at]
	inside  bool // a parameter, of which there has been something
	rest    bool // behind the star: anything goes
}

// next tells what the pattern has at the cursor.
func (c *cursor) next() int {
	switch {
	case c.rest:
		return stepRest
	case c.at < len(c.pattern.runs[c.run]):
		return stepLiteral
	}
	return c.pattern.after(c.run)
}

// over moves over one literal byte of a tree and reports whether the pattern allows for it.
func (c *cursor) over(b byte) bool {
	switch c.next() {
	case stepRest:
		c.rest = true
	case stepLiteral:
		if c.pattern.runs[c.run][c.at] != b {
			return false
		}
		c.at++
	case stepParam:
		switch {
		case b != '/':
			c.inside = true
		case !c.inside:
			return false
		default: // the run behind a parameter begins with the slash, if it is not empty
			c.run, c.at, c.inside = c.run+1, 0, false
			return c.over(b)
		}
	default:
		return false
	}
	return true
}

// ended reports whether the pattern can end at the cursor.
func (c cursor) ended() bool {
	if c.next() == stepParam && c.inside {
		c.run, c.at, c.inside = c.run+1, 0, false
	}
	step := c.next()
	return step == stepEnd || step == stepRest
}

// overParam moves over a parameter of a tree.
func (c *cursor) overParam() bool {
	switch c.next() {
	case stepRest:
		c.rest = true
		return true
	case stepParam:
		c.run, c.at, c.inside = c.run+1, 0, false
		return true
	case stepEnd:
		return false
	}
	run := c.pattern.runs[c.run]
	end := c.at + segment([]byte(run[c.at:]))
	if end == c.at {
		return false // an empty segment is no parameter
	}
	if c.at = end; end == len(run) && c.next() == stepRest {
		c.rest = true // the star is within the segment: "/ab*" goes on as it likes
	}
	return true
}

// walk takes the rules below n whose patterns meet the one that the cursor is in.
func (o *overlapping[T]) walk(n *paths[T], c cursor) {
	if n == nil || o.visits <= 0 {
		return
	}
	o.visits--
	for i := range len(n.prefix) {
		if !c.over(n.prefix[i]) {
			return
		}
	}
	if j := n.value; j != nil {
		o.take(j.rest)
		if c.ended() {
			o.take(j.here)
		}
		if below := c; j.param != nil && below.overParam() {
			o.walk(j.param, below)
		}
	}
	if c.next() == stepLiteral {
		o.walk(n.kid(c.pattern.runs[c.run][c.at]), c)
		return
	}
	for _, kid := range n.kids {
		o.walk(kid, c)
	}
}

func (o *overlapping[T]) take(l leaf[T]) {
	for _, e := range l {
		if o.visits--; o.visits < 0 {
			return
		}
		o.found[e.rule.ID] = e.rule
	}
}

// overlapOf tells how a new rule and an existing one stand to each other. They meet under a host of the new one or one that stands for it. Of rules with several patterns it may say
// that one takes from the other where several of the other's patterns together keep all.
func overlapOf[T any](rule, other *Rule[T]) (Overlap, bool) {
	a, b := mustLocate(rule), mustLocate(other)
	switch {
	case coversAll(other, rule, b, a):
		return Covers, true
	case coversAll(rule, other, a, b):
		return Covered, true
	}
	overlap, any := Takes, false
	if !shareMethod(rule, other) {
		return overlap, false
	}
	for _, ha := range a.hosts {
		for _, hb := range b.hosts {
			if ha != hb && !standsFor(hb, ha) {
				continue
			}
			for _, pa := range a.patterns {
				// Another pattern of the existing rule may keep all of it.
				kept := ha == hb && slices.ContainsFunc(b.patterns, func(pb Pattern) bool { return pb.Covers(pa) && before(other, rule, pb, pa) })
				for _, pb := range b.patterns {
					switch {
					case !pa.Meets(pb):
					case ha == hb && pa.Compare(pb) == 0 && tied(rule, other):
						return Ties, true
					case !kept && (ha != hb || before(rule, other, pa, pb)):
						any = true
					}
				}
			}
		}
	}
	return overlap, any
}

// coversAll reports whether every request that matches narrow goes to wide, as far as the two of them alone are concerned.
func coversAll[T any](wide, narrow *Rule[T], w, n places) bool {
	if wide.When != nil || len(wide.Methods) > 0 && (len(narrow.Methods) == 0 || slices.ContainsFunc(narrow.Methods, func(m string) bool { return !slices.Contains(wide.Methods, m) })) {
		return false
	}
	for _, host := range n.hosts {
		if !slices.Contains(w.hosts, host) {
			return false // under a host of its own the narrow one is more specific, or the wide one does not match
		}
		for _, np := range n.patterns {
			if !slices.ContainsFunc(w.patterns, func(wp Pattern) bool { return wp.Covers(np) && before(wide, narrow, wp, np) }) {
				return false
			}
		}
	}
	return true
}

// before reports whether a, at one pattern of its own, goes before b at one of its own, under one host.
func before[T any](a, b *Rule[T], at, bt Pattern) bool {
	if a.Priority != b.Priority {
		return a.Priority > b.Priority
	}
	if c := at.Compare(bt); c != 0 {
		return c < 0
	}
	return compareEntries(entry[T]{rule: a}, entry[T]{rule: b}) < 0
}

// tied reports whether nothing but their ids tells two rules of one host and pattern apart. Conditions can: they need not hold for the same requests.
func tied[T any](a, b *Rule[T]) bool {
	return a.Priority == b.Priority && a.When == nil && b.When == nil && (len(a.Methods) > 0) == (len(b.Methods) > 0)
}

func shareMethod[T any](a, b *Rule[T]) bool {
	return len(a.Methods) == 0 || len(b.Methods) == 0 || slices.ContainsFunc(a.Methods, func(m string) bool { return slices.Contains(b.Methods, m) })
}

// standsFor reports whether a host's key is that of a wildcard, or of any, that another host is under.
func standsFor(wide, narrow string) bool {
	return len(wide) < len(narrow) && strings.HasPrefix(narrow, wide) && (wide == "" || wide[len(wide)-1] == '.')
}
