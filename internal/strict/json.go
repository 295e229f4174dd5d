package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/bytedance/sonic/ast"

	"sluice/internal/problem"
)

// maxDepth bounds how deep objects and lists may nest: a route's deepest value, a plugin's configuration, is below ten, and "[[[[…" must
// not cost a stack.
const maxDepth = 64

var errTooDeep = errors.New("nested deeper than 64 levels")

// ParseJSON reads one JSON document. Numbers stay as they are written.
func ParseJSON(data []byte) (*Node, error) {
	if !utf8.Valid(data) {
		return nil, problem.Problems{{Text: "not valid UTF-8"}}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, problem.Problems{{Text: "empty: a JSON object is wanted"}}
	}
	// sonic reads fast, but lets control characters in strings pass; the grammar is the standard library's to check.
	if !json.Valid(data) {
		return nil, syntaxProblem(data)
	}
	var b builder
	if err := ast.Preorder(string(data), &b, &ast.VisitorOptions{OnlyNumber: true}); err != nil {
		return nil, problem.Problems{{Text: "not valid JSON: " + err.Error()}}
	}
	return b.root, nil
}

// syntaxProblem finds out where a document that is not JSON goes wrong.
func syntaxProblem(data []byte) error {
	var v any
	err := json.Unmarshal(data, &v)
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return problem.Problems{{Text: "not valid JSON"}}
	}
	before := data[:max(0, min(int(syntax.Offset)-1, len(data)))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return problem.Problems{{Text: "not valid JSON: " + syntax.Error(), Line: line, Column: column}}
}

// builder makes nodes of what sonic's parser visits.
type builder struct {
	root  *Node
	stack []*Node // the objects and lists that are open
	key   string  // of the member whose value comes next
}

func (b *builder) add(n *Node) error {
	if len(b.stack) == 0 {
		b.root = n
		return nil
	}
	top := b.stack[len(b.stack)-1]
	if top.Kind == Array {
		top.Items = append(top.Items, n)
	} else {
		top.Members = append(top.Members, Member{Key: b.key, Value: n})
	}
	return nil
}

func (b *builder) open(k Kind) error {
	if len(b.stack) == maxDepth {
		return errTooDeep
	}
	n := &Node{Kind: k}
	err := b.add(n)
	b.stack = append(b.stack, n)
	return err
}

func (b *builder) close() error {
	b.stack = b.stack[:len(b.stack)-1]
	return nil
}

func (b *builder) OnNull() error       { return b.add(&Node{Kind: Null}) }
func (b *builder) OnBool(v bool) error { return b.add(&Node{Kind: Bool, Text: fmt.Sprint(v)}) }

func (b *builder) OnString(v string) error { return b.add(&Node{Kind: String, Text: v}) }

func (b *builder) OnInt64(_ int64, n json.Number) error {
	return b.add(&Node{Kind: Number, Text: n.String()})
}

func (b *builder) OnFloat64(_ float64, n json.Number) error {
	return b.add(&Node{Kind: Number, Text: n.String()})
}

func (b *builder) OnObjectBegin(int) error { return b.open(Object) }
func (b *builder) OnObjectEnd() error      { return b.close() }
func (b *builder) OnArrayBegin(int) error  { return b.open(Array) }
func (b *builder) OnArrayEnd() error       { return b.close() }

func (b *builder) OnObjectKey(key string) error {
	b.key = key
	return nil
}

var _ ast.Visitor = (*builder)(nil)
