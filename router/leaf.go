package router

import (
	"cmp"
	"slices"
)

// leaf holds the rules of one host and pattern, best first. It is not changed once it is part of a table.
type leaf[T any] []entry[T]

// entry is one rule at one of its patterns.
type entry[T any] struct {
	rule    *Rule[T]
	pattern *Pattern // for its names; nil where it has none
}

// add returns the leaf with e in it. A rule that is there already stays as it is: of two patterns of one rule that match the
// same paths, the first counts.
func (l leaf[T]) add(e entry[T]) leaf[T] {
	if l.find(e.rule.ID) >= 0 {
		return l
	}
	i, _ := slices.BinarySearchFunc(l, e, compareEntries)
	n := make(leaf[T], len(l)+1)
	copy(n, l[:i])
	n[i] = e
	copy(n[i+1:], l[i:])
	return n
}

// remove returns the leaf without the rule of that id.
func (l leaf[T]) remove(id string) leaf[T] {
	i := l.find(id)
	if i < 0 {
		return l
	}
	if len(l) == 1 {
		return nil
	}
	return slices.Concat(l[:i], l[i+1:])
}

func (l leaf[T]) find(id string) int {
	return slices.IndexFunc(l, func(e entry[T]) bool { return e.rule.ID == id })
}

// compareEntries is the order of rules that share host and pattern: steps 2, 4, 5 and 6 of the package documentation.
func compareEntries[T any](a, b entry[T]) int {
	return cmp.Or(
		cmp.Compare(b.rule.Priority, a.rule.Priority),
		firstIf(len(a.rule.Methods) > 0, len(b.rule.Methods) > 0),
		firstIf(a.rule.When != nil, b.rule.When != nil),
		cmp.Compare(a.rule.ID, b.rule.ID),
	)
}

// firstIf orders what has a property before what has not.
func firstIf(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// allows reports whether the rule matches a method.
func (r *Rule[T]) allows(method []byte) bool {
	for _, m := range r.Methods {
		if m == string(method) {
			return true
		}
	}
	return len(r.Methods) == 0
}
