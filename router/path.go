package router

import "math"

// MaxBranches bounds the ways that a single path can take through the patterns of one host, and so the cost of a match; the
// package documentation says how they come about. Every place where a parameter and a literal continue the same beginning adds
// the ways below the one to the ways below the other: 256 are eight such places one below another with all combinations in use.
// APIs that people write by hand stay below ten.
const MaxBranches = 256

// paths is the patterns of one host: a tree over the literal run that each begins with.
type paths[T any] = node[junction[T]]

// junction is where literal runs end: what comes after one. It is not changed once it is part of a tree.
// (param is a *paths[T]; go/types of Go 1.26 fails on an alias within its own cycle.)
type junction[T any] struct {
	here  leaf[T]            // patterns that end here
	param *node[junction[T]] // what follows a parameter, as a tree of the next runs
	rest  leaf[T]            // patterns with a star here
}

func (j *junction[T]) bounds() bounds {
	b := bounds{top: math.MinInt}
	if len(j.here) > 0 {
		b.top = j.here[0].rule.Priority
	}
	if len(j.rest) > 0 {
		b.top = max(b.top, j.rest[0].rule.Priority)
	}
	if j.param != nil {
		b.top = max(b.top, j.param.bounds.top)
		b.branches = j.param.bounds.branches
	}
	return b
}

// updateLeaf returns the tree with the leaf of a pattern replaced by what change makes of it. runs and rest are the pattern's.
func updateLeaf[T any](edit uint64, tree *paths[T], runs []string, rest bool, change func(leaf[T]) leaf[T]) *paths[T] {
	e := editor[junction[T]]{edit: edit, measure: (*junction[T]).bounds}
	return e.update(tree, runs[0], func(old *junction[T]) *junction[T] {
		var j junction[T]
		if old != nil {
			j = *old
		}
		switch {
		case len(runs) > 1:
			j.param = updateLeaf(edit, j.param, runs[1:], rest, change)
		case rest:
			j.rest = change(j.rest)
		default:
			j.here = change(j.here)
		}
		if len(j.here) == 0 && len(j.rest) == 0 && j.param == nil {
			return nil
		}
		return &j
	})
}

// search is one match under way. It lives on the stack of Match.
type search[T any] struct {
	query   *Query
	rule    *Rule[T] // best so far
	pattern *Pattern // of it; nil where it has no names
	missed  bool     // a rule was passed over for its method
	collect bool     // do not look for a rule, but add to allow the methods of all that match
	allow   []string
}

// visit looks for a better rule among the patterns of tree; path is what the runs and parameters above it have left. It goes
// best first, so a rule is only replaced by one of higher priority.
//
// The recursion is as deep as there are places on the way where more than a literal goes on, at most one per byte of the path.
func (s *search[T]) visit(tree *paths[T], path []byte) {
	for n := tree; n != nil && (s.rule == nil || n.bounds.top > s.rule.Priority); {
		// A child's first byte is known to be right; where there is no other, its text need not be fetched from memory.
		known := 0
		if n != tree {
			known = 1
		}
		if len(path) < len(n.prefix) || string(path[known:len(n.prefix)]) != n.prefix[known:] {
			return
		}
		path = path[len(n.prefix):]
		j := n.value
		if len(path) == 0 {
			if j != nil {
				s.try(j.here)
				s.try(j.rest)
			}
			return
		}
		kid := n.kid(path[0])
		if j == nil || j.param == nil && j.rest == nil {
			n = kid
			continue
		}
		s.visit(kid, path)
		if j.param != nil {
			if end := segment(path); end > 0 {
				s.visit(j.param, path[end:])
			}
		}
		s.try(j.rest)
		return
	}
}

// try takes the first rule of a leaf that matches, if it is better than what there is.
func (s *search[T]) try(l leaf[T]) {
	for i := range l {
		r := l[i].rule
		if s.rule != nil && r.Priority <= s.rule.Priority {
			return
		}
		if !r.allows(s.query.Method) {
			s.missed = true
			if s.collect && (r.When == nil || r.When(s.query.Facts)) {
				s.allow = append(s.allow, r.Methods...)
			}
			continue
		}
		if s.collect || r.When != nil && !r.When(s.query.Facts) {
			continue
		}
		s.rule, s.pattern = r, l[i].pattern
		return
	}
}
