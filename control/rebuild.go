package control

import (
	"fmt"

	"sluice/router"
)

// A table that has come about by many changes must be the table that its rules make when they are put in at once. A bug in the one or the other would be a
// route that is in the store and not served, for as long as the process lives; so it is looked for now and then.

// Rebuild makes the table anew from the routes in force and compares the two. It does the work on the calling goroutine, beside Apply, and nothing where no route
// has changed since the last time. Where they differ that is a bug: it is logged and counted, and the new table comes into force. Any goroutine may call it, one
// at a time.
func (e *Engine) Rebuild() {
	table := e.routed.Load()
	if table == nil || table == e.proven {
		return
	}
	fresh, differs := e.compare(table)
	if differs == nil {
		e.proven = table
		e.options.Stats.CountRebuild(true)
		return
	}
	e.options.Log.Error("BUG: the table of routes is not what its routes make; the one made anew is used", "routes", table.Len(), "error", differs)
	e.options.Stats.CountRebuild(false)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.table != table { // it has changed meanwhile: now nothing can
		fresh, _ = e.compare(e.table)
	}
	e.table, e.proven = fresh, fresh
	e.publish(e.status.Revision)
	e.tell(e.status.Revision)
}

// compare makes a table anew and says what differs.
func (e *Engine) compare(table routes) (fresh routes, differs error) {
	rules := make([]rule, 0, table.Len())
	for r := range table.All() {
		rules = append(rules, *r)
	}
	fresh, err := e.build(rules)
	if err != nil {
		return fresh, fmt.Errorf("a route does not fit: %w", err)
	}
	if was, is := table.Digest(), fresh.Digest(); was != is || table.Len() != fresh.Len() {
		return fresh, fmt.Errorf("digest %016x, and %016x when made anew; %d routes and %d", was, is, table.Len(), fresh.Len())
	}
	return fresh, nil
}

// buildRoutes makes a table of rules.
func buildRoutes(rules []rule) (routes, error) { return router.Build(rules) }
