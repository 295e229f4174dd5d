package control

import (
	"errors"
	"maps"
	"slices"

	"sluice/internal/problem"
	"sluice/router"
)

// routes makes the new table and reports whether it differs.
func (w *work) routes() bool {
	e := w.engine
	if len(w.put) == 0 && len(w.take) == 0 {
		return false
	}
	before := e.table
	table := before.Without(slices.Collect(maps.Keys(w.take))...)
	// What was refused for its neighbours may fit now that some of those have changed.
	var again []string
	for id, one := range e.refused {
		if _, newer := w.put[id]; !newer {
			w.put[id] = one
			again = append(again, id)
		}
	}
	clear(e.refused)
	table = w.insert(table)
	e.table = table
	for _, id := range again {
		if one, taken := w.put[id]; taken {
			e.errors.clear(Routes.Key(id))
			w.good = append(w.good, one.change)
		}
	}
	changed := false
	for id := range w.take {
		changed = w.settle(id, before, table) || changed
	}
	for id := range w.put {
		changed = w.settle(id, before, table) || changed
	}
	return changed
}

// insert adds the new rules to a table. A rule that makes the router panic is left out, and so costs the batch its speed, not its content.
func (w *work) insert(table routes) (with routes) {
	rules := make([]rule, 0, len(w.put))
	for _, id := range slices.Sorted(maps.Keys(w.put)) { // every gateway refuses the same rules
		rules = append(rules, w.put[id].rule)
	}
	_, stack := guarded(func() problem.Problems {
		var err error
		with, err = table.With(rules...)
		w.refuseRules(err)
		return nil
	})
	if stack == nil {
		return with
	}
	with = table
	for _, one := range rules {
		problems, stack := guarded(func() problem.Problems {
			next, err := with.With(one)
			w.refuseRules(err)
			with = next
			return nil
		})
		if problems != nil {
			w.refuseRule(one.ID, problems, stack)
		}
	}
	return with
}

// refuseRules notes the rules that a table did not take.
func (w *work) refuseRules(err error) {
	var all interface{ Unwrap() []error }
	if !errors.As(err, &all) {
		return
	}
	for _, one := range all.Unwrap() {
		var refused *router.RuleError
		if errors.As(one, &refused) {
			w.refuseRule(refused.ID, problem.Problems{{Path: refused.Field, Text: refused.Value + ": " + refused.Err.Error()}}, nil)
		}
	}
}

func (w *work) refuseRule(id string, problems problem.Problems, stack []byte) {
	e := w.engine
	e.refused[id] = w.put[id]
	delete(w.put, id)
	key := Routes.Key(id)
	e.refuse(key, e.documents[key].revision, problems, stack)
}

// settle connects one changed route with its service and counters, and reports whether it differs from before.
func (w *work) settle(id string, before, after routes) bool {
	e := w.engine
	was, is := before.Get(id), after.Get(id)
	if was == is {
		return false
	}
	if is != nil {
		is.Value.Service = e.services.use(is.Value.ServiceName)
		is.Value.Stats = e.options.Stats.Route(id, is.Value.ServiceName)
	} else {
		e.options.Stats.ForgetRoute(id)
	}
	if was != nil {
		e.services.release(was.Value.ServiceName)
	}
	return true
}
