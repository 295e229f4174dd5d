package when

import (
	"fmt"

	"github.com/expr-lang/expr/ast"
	"github.com/gaissmai/bart"

	"sluice/internal/network"
)

// patcher rewrites the tree before it is compiled: names become calls of Go functions on the request, and a comparison of one with
// a literal becomes a single function that works on bytes.
type patcher struct {
	fields map[ast.Node]*field // the nodes that have been made of names
	err    error
}

// field is a name of the language: how to read it.
type field struct {
	name  string
	bytes func(v View) []byte // nil for ip
}

func newPatcher() *patcher { return &patcher{fields: make(map[ast.Node]*field)} }

// Visit is called for every node, children first.
func (p *patcher) Visit(at *ast.Node) {
	switch n := (*at).(type) {
	case *ast.IdentifierNode:
		p.variable(at, n)
	case *ast.CallNode:
		p.lookup(at, n)
	case *ast.BinaryNode:
		p.comparison(at, n)
	}
}

// variable replaces method, host, path and ip.
func (p *patcher) variable(at *ast.Node, n *ast.IdentifierNode) {
	f := &field{name: n.Value}
	switch n.Value {
	case "method":
		f.bytes = View.Method
	case "path":
		f.bytes = View.Path
	case "host":
		f.bytes = bareHost
	case "ip":
		p.replace(at, f, func(v any) string { return v.(View).IP().Unmap().String() })
		return
	default:
		return
	}
	p.replace(at, f, func(v any) string { return string(f.bytes(v.(View))) })
}

// lookup replaces header('n'), query('n') and cookie('n'); a name that is not a literal is looked up as the request comes.
func (p *patcher) lookup(at *ast.Node, n *ast.CallNode) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || len(n.Arguments) != 1 {
		return
	}
	var get func(v View, name string) []byte
	switch callee.Value {
	case "header":
		get = View.Header
	case "query":
		get = View.Query
	case "cookie":
		get = View.Cookie
	default:
		return
	}
	if name, ok := n.Arguments[0].(*ast.StringNode); ok {
		f := &field{name: callee.Value, bytes: func(v View) []byte { return get(v, name.Value) }}
		p.replace(at, f, func(v any) string { return string(f.bytes(v.(View))) })
		return
	}
	ast.Patch(at, &ast.CallNode{
		Callee:    &ast.ConstantNode{Value: func(v any, name string) string { return string(get(v.(View), name)) }},
		Arguments: []ast.Node{&ast.IdentifierNode{Value: "$env"}, n.Arguments[0]},
	})
}

// replace puts a call of read on the request in place of a name, and remembers what it stands for.
func (p *patcher) replace(at *ast.Node, f *field, read func(v any) string) {
	call := callOn(read)
	p.fields[call] = f
	ast.Patch(at, call)
}

// callOn is the call of a Go function on the request. $env is the request: see Program.Match.
func callOn(f any) *ast.CallNode {
	return &ast.CallNode{Callee: &ast.ConstantNode{Value: f}, Arguments: []ast.Node{&ast.IdentifierNode{Value: "$env"}}}
}

// comparison replaces a comparison of a name with a literal.
func (p *patcher) comparison(at *ast.Node, n *ast.BinaryNode) {
	f := p.fields[n.Left]
	if f == nil {
		return
	}
	var test func(v View) bool
	if f.bytes == nil {
		test = p.compareIP(n)
	} else {
		test = p.compareBytes(f, n)
	}
	if test != nil {
		ast.Patch(at, callOn(func(v any) bool { return test(v.(View)) }))
	}
}

// compareIP returns the test for a comparison of ip with literals, nil where it is none.
func (p *patcher) compareIP(n *ast.BinaryNode) func(View) bool {
	var literals []ast.Node
	negate := false
	switch right := n.Right.(type) {
	case *ast.StringNode:
		if n.Operator != "==" && n.Operator != "!=" {
			return nil
		}
		literals, negate = []ast.Node{right}, n.Operator == "!="
	case *ast.ArrayNode:
		if n.Operator != "in" {
			return nil
		}
		literals = right.Nodes
	default:
		if n.Operator == "in" {
			p.fail(n.Right, "ip in wants a list of literal addresses and CIDRs, such as ['10.0.0.0/8', '::1']")
		}
		return nil
	}
	table := new(bart.Lite)
	for _, one := range literals {
		text, ok := one.(*ast.StringNode)
		if !ok {
			p.fail(one, "ip is compared with literal addresses and CIDRs only")
			return nil
		}
		prefix, ok := network.Parse(text.Value)
		if !ok || n.Operator != "in" && !prefix.IsSingleIP() {
			p.fail(one, fmt.Sprintf("%q is not an address, such as '10.0.0.7', nor, behind \"in\", a CIDR, such as '10.0.0.0/8'", text.Value))
			return nil
		}
		table.Insert(prefix)
	}
	return func(v View) bool { return table.Contains(v.IP().Unmap()) != negate }
}

func (p *patcher) fail(at ast.Node, text string) {
	if p.err == nil {
		p.err = fmt.Errorf("column %d: %s", at.Location().From+1, text)
	}
}
