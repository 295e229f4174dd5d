package when

import (
	"bytes"
	"regexp"

	"github.com/expr-lang/expr/ast"

	"sluice/internal/ascii"
)

// compareBytes returns the test for a comparison of a field with a literal, nil where it is none, which is then left to expr. Each test gives what
// expr would on the strings.
func (p *patcher) compareBytes(f *field, n *ast.BinaryNode) func(View) bool {
	get := f.bytes
	if list, ok := n.Right.(*ast.ArrayNode); ok && n.Operator == "in" {
		return compareList(get, list)
	}
	right, ok := n.Right.(*ast.StringNode)
	if !ok {
		return nil
	}
	text := right.Value
	literal := []byte(text)
	switch n.Operator {
	case "==":
		return func(v View) bool { return string(get(v)) == text }
	case "!=":
		return func(v View) bool { return string(get(v)) != text }
	case "contains":
		return func(v View) bool { return bytes.Contains(get(v), literal) }
	case "startsWith":
		return func(v View) bool { return bytes.HasPrefix(get(v), literal) }
	case "endsWith":
		return func(v View) bool { return bytes.HasSuffix(get(v), literal) }
	case "matches":
		re, err := regexp.Compile(text)
		if err != nil {
			p.fail(n.Right, err.Error())
			return nil
		}
		return func(v View) bool { return re.Match(get(v)) }
	}
	return nil
}

// compareList is "in" with a list of strings.
func compareList(get func(View) []byte, list *ast.ArrayNode) func(View) bool {
	set := make(map[string]bool, len(list.Nodes))
	for _, one := range list.Nodes {
		text, ok := one.(*ast.StringNode)
		if !ok {
			return nil
		}
		set[text.Value] = true
	}
	return func(v View) bool { return set[string(get(v))] }
}

// bareHost returns the host in lower case, without its port and a dot at its end. It allocates only for a client that writes capitals.
func bareHost(v View) []byte {
	host := v.Host()
	if end := bytes.LastIndexByte(host, ']'); end >= 0 {
		host = host[:end+1]
	} else if colon := bytes.IndexByte(host, ':'); colon >= 0 {
		host = host[:colon]
	}
	host = bytes.TrimSuffix(host, []byte("."))
	for i, c := range host {
		if c != ascii.Lower(c) {
			lower := bytes.Clone(host)
			for ; i < len(lower); i++ {
				lower[i] = ascii.Lower(lower[i])
			}
			return lower
		}
	}
	return host
}
