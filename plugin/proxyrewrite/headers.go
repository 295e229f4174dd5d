package proxyrewrite

import (
	"slices"
	"strings"

	"sluice/codec"
	"sluice/internal/problem"
	"sluice/internal/strict"
	"sluice/plugin"
)

// headers is what happens to the fields of the request, in the order in which it is done.
type headers struct {
	add    []field
	remove []string
	set    []field

	old bool // the older form: one object of names and values
}

type field struct {
	name  string
	value []byte
}

func (h *headers) empty() bool {
	return h == nil || len(h.add) == 0 && len(h.remove) == 0 && len(h.set) == 0
}

// DecodeNode reads either form. An object with nothing but add, set and remove, of the kinds these have, is the newer one.
func (h *headers) DecodeNode(n *strict.Node) (p problem.Problems) {
	if n.Kind != strict.Object {
		p.Add("", "wants an object, not %s", n.Kind)
		return p
	}
	h.old = len(n.Members) > 0
	for _, m := range n.Members {
		structured := m.Value.Kind == strict.Object || m.Value.Kind == strict.Array
		h.old = h.old && !structured
	}
	if h.old {
		h.readOld(&p, n)
		return p
	}
	for _, m := range n.Members {
		switch m.Key {
		case "add":
			h.add = readFields(&p, "add", m.Value)
		case "set":
			h.set = readFields(&p, "set", m.Value)
		case "remove":
			p.Under("remove", strict.Decode(m.Value, &h.remove).Err())
		default:
			p.Add(m.Key, "unknown key; wants add, set and remove, or names and values alone")
		}
	}
	return p
}

// readOld reads the older form: all is set, and an empty value removes.
func (h *headers) readOld(p *problem.Problems, n *strict.Node) {
	for _, f := range readFields(p, "", n) {
		if len(f.value) == 0 {
			h.remove = append(h.remove, f.name)
		} else {
			h.set = append(h.set, f)
		}
	}
}

func readFields(p *problem.Problems, path string, n *strict.Node) (fields []field) {
	if n.Kind != strict.Object {
		p.Add(path, "wants an object from names to values, not %s", n.Kind)
		return nil
	}
	for _, m := range n.Members {
		if m.Value.Kind != strict.String && m.Value.Kind != strict.Number {
			p.Add(problem.Key(path, m.Key), "wants a string, not %s", m.Value.Kind)
			continue
		}
		fields = append(fields, field{m.Key, []byte(m.Value.Text)})
	}
	return fields
}

// check notes names and values that may not be written.
func (h *headers) check(p *plugin.Problems) {
	below := func(word string) string {
		if h.old {
			return "headers"
		}
		return "headers." + word
	}
	for i, name := range h.remove {
		at := problem.Index(below("remove"), i)
		if h.old {
			at = problem.Key("headers", name)
		}
		checkName(p, at, name)
	}
	for _, f := range slices.Concat(h.add, h.set) {
		word := "set"
		if slices.ContainsFunc(h.add, func(a field) bool { return a.name == f.name }) {
			word = "add"
		}
		at := problem.Key(below(word), f.name)
		checkName(p, at, f.name)
		value := string(f.value)
		switch {
		case !plugin.ValidFieldValue(value):
			p.Add(at, "%q has a control character in it, or white space at an end", value)
		case variable(value):
			p.Add(at, "%q has a variable in it, which is not supported", value)
		}
	}
}

func checkName(p *plugin.Problems, at, name string) {
	switch {
	case !plugin.ValidFieldName(name):
		p.Add(at, "%q is not a header name", name)
	case strings.EqualFold(name, "host"):
		p.Add(at, "use \"host\" beside \"headers\"")
	case plugin.ReservedField(name):
		p.Add(at, "%q is a field that the gateway writes itself", name)
	}
}

// apply does it all.
func (h *headers) apply(to *codec.Header) {
	for _, f := range h.add {
		to.Add(f.name, f.value)
	}
	for _, name := range h.remove {
		to.RemoveName(name)
	}
	for _, f := range h.set {
		to.Set(f.name, f.value)
	}
}
