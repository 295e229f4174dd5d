package router

// batch is a table while it is made. It belongs to one goroutine.
type batch[T any] struct {
	Table[T]
	edit uint64
}

func newBatch[T any](from *Table[T]) *batch[T] {
	return &batch[T]{Table: *from, edit: edits.Add(1)}
}

// table returns the result. The batch is not used afterwards.
func (b *batch[T]) table() *Table[T] {
	t := b.Table
	return &t
}

// put adds or replaces a rule; on an error everything is as it was before.
func (b *batch[T]) put(given *Rule[T]) error {
	to, err := locate(given)
	if err != nil {
		return err
	}
	rule := new(*given)
	old := b.Get(rule.ID)
	b.remove(rule.ID)
	if at := b.place(rule, to); at != nil {
		b.displace(rule.ID, to)
		if old != nil {
			b.insert(old, mustLocate(old))
		}
		return &RuleError{ID: rule.ID, Field: "paths", Value: at.String(), Err: ErrTooManyBranches}
	}
	b.index(rule.ID, rule)
	return nil
}

// remove takes out the rule with that id, if there is one.
func (b *batch[T]) remove(id string) {
	if old := b.Get(id); old != nil {
		b.displace(id, mustLocate(old))
		b.index(id, nil)
	}
}

// insert puts back a rule that the table had before.
func (b *batch[T]) insert(rule *Rule[T], to places) {
	if b.place(rule, to) != nil {
		panic("BUG: a rule does not fit where it was")
	}
	b.index(rule.ID, rule)
}

// index notes the rule under its id; nil takes it out.
func (b *batch[T]) index(id string, rule *Rule[T]) {
	e := editor[Rule[T]]{edit: b.edit}
	b.ids = e.update(b.ids, id, func(*Rule[T]) *Rule[T] { return rule })
	if rule != nil {
		b.len++
	} else {
		b.len--
	}
}

// place enters a rule at all its places. It stops at the pattern that makes too many branches and returns it; nil is success.
func (b *batch[T]) place(rule *Rule[T], to places) *Pattern {
	for i := range to.patterns {
		p := &to.patterns[i]
		e := entry[T]{rule: rule}
		if len(p.names) > 0 {
			e.pattern = p
		}
		for _, host := range to.hosts {
			tree := b.change(host, p, func(l leaf[T]) leaf[T] { return l.add(e) })
			if tree.bounds.branches > MaxBranches {
				return p
			}
		}
	}
	return nil
}

// displace takes a rule out of all places where it is.
func (b *batch[T]) displace(id string, from places) {
	for i := range from.patterns {
		for _, host := range from.hosts {
			b.change(host, &from.patterns[i], func(l leaf[T]) leaf[T] { return l.remove(id) })
		}
	}
}

// change replaces one leaf and returns the tree of its host afterwards.
func (b *batch[T]) change(host string, p *Pattern, change func(leaf[T]) leaf[T]) (tree *paths[T]) {
	e := editor[paths[T]]{edit: b.edit}
	b.hosts = e.update(b.hosts, host, func(old *paths[T]) *paths[T] {
		tree = updateLeaf(b.edit, old, p.runs, p.rest, change)
		return tree
	})
	return tree
}

// places is where a rule stands: under each of its hosts, at each of its patterns.
type places struct {
	hosts    []string // keys
	patterns []Pattern
}

// locate works out the places of a rule, or why it has none.
func locate[T any](rule *Rule[T]) (to places, err error) {
	fail := func(field, value string, err error) (places, error) {
		return places{}, &RuleError{ID: rule.ID, Field: field, Value: value, Err: err}
	}
	if rule.ID == "" {
		return fail("id", "", errNoID)
	}
	if len(rule.Paths) == 0 {
		return fail("paths", "", errNoPath)
	}
	for _, m := range rule.Methods {
		if m == "" {
			return fail("methods", "", errNoMethod)
		}
	}
	for _, h := range rule.Hosts {
		key, err := hostKey(h)
		if err != nil {
			return fail("hosts", h, err)
		}
		to.hosts = append(to.hosts, key)
	}
	if len(rule.Hosts) == 0 {
		to.hosts = []string{""}
	}
	for _, s := range rule.Paths {
		p, err := parsePattern(s)
		if err != nil {
			return fail("paths", s, err)
		}
		to.patterns = append(to.patterns, p)
	}
	return to, nil
}

// mustLocate is locate for a rule that a table has.
func mustLocate[T any](rule *Rule[T]) places {
	to, err := locate(rule)
	if err != nil {
		panic("BUG: a rule in a table is not valid: " + err.Error())
	}
	return to
}
