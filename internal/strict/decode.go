package strict

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"sluice/internal/problem"
)

// Decoder is a type that reads itself from a node, such as one that is written in two forms. Paths in the returned problems begin
// at the node.
type Decoder interface {
	DecodeNode(n *Node) problem.Problems
}

// DecodeJSON reads a JSON object into the struct that v points to. The error is a [problem.Problems]. Where it is not nil, v
// holds what did fit.
func DecodeJSON(data []byte, v any) error {
	n, err := ParseJSON(data)
	if err != nil {
		return err
	}
	return DecodeObject(n, v)
}

// DecodeObject is DecodeJSON for what has been parsed.
func DecodeObject(n *Node, v any) error {
	if n.Kind == Null { // Decode would take it for "not given"
		return problem.Problems{{Text: "wants an object, not null"}}
	}
	return Decode(n, v).Err()
}

// Decode fills what v points to from a node and returns everything that does not fit. Values that are not given, and those given
// as null, leave their fields as they are. Fields may be strings, booleans, numbers, slices, maps with string keys,
// structs, pointers to those, json.RawMessage, and types that are a [Decoder] or an encoding.TextUnmarshaler. An integer field
// tagged `strict:"text"` may be written as a string of digits too.
func Decode(n *Node, v any) problem.Problems {
	var d decode
	d.value(n, reflect.ValueOf(v).Elem(), "", false)
	return d.problems
}

// Zeros returns a problem for each zero in a node that is read into what v points to, a value with nothing in it yet, where a field is tagged `strict:"from=1"`: it has a default in the
// place of zero, so that whoever writes zero gets something else than what stands there. The problem names the least that may be written. What else is wrong is not told.
func Zeros(n *Node, v any) problem.Problems {
	d := decode{zeros: new(problem.Problems)}
	d.value(n, reflect.ValueOf(v).Elem(), "", false)
	return *d.zeros
}

// maxProblems is where reporting ends: a document with more wrong than a person reads in one go is not the one that was meant, and a
// megabyte of unknown keys must not become ten of messages.
const maxProblems = 100

type decode struct {
	problems problem.Problems
	zeros    *problem.Problems // nil: nobody asks for them
}

func (d *decode) add(n *Node, path, text string) {
	if len(d.problems) >= maxProblems {
		return
	}
	d.problems = append(d.problems, problem.Problem{Path: path, Text: text, Line: n.Line, Column: n.Column})
}

func (d *decode) wants(n *Node, path, what string) {
	d.add(n, path, "wants "+what+", not "+n.Kind.String())
}

var rawMessage = reflect.TypeFor[json.RawMessage]()

func (d *decode) value(n *Node, v reflect.Value, path string, digits bool) {
	if n.Kind == Null {
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, v.Elem(), path, digits)
		return
	}
	if v.Type() == rawMessage {
		v.SetBytes(n.AppendJSON(nil))
		return
	}
	if d.custom(n, v, path) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.object(n, v, path)
	case reflect.Map:
		d.table(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	default:
		d.scalar(n, v, path, digits)
	}
}

// custom lets a type that knows how read itself.
func (d *decode) custom(n *Node, v reflect.Value, path string) bool {
	switch own := v.Addr().Interface().(type) {
	case Decoder:
		for _, p := range own.DecodeNode(n) {
			if p.Line == 0 {
				p.Line, p.Column = n.Line, n.Column
			}
			p.Path = problem.Join(path, p.Path)
			d.problems = append(d.problems, p)
		}
		return true
	case encoding.TextUnmarshaler:
		if n.Kind != String && n.Kind != Number {
			d.wants(n, path, "a string")
		} else if err := own.UnmarshalText([]byte(n.Text)); err != nil {
			d.add(n, path, err.Error())
		}
		return true
	}
	return false
}

func (d *decode) object(n *Node, v reflect.Value, path string) {
	if n.Kind != Object {
		d.wants(n, path, "an object")
		return
	}
	known := keysOf(v.Type())
	seen := make([]bool, v.NumField())
	for _, m := range n.Members {
		if len(d.problems) >= maxProblems {
			return
		}
		at := problem.Key(path, m.Key)
		f, ok := known.index[m.Key]
		switch {
		case !ok:
			key := &Node{Line: m.Line, Column: m.Column}
			d.add(key, at, "unknown key"+problem.DidYouMean(m.Key, known.names))
		case seen[f.index]:
			d.add(&Node{Line: m.Line, Column: m.Column}, at, "given twice")
		default:
			seen[f.index] = true
			before := len(d.problems)
			d.value(m.Value, v.Field(f.index), at, f.digits)
			if d.zeros != nil && f.from != "" && m.Value.Kind != Null && v.Field(f.index).IsZero() && len(d.problems) == before {
				d.zeros.Add(at, "%s is out of range: from %s; leave it out for the default", m.Value.Text, f.from)
			}
		}
	}
}

func (d *decode) table(n *Node, v reflect.Value, path string) {
	if n.Kind != Object {
		d.wants(n, path, "an object")
		return
	}
	made := reflect.MakeMapWithSize(v.Type(), len(n.Members))
	for _, m := range n.Members {
		at := problem.Key(path, m.Key)
		key := reflect.ValueOf(m.Key).Convert(v.Type().Key())
		if made.MapIndex(key).IsValid() {
			d.add(&Node{Line: m.Line, Column: m.Column}, at, "given twice")
			continue
		}
		one := reflect.New(v.Type().Elem()).Elem()
		d.value(m.Value, one, at, false)
		made.SetMapIndex(key, one)
	}
	v.Set(made)
}

func (d *decode) list(n *Node, v reflect.Value, path string) {
	// Lua's JSON libraries write an empty table as {} whatever it was meant to be; a ws-cloud-gateway store has such lists.
	if n.Kind == Object && len(n.Members) == 0 {
		return
	}
	if n.Kind != Array {
		d.wants(n, path, "a list")
		return
	}
	made := reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items))
	for i, item := range n.Items {
		at := problem.Index(path, i)
		if item.Kind == Null {
			d.add(item, at, "is null")
			continue
		}
		d.value(item, made.Index(i), at, false)
	}
	v.Set(made)
}

func (d *decode) scalar(n *Node, v reflect.Value, path string, digits bool) {
	switch v.Kind() {
	case reflect.String:
		if n.Kind != String {
			d.wants(n, path, "a string")
			return
		}
		v.SetString(n.Text)
	case reflect.Bool:
		if n.Kind != Bool {
			d.wants(n, path, "true or false")
			return
		}
		v.SetBool(n.Text == "true")
	case reflect.Int, reflect.Int64:
		if n.Kind != Number && (n.Kind != String || !digits) {
			d.wants(n, path, "a whole number")
			return
		}
		i, ok := wholeNumber(n.Text)
		if !ok {
			d.add(n, path, strconv.Quote(n.Text)+" is not a whole number")
			return
		}
		v.SetInt(i)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Text, 64)
		if n.Kind != Number || err != nil {
			d.wants(n, path, "a number")
			return
		}
		v.SetFloat(f)
	default:
		panic("BUG: strict: no rule for a field of type " + v.Type().String())
	}
}

// wholeNumber reads 3, and 3.0 and 3e0, which are the same number in JSON and which Lua and JavaScript may write.
func wholeNumber(text string) (int64, bool) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i, true
	}
	f, err := strconv.ParseFloat(text, 64)
	const exact = 1 << 53 // beyond, a float64 does not hold every whole number
	if err != nil || f != float64(int64(f)) || f < -exact || f > exact {
		return 0, false
	}
	return int64(f), true
}

// keys are the members that a struct can be given.
type keys struct {
	names []string
	index map[string]field
}

type field struct {
	index  int
	digits bool   // may be written as a string of digits
	from   string // the least that may be written; "" = also zero
}

var keysCache sync.Map // reflect.Type to *keys

func keysOf(t reflect.Type) *keys {
	if k, ok := keysCache.Load(t); ok {
		return k.(*keys)
	}
	k := &keys{index: make(map[string]field, t.NumField())}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		k.names = append(k.names, name)
		rule := t.Field(i).Tag.Get("strict")
		f := field{index: i, digits: rule == "text"}
		if from, ok := strings.CutPrefix(rule, "from="); ok {
			f.from = from
		}
		k.index[name] = f
	}
	keysCache.Store(t, k)
	return k
}
