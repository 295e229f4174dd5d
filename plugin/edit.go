package plugin

import (
	"slices"
	"strings"

	"sluice/codec"
	"sluice/internal/problem"
	"sluice/internal/strict"
)

// FieldEdits is what a plugin is configured to do to the fields of a head, in the order in which it is done: add, remove, set. It is read from
//
//	{"add": {"X-A": "1"}, "remove": ["X-B"], "set": {"X-C": "2"}}
//
// where add may also be a list of lines, ["X-A: 1"], or from the older form {"X-C": "2", "X-B": ""}, which sets, and where an empty value removes.
type FieldEdits struct {
	add, remove, set []fieldEdit
}

// fieldEdit is one field. It is read without being checked: Check tells what is wrong with it.
type fieldEdit struct {
	name  string
	value []byte
	at    string // path below the edits
}

// Empty reports whether nothing is done. It may be called on nil.
func (e *FieldEdits) Empty() bool {
	return e == nil || len(e.add) == 0 && len(e.remove) == 0 && len(e.set) == 0
}

// Apply does it all.
func (e *FieldEdits) Apply(to *codec.Header) {
	for i := range e.add {
		to.Add(e.add[i].name, e.add[i].value)
	}
	for i := range e.remove {
		to.RemoveName(e.remove[i].name)
	}
	for i := range e.set {
		to.Set(e.set[i].name, e.set[i].value)
	}
}

// DecodeNode reads either form. An object with nothing but add, set and remove, of the kinds these have, is the newer one.
func (e *FieldEdits) DecodeNode(n *strict.Node) (p problem.Problems) {
	if n.Kind != strict.Object {
		p.Add("", "wants an object, not %s", n.Kind)
		return p
	}
	old := len(n.Members) > 0
	for _, m := range n.Members {
		structured := m.Value.Kind == strict.Object || m.Value.Kind == strict.Array
		old = old && !structured
	}
	if old {
		e.readOld(&p, n)
		return p
	}
	for _, m := range n.Members {
		switch m.Key {
		case "add":
			e.add = readAdded(&p, m.Value)
		case "set":
			e.set = readFields(&p, "set", m.Value)
		case "remove":
			var names []string
			p.Under("remove", strict.Decode(m.Value, &names).Err())
			for i, name := range names {
				e.remove = append(e.remove, fieldEdit{name: name, at: problem.Index("remove", i)})
			}
		default:
			p.Add(m.Key, "unknown key; wants add, set and remove, or names and values alone")
		}
	}
	return p
}

func (e *FieldEdits) readOld(p *problem.Problems, n *strict.Node) {
	for _, f := range readFields(p, "", n) {
		if len(f.value) == 0 {
			e.remove = append(e.remove, f)
		} else {
			e.set = append(e.set, f)
		}
	}
}

// readAdded reads an object, or a list of lines. A name may be there more than once in a list.
func readAdded(p *problem.Problems, n *strict.Node) (fields []fieldEdit) {
	if n.Kind != strict.Array {
		return readFields(p, "add", n)
	}
	var lines []string
	if err := strict.Decode(n, &lines).Err(); err != nil {
		p.Under("add", err)
		return nil
	}
	for i, line := range lines {
		at := problem.Index("add", i)
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			p.Add(at, "wants \"name: value\", not %q", line)
			continue
		}
		fields = append(fields, fieldEdit{name, []byte(strings.Trim(value, " \t")), at})
	}
	return fields
}

func readFields(p *problem.Problems, path string, n *strict.Node) (fields []fieldEdit) {
	if n.Kind != strict.Object {
		p.Add(path, "wants an object from names to values, not %s", n.Kind)
		return nil
	}
	for _, m := range n.Members {
		at := problem.Key(path, m.Key)
		if m.Value.Kind != strict.String && m.Value.Kind != strict.Number {
			p.Add(at, "wants a string, not %s", m.Value.Kind)
			continue
		}
		fields = append(fields, fieldEdit{m.Key, []byte(m.Value.Text), at})
	}
	return fields
}

// Check notes names and values that may not be written, with their paths below the one at which the edits are. It may be called on nil.
func (e *FieldEdits) Check(p *Problems, path string) {
	if e == nil {
		return
	}
	for _, f := range e.remove {
		checkName(p, problem.Join(path, f.at), f.name)
	}
	for _, f := range slices.Concat(e.add, e.set) {
		at := problem.Join(path, f.at)
		checkName(p, at, f.name)
		value := string(f.value)
		switch {
		case !ValidFieldValue(value):
			p.Add(at, "%q has a control character in it, or white space at an end", value)
		case HasVariable(value):
			p.Add(at, "%q has a variable in it, which is not supported", value)
		}
	}
}

func checkName(p *Problems, at, name string) {
	switch {
	case !ValidFieldName(name):
		p.Add(at, "%q is not a header name", name)
	case strings.EqualFold(name, "host"):
		p.Add(at, "\"Host\" is not changed as a field: proxy-rewrite has \"host\" for it")
	case ReservedField(name):
		p.Add(at, "%q is a field that the gateway writes itself", name)
	}
}

// HasVariable reports whether a text has something like $remote_addr or ${host}, which APISIX would fill in. Sending it as it is would look
// like it worked.
func HasVariable(s string) bool {
	for i := 0; i+1 < len(s); i++ {
		if c := s[i+1]; s[i] == '$' && (c == '{' || c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9') {
			return true
		}
	}
	return false
}

var _ strict.Decoder = (*FieldEdits)(nil)
