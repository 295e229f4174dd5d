package router

import (
	"cmp"
	"slices"
)

// Reason is why a rule that a query's host and path lead to did not win, or that it did.
type Reason uint8

// The reasons, in the order of the package documentation. A rule that could not have won has one of the last two, whatever else it is.
const (
	Won         Reason = iota
	WorseHost          // the winner's host is more specific
	WorseLevel         // the winner's priority is higher
	WorsePath          // the winner's pattern is more specific
	NoMethods          // the winner names methods, and this rule takes any
	NoCondition        // the winner has a condition, and this rule has none
	LargerID           // nothing but the id tells them apart
	OtherMethod        // it takes other methods
	Unfulfilled        // its condition does not hold
)

// Candidate is a rule that matches a query's host and path.
type Candidate[T any] struct {
	Rule    *Rule[T]
	Host    string  // of the rule, that matches; "*" is any
	Pattern Pattern // of the rule, that matches
	Reason  Reason

	rank int // of the host; the best is 0
}

// Explain lists the rules whose host and pattern match q, best first: the winner, if there is one, is the one that [Table.Match] finds. It looks at no more than limit rules,
// and more tells that there are others. It is for people, and allocates.
func (t *Table[T]) Explain(q *Query, limit int) (list []Candidate[T], more bool) {
	var m Match[T]
	t.Match(q, &m)
	e := explaining[T]{query: q, limit: limit, seen: make(map[*Rule[T]]bool)}
	e.visitHosts(t.hosts, "", BareHost(q.Host))
	if m.Rule != nil && !e.seen[m.Rule] { // it must be on the list, however short that is
		e.list = append(e.list[:max(0, limit-1)], e.candidate(m.Rule, e.hostOf(m.Rule)))
	}
	slices.SortStableFunc(e.list, compareCandidates)
	var winner *Candidate[T]
	for i := range e.list {
		if e.list[i].Rule == m.Rule {
			winner = &e.list[i]
		}
	}
	for i := range e.list {
		e.list[i].Reason = reasonOf(&e.list[i], winner, q)
	}
	return e.list, e.more
}

// explaining is one Explain under way.
type explaining[T any] struct {
	query *Query
	limit int
	more  bool
	hosts []string // that apply, the best first
	seen  map[*Rule[T]]bool
	list  []Candidate[T]
}

// visitHosts looks at the hosts that apply, the best first. key is that of the tree's parent, host what it has left of the name.
func (e *explaining[T]) visitHosts(n *hosts[T], key string, host []byte) {
	if n == nil || len(host) < len(n.prefix) || !endsBackwards(host, n.prefix, 0) {
		return
	}
	key, host = key+n.prefix, host[:len(host)-len(n.prefix)]
	if len(host) > 0 {
		e.visitHosts(n.kid(lower(host[len(host)-1])), key, host)
	}
	if n.value != nil && applies(n.prefix, len(host)) {
		e.hosts = append(e.hosts, hostName(key))
		e.visit(n.value, e.query.Path)
	}
}

// visit takes all rules of a tree whose patterns match.
func (e *explaining[T]) visit(n *paths[T], path []byte) {
	if n == nil || len(path) < len(n.prefix) || string(path[:len(n.prefix)]) != n.prefix {
		return
	}
	path = path[len(n.prefix):]
	if j := n.value; j != nil {
		if len(path) == 0 {
			e.take(j.here)
		}
		e.take(j.rest)
		if end := segment(path); end > 0 {
			e.visit(j.param, path[end:])
		}
	}
	if len(path) > 0 {
		e.visit(n.kid(path[0]), path)
	}
}

func (e *explaining[T]) take(l leaf[T]) {
	for _, one := range l {
		switch {
		case e.seen[one.rule]: // at a better host, or another pattern
		case len(e.list) == e.limit:
			e.more = true
			return
		default:
			e.seen[one.rule] = true
			e.list = append(e.list, e.candidate(one.rule, len(e.hosts)-1))
		}
	}
}

// candidate describes a rule that matches at the host of a rank: with the best of its patterns that do.
func (e *explaining[T]) candidate(r *Rule[T], rank int) Candidate[T] {
	c := Candidate[T]{Rule: r, Host: e.hosts[rank], rank: rank}
	for i, p := range mustLocate(r).patterns {
		if p.Matches(e.query.Path) && (c.Pattern.runs == nil || p.Compare(c.Pattern) < 0) {
			c.Pattern = mustLocate(r).patterns[i]
		}
	}
	return c
}

// hostOf returns the rank of the best host that a rule stands under.
func (e *explaining[T]) hostOf(r *Rule[T]) int {
	for rank, name := range e.hosts {
		key, _ := hostKey(name) // it is the name of a key
		if slices.Contains(mustLocate(r).hosts, key) {
			return rank
		}
	}
	panic("BUG: a rule matches under a host that does not apply")
}

// compareCandidates is the order of the package documentation.
func compareCandidates[T any](a, b Candidate[T]) int {
	return cmp.Or(
		cmp.Compare(a.rank, b.rank),
		cmp.Compare(b.Rule.Priority, a.Rule.Priority),
		a.Pattern.Compare(b.Pattern),
		compareEntries(entry[T]{rule: a.Rule}, entry[T]{rule: b.Rule}),
	)
}

// reasonOf tells how a candidate stands to the winner, nil where there is none.
func reasonOf[T any](c, winner *Candidate[T], q *Query) Reason {
	switch {
	case !c.Rule.allows(q.Method):
		return OtherMethod
	case c.Rule.When != nil && !c.Rule.When(q.Facts):
		return Unfulfilled
	case winner == nil:
		panic("BUG: a rule that would match has not been found")
	case c == winner:
		return Won
	case c.rank != winner.rank:
		return WorseHost
	case c.Rule.Priority != winner.Rule.Priority:
		return WorseLevel
	case c.Pattern.Compare(winner.Pattern) != 0:
		return WorsePath
	case len(c.Rule.Methods) == 0 && len(winner.Rule.Methods) > 0:
		return NoMethods
	case c.Rule.When == nil && winner.Rule.When != nil:
		return NoCondition
	}
	return LargerID
}
