package control

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"sluice/internal/problem"
	"sluice/internal/strict"
	"sluice/plugin"
	"sluice/plugin/builtin"
)

// Plugins is the plugins of a route: an object from names to configurations, or ws-cloud-gateway's list of names, whose
// configurations are in the route's props.
type Plugins struct {
	List   []PluginConfig // in the order they were written
	ByName bool           // written as a list of names
}

// PluginConfig is one plugin of a route.
type PluginConfig struct {
	Name   string
	Config json.RawMessage // a JSON object; nil where the plugin is listed by name
}

// idle are names that ws-cloud-gateway routes list for what the gateway does anyway: finding the nodes of a service, and answering 404.
var idle = []string{"discovery", "default"}

// IsZero reports whether there are no plugins; it leaves the key out of written JSON.
func (p Plugins) IsZero() bool { return len(p.List) == 0 }

// MarshalJSON writes the plugins in the form they were read in.
func (p Plugins) MarshalJSON() ([]byte, error) {
	if p.ByName {
		names := make([]string, len(p.List))
		for i, one := range p.List {
			names[i] = one.Name
		}
		return json.Marshal(names)
	}
	dst := []byte{'{'}
	for i, one := range p.List {
		if i > 0 {
			dst = append(dst, ',')
		}
		name, err := json.Marshal(one.Name)
		if err != nil {
			return nil, fmt.Errorf("control: plugin name: %w", err)
		}
		dst = append(append(append(dst, name...), ':'), one.Config...)
	}
	return append(dst, '}'), nil
}

// path returns where in its route one of the plugins is written.
func (p *Plugins) path(i int) string {
	if p.ByName {
		return problem.Index("plugins", i)
	}
	return problem.Key("plugins", p.List[i].Name)
}

// DecodeNode reads either form.
func (p *Plugins) DecodeNode(n *strict.Node) (problems problem.Problems) {
	add := func(at *strict.Node, path, text string) {
		problems = append(problems, problem.Problem{Path: path, Text: text, Line: at.Line, Column: at.Column})
	}
	switch n.Kind {
	case strict.Array:
		p.ByName = true
		for i, item := range n.Items {
			if item.Kind != strict.String {
				add(item, problem.Index("", i), "wants the name of a plugin, not "+item.Kind.String())
				continue
			}
			p.List = append(p.List, PluginConfig{Name: item.Text})
		}
	case strict.Object:
		for _, m := range n.Members {
			if m.Value.Kind != strict.Object {
				add(m.Value, problem.Key("", m.Key), "wants an object, not "+m.Value.Kind.String())
				continue
			}
			p.List = append(p.List, PluginConfig{Name: m.Key, Config: m.Value.AppendJSON(nil)})
		}
	default:
		add(n, "", "wants an object from plugin names to configurations, not "+n.Kind.String())
	}
	return problems
}

// kindLookup finds a plugin by a name or an alias; nil where there is none. known are the names for error texts.
type kindLookup struct {
	find  func(name string) *plugin.Kind
	known func() []string
}

var standard = kindLookup{find: builtin.Find, known: builtin.Names}

// instances builds the plugins of a route. Where the problems are not empty, what could be built has been closed again.
func (r *Route) instances(kinds kindLookup) (made []plugin.Instance, problems problem.Problems) {
	owner := make(map[*plugin.Kind]string)
	defer func() { // also when Build panics: what was built before it must not leak
		if e := recover(); e != nil {
			closeAll(made)
			panic(e)
		}
	}()
	for i, one := range r.Plugins.List {
		if slices.Contains(idle, one.Name) {
			continue
		}
		at := r.Plugins.path(i)
		kind := kinds.find(one.Name)
		if kind == nil {
			problems.Add(at, "%q is not a plugin%s", one.Name, problem.DidYouMean(one.Name, kinds.known()))
			continue
		}
		if first, ok := owner[kind]; ok {
			problems.Add(at, "%q is the same plugin as %q", one.Name, first)
			continue
		}
		owner[kind] = one.Name
		config, below := one.Config, at
		if config == nil {
			config, below = r.props(kind), "props"
		}
		filter, err := kind.Build(one.Name, config)
		if err != nil {
			problems.Under(below, err)
			continue
		}
		made = append(made, plugin.Instance{Name: kind.Name, Priority: kind.Priority, Filter: filter})
	}
	if len(problems) > 0 {
		closeAll(made)
		return nil, problems
	}
	return made, nil
}

// props returns the configuration of a plugin that is listed by name: those of the route's props that it reads.
func (r *Route) props(kind *plugin.Kind) json.RawMessage {
	picked := &strict.Node{Kind: strict.Object}
	if all, err := strict.ParseJSON(r.Props); err == nil {
		for _, key := range kind.Props {
			if v := all.Get(key); v != nil && v.Kind != strict.Null {
				picked.Members = append(picked.Members, strict.Member{Key: key, Value: v})
			}
		}
	}
	return picked.AppendJSON(nil)
}

func closeAll(made []plugin.Instance) {
	for _, in := range made {
		if c, ok := in.Filter.(io.Closer); ok {
			_ = c.Close() // the configuration is refused anyway; a second complaint helps nobody
		}
	}
}
