package router

import (
	"errors"
	"iter"
	"slices"
)

// Table is an immutable set of rules. The zero value is the empty table. All methods may be called by many goroutines at once.
type Table[T any] struct {
	hosts *hosts[T]
	ids   *node[Rule[T]]
	len   int
}

// Build makes a table of rules. It is With on the empty table.
func Build[T any](rules []Rule[T]) (*Table[T], error) {
	return new(Table[T]).With(rules...)
}

// With returns a table that also has the given rules, each in the place of the rule with the same ID if there is one.
//
// The table is never nil. Rules that are refused are left out of it, and what the receiver has under their IDs stays in force;
// the error joins one [RuleError] for each of them. So one bad rule takes no other down, and who wants all or nothing looks at
// the error first.
func (t *Table[T]) With(rules ...Rule[T]) (*Table[T], error) {
	b := newBatch(t)
	var errs []error
	for i := range rules {
		if err := b.put(&rules[i]); err != nil {
			errs = append(errs, err)
		}
	}
	return b.table(), errors.Join(errs...)
}

// Without returns a table that lacks the rules with the given ids; ids it does not have are passed over.
func (t *Table[T]) Without(ids ...string) *Table[T] {
	b := newBatch(t)
	for _, id := range ids {
		b.remove(id)
	}
	return b.table()
}

// Match finds the rule that wins for q and tells the outcome; m is overwritten. It never blocks or locks, and allocates only to
// list more allowed methods than m has held before.
func (t *Table[T]) Match(q *Query, m *Match[T]) Outcome {
	m.Rule, m.Params.names, m.Allow = nil, nil, m.Allow[:0]
	if t.hosts == nil {
		return NoRoute
	}
	host := BareHost(q.Host)
	s := search[T]{query: q}
	s.visitHosts(t.hosts, host)
	if s.rule != nil {
		m.Rule = s.rule
		if s.pattern != nil {
			m.Params.capture(s.pattern, q.Path)
		}
		return Found
	}
	if !s.missed {
		return NoRoute
	}
	// Only now is it worth knowing what else would match, so that a found path never pays for it.
	s.collect, s.allow = true, m.Allow
	s.visitHosts(t.hosts, host)
	if len(s.allow) == 0 {
		return NoRoute
	}
	slices.Sort(s.allow)
	m.Allow = slices.Compact(s.allow)
	return MethodNotAllowed
}

// Len returns the number of rules.
func (t *Table[T]) Len() int { return t.len }

// Get returns the rule with that id, or nil. It is shared and must not be changed.
func (t *Table[T]) Get(id string) *Rule[T] { return t.ids.get(id) }

// All yields the rules in the order of their ids.
func (t *Table[T]) All() iter.Seq[*Rule[T]] {
	return func(yield func(*Rule[T]) bool) {
		t.ids.each(nil, func(_ []byte, r *Rule[T]) bool { return yield(r) })
	}
}
