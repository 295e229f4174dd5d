package control

import (
	"context"
	"fmt"
	"slices"

	"sluice/proxy"
	"sluice/router"
)

// Warning is something that is valid and probably not meant.
type Warning struct {
	Key     string // of the resource that is warned of
	Code    string // a word for programs; see the constants
	Message string
}

// The codes of warnings.
const (
	WarnUnreachable = "unreachable" // a route that another one takes everything from
	WarnShadows     = "shadows"     // a route that leaves another one nothing
	WarnDuplicate   = "duplicate"   // two routes that nothing but their ids tells apart
	WarnDangling    = "dangling"    // a route to a service without nodes
	WarnCertificate = "certificate" // a certificate that clients would refuse, or none where a listener needs one
	WarnInsecure    = "insecure"    // a service whose nodes may be anybody
)

// lintVisits bounds the look for overlaps of one route: 0.1 ms for one that meets few others, some milliseconds for "/*" over everything, with a thousand routes as with
// 100,000. What covers the route is looked at first, so that is found in any case; what is beyond the bound is more of the routes that it takes something from.
const lintVisits = 1024

// Linter looks at routes as they would stand once a change is in force. It is used by one goroutine.
type Linter struct {
	table *router.Table[*proxy.Route]
	nodes map[string]int // by service: how many may be picked; a service that is not named is not there
	rules []rule         // those that the change puts
	met   []meeting      // what each of them overlaps with, once it was looked for

	now    *proxy.Snapshot
	losses map[string]*loss // by service

	registered func(service string) bool
	elsewhere  func(service string) bool
}

// NewLinter returns a linter for a change over what is in force. Values must be valid; what is no route, service or node is passed over. registered is asked whether the store has
// a node of a service that seems to have none: nothing is in force of a service as long as nobody names it. elsewhere
// is asked whether it has a node of a service under other keys than those of the edits.
func NewLinter(now *proxy.Snapshot, edits []Edit, registered, elsewhere func(service string) bool) *Linter {
	l := &Linter{nodes: make(map[string]int), now: now, losses: make(map[string]*loss), registered: registered, elsewhere: elsewhere}
	var take []string
	for _, e := range edits {
		kind, id, _ := SplitKey(e.Key)
		l.lose(kind, id, e)
		switch {
		case kind == Routes:
			one, enabled := routeRule(id, e.After)
			if !enabled {
				take = append(take, id)
				break
			}
			l.rules = append(l.rules, one)
		case e.After == nil:
		case kind == Services:
			if s, err := DecodeService(e.After); err == nil {
				l.nodes[id] += len(s.Nodes)
			}
		case kind == Nodes:
			if n, err := DecodeNode(e.After); err == nil && *n.Status == 1 && *n.Weight > 0 {
				l.nodes[n.ServiceName]++
			}
		}
	}
	for i := range l.rules {
		l.nodes[l.rules[i].Value.ServiceName] += 0 // named: the only services that are asked for
	}
	l.countNodes()
	if l.table = now.Routes; len(take)+len(l.rules) > 1 { // one route alone meets what is there, and not what it stood for itself before
		l.table, _ = l.table.Without(take...).With(l.rules...) // a rule that does not fit is the engine's to refuse
	}
	return l
}

// countNodes counts the nodes in force of the services that are named. A route that led to its service before tells where that is; the others are looked for among all.
func (l *Linter) countNodes() {
	looking := make(map[string]bool)
	for name := range l.nodes {
		looking[name] = true
	}
	for i := range l.rules {
		name := l.rules[i].Value.ServiceName
		if r := l.now.Routes.Get(l.rules[i].ID); r != nil && r.Value.ServiceName == name && looking[name] {
			l.nodes[name] += len(l.now.Services[r.Value.Service].Nodes())
			delete(looking, name)
		}
	}
	if len(looking) == 0 {
		return
	}
	for _, s := range l.now.Services {
		if s != nil && looking[s.Name] {
			l.nodes[s.Name] += len(s.Nodes())
		}
	}
}

// routeRule returns a stored route as the table would hold it, but without plugins; false for one that is out, gone or not valid.
func routeRule(id string, value []byte) (rule, bool) {
	if value == nil {
		return rule{}, false
	}
	r, problems := readRoute(value)
	if len(problems) > 0 || !r.Enabled() {
		return rule{}, false
	}
	one := rule{ID: id, Hosts: r.Hosts, Paths: r.patterns(), Methods: r.Methods, Priority: r.Priority, Value: &proxy.Route{ID: id, ServiceName: r.ServiceName}}
	if r.When != "" {
		one.When = func(any) bool { return true } // that there is one is all that counts
	}
	return one, true
}

// meeting is what a rule overlaps with.
type meeting struct {
	overlaps []router.Overlapping[*proxy.Route]
	whole    bool // there is nothing else
}

// overlaps returns what rule i overlaps with.
func (l *Linter) overlaps(i int) meeting {
	for len(l.met) <= i {
		overlaps, whole := l.table.Overlaps(&l.rules[len(l.met)], lintVisits)
		l.met = append(l.met, meeting{overlaps, whole})
	}
	return l.met[i]
}

// Warnings returns at most so many warnings of the routes that the change puts, and of the services that it leaves without nodes.
func (l *Linter) Warnings(most int) (list []Warning) {
	for i := range l.rules {
		if len(list) >= most {
			return list[:most]
		}
		r := &l.rules[i]
		list = l.dangling(list, r)
		for _, o := range l.overlaps(i).overlaps {
			switch o.Overlap {
			case router.Covers:
				list = warn(list, r, WarnUnreachable, "it is never reached: routes/%s takes everything that it matches", o.Rule.ID)
			case router.Covered:
				list = warn(list, r, WarnShadows, "routes/%s is reached no more: this route takes everything that it matches", o.Rule.ID)
			case router.Ties:
				list = warn(list, r, WarnDuplicate, "nothing but the id tells it apart from routes/%s: the smaller one wins", o.Rule.ID)
			}
		}
	}
	list = append(list, l.lost()...)
	return list[:min(len(list), most)]
}

// Effect is what a change does to a route that it does not name.
type Effect struct {
	Route    string
	Shadowed bool // it gets nothing any more; otherwise it loses a part of its requests
}

// Effects returns which other routes are shadowed or lose traffic by the routes that the change puts, each once: at most so many; more tells that there may be others.
func (l *Linter) Effects(most int) (list []Effect, more bool) {
	place := make(map[string]int) // in list; -1 = the change names it
	for i := range l.rules {
		place[l.rules[i].ID] = -1
	}
	for i := range l.rules {
		met := l.overlaps(i)
		if slices.ContainsFunc(met.overlaps, func(o router.Overlapping[*proxy.Route]) bool { return o.Overlap == router.Covers }) {
			continue // it gets nothing that it could take
		}
		more = more || !met.whole
		for _, o := range met.overlaps {
			if o.Overlap == router.Ties && o.Rule.ID < l.rules[i].ID {
				continue
			}
			at, known := place[o.Rule.ID]
			switch {
			case known && at >= 0:
				list[at].Shadowed = list[at].Shadowed || o.Overlap == router.Covered
			case known:
			case len(list) == most: // but those that are listed may turn out to be shadowed
				more = true
			default:
				place[o.Rule.ID] = len(list)
				list = append(list, Effect{Route: o.Rule.ID, Shadowed: o.Overlap == router.Covered})
			}
		}
	}
	return list, more
}

// dangling warns of a service that has nobody to ask.
func (l *Linter) dangling(list []Warning, r *rule) []Warning {
	name := r.Value.ServiceName
	if l.nodes[name] > 0 {
		return list
	}
	if l.registered(name) {
		l.nodes[name]++
		return list
	}
	return warn(list, r, WarnDangling, "the service %q has no node: requests are answered with 503", name)
}

func warn(list []Warning, r *rule, code, format string, args ...any) []Warning {
	return append(list, Warning{Key: Routes.Key(r.ID), Code: code, Message: fmt.Sprintf(format, args...)})
}

// Sweep returns at most so many warnings of all routes that are in force, in the order of their ids; more tells that not all was looked at, because there were too many or ctx
// has ended.
func Sweep(ctx context.Context, now *proxy.Snapshot, most int) (list []Warning, more bool) {
	nobody := func(string) bool { return false } // every service that a route names is in force, with all of its nodes
	l := &Linter{table: now.Routes, nodes: make(map[string]int, len(now.Services)), registered: nobody}
	for _, s := range now.Services {
		if s != nil {
			l.nodes[s.Name] = len(s.Nodes())
		}
	}
	for r := range now.Routes.All() {
		if len(list) >= most || ctx.Err() != nil {
			return list[:min(len(list), most)], true
		}
		list = l.dangling(list, r)
		overlaps, _ := l.table.Overlaps(r, lintVisits)
		for _, o := range overlaps {
			switch {
			case o.Overlap == router.Covers:
				list = warn(list, r, WarnUnreachable, "it is never reached: routes/%s takes everything that it matches", o.Rule.ID)
			case o.Overlap == router.Ties && o.Rule.ID < r.ID: // of two, one warning
				list = warn(list, r, WarnDuplicate, "nothing but the id tells it apart from routes/%s: the smaller one wins", o.Rule.ID)
			}
		}
	}
	return list[:min(len(list), most)], len(list) > most
}
