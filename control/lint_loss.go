package control

import (
	"maps"
	"slices"

	"sluice/proxy"
	"sluice/upstream"
)

// loss is what a change does to the nodes of one service, by address.
type loss struct {
	gone map[string]bool // in before, and not after
	in   bool            // there is one that the change puts in, or leaves there
}

// lose notes what an edit does to the nodes of services.
func (l *Linter) lose(kind Kind, id string, e Edit) {
	var before []byte
	if e.Before != nil {
		before = e.Before.Value
	}
	was, is := nodesIn(kind, id, before), nodesIn(kind, id, e.After)
	for service, addresses := range was {
		for _, address := range addresses {
			if !slices.Contains(is[service], address) {
				l.lossOf(service).gone[address] = true
			}
		}
	}
	for service := range is {
		l.lossOf(service).in = true
	}
}

func (l *Linter) lossOf(service string) *loss {
	if l.losses[service] == nil {
		l.losses[service] = &loss{gone: make(map[string]bool)}
	}
	return l.losses[service]
}

// nodesIn returns the addresses that a stored node or service puts in, by service. A value that is not valid puts nothing in.
func nodesIn(kind Kind, id string, value []byte) map[string][]string {
	in := make(map[string][]string)
	switch kind {
	case Nodes:
		if n, err := ReadNode(id, value); err == nil && *n.Status == 1 && *n.Weight > 0 {
			in[n.ServiceName] = []string{n.Upstream}
		}
	case Services:
		if s, err := decodeServiceAt(id, value); err == nil {
			for _, n := range s.Nodes {
				if (n.Status == nil || *n.Status == 1) && (n.Weight == nil || *n.Weight > 0) {
					in[id] = append(in[id], n.Upstream)
				}
			}
		}
	}
	return in
}

// HasNodes reports whether a stored node or service puts a node of the service of that name in.
func HasNodes(e Entry, service string) bool {
	kind, id, _ := SplitKey(e.Key)
	return len(nodesIn(kind, id, e.Value)[service]) > 0
}

// lost warns of services whose last node the change takes, or the last that is well.
func (l *Linter) lost() (list []Warning) {
	for _, name := range slices.Sorted(maps.Keys(l.losses)) {
		loss := l.losses[name]
		s := serviceNamed(l.now, name)
		if loss.in || len(loss.gone) == 0 || s == nil {
			continue
		}
		left, well := 0, 0
		for _, n := range s.Nodes() {
			if loss.gone[n.Address] {
				continue
			}
			left++
			if n.In() {
				well++
			}
		}
		text := "it has no node any more: requests are answered with 503"
		if left > 0 {
			text = "none of the nodes that it is left with is well"
		}
		if well == 0 && len(s.Nodes()) > left && l.asked(name) && (left > 0 || !l.elsewhere(name)) {
			list = append(list, Warning{Key: Services.Key(name), Code: WarnDangling, Message: text})
		}
	}
	return list
}

// asked reports whether a route leads to a service. It looks at all of them, which takes some milliseconds for 100,000: whoever takes the last node of a service may wait that long.
func (l *Linter) asked(service string) bool {
	for r := range l.table.All() {
		if r.Value.ServiceName == service {
			return true
		}
	}
	return false
}

func serviceNamed(now *proxy.Snapshot, name string) *upstream.Service {
	for _, s := range now.Services {
		if s != nil && s.Name == name {
			return s
		}
	}
	return nil
}
