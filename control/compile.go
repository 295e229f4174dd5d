package control

import (
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/cespare/xxhash/v2"

	"sluice/internal/problem"
	"sluice/internal/when"
	"sluice/plugin"
	"sluice/proxy"
	"sluice/router"
)

// rule is a route as the table holds it.
type rule = router.Rule[*proxy.Route]

// compileRoute turns a stored route into a rule; enabled is false for one with status 0. What depends on the other resources, the
// route's counters and the index of its service, is filled in once the table has taken the rule.
func compileRoute(id string, value []byte, kinds kindLookup) (one rule, enabled bool, problems problem.Problems) {
	r, problems := readRoute(value)
	var found problem.Problems
	r.check(&found)
	condition := r.condition(&found)
	made, wrong := r.instances(kinds)
	problems.Complete(append(found, wrong...).Err(), unreadPaths(problems)...)
	if len(problems) > 0 {
		closeAll(made)
		return rule{}, false, problems
	}
	if !r.Enabled() {
		closeAll(made)
		return rule{}, false, nil
	}
	return rule{
		ID:       id,
		Hosts:    r.Hosts,
		Paths:    r.patterns(),
		Methods:  r.Methods,
		Priority: r.Priority,
		When:     condition,
		Stamp:    xxhash.Sum64(value),
		Value:    r.value(id, plugin.NewChain(made)),
	}, true, nil
}

// condition compiles When to what the router calls; nil where there is none.
func (r *Route) condition(problems *problem.Problems) func(facts any) bool {
	if r.When == "" {
		return nil
	}
	program, err := when.Compile(r.When)
	if err != nil {
		problems.Add("when", "%v", err)
		return nil
	}
	return func(facts any) bool {
		view, ok := facts.(when.View)
		return ok && program.Match(view)
	}
}

// patterns returns prefix and paths, each once.
func (r *Route) patterns() []string {
	if r.Prefix == "" || slices.Contains(r.Paths, r.Prefix) {
		return r.Paths
	}
	return append([]string{r.Prefix}, r.Paths...)
}

func (r *Route) value(id string, chain *plugin.Chain) *proxy.Route {
	v := &proxy.Route{ID: id, ServiceName: r.ServiceName, GRPC: r.Protocol == "grpc", Chain: chain}
	if r.Timeout != nil {
		v.Timeout = proxy.RouteTimeout{
			Connect: r.Timeout.Connect.Std(), Response: r.Timeout.Response.Std(), PerTry: r.Timeout.PerTry.Std(), Total: r.Timeout.Total.Std(),
		}
	}
	if r.Retry != nil {
		v.Attempts = r.Retry.Attempts
	}
	return v
}

// guarded runs f and returns what is wrong with one resource. A panic is a bug of ours or of a plugin's; it must cost this one resource, not
// the gateway, so it becomes a problem too. stack is where it happened.
func guarded(f func() problem.Problems) (problems problem.Problems, stack []byte) {
	defer func() {
		if e := recover(); e != nil {
			problems = problem.Problems{{Text: fmt.Sprintf("BUG: the gateway failed on this resource: %v", e)}}
			stack = debug.Stack()
		}
	}()
	return f(), nil
}
