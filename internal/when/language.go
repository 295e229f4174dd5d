package when

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"

	"sluice/internal/problem"
)

// What the language has; see the package comment.
var (
	variables = []string{"method", "host", "path", "ip"}
	lookups   = []string{"header", "query", "cookie"}
	builtins  = []string{"len", "lower", "upper", "trim", "int", "string"}
	operators = []string{"==", "!=", "<", "<=", ">", ">=", "in", "contains", "startsWith", "endsWith", "matches",
		"and", "&&", "or", "||", "+", "-", "*", "/", "%"}
)

// enableBuiltins leaves out what loops, takes memory or reads the clock.
func enableBuiltins(c *conf.Config) {
	for _, name := range builtins {
		expr.EnableBuiltin(name)(c)
	}
}

// checkLanguage refuses what expr has beyond the language.
func checkLanguage(root ast.Node) error {
	c := new(languageChecker)
	ast.Walk(&root, c)
	return c.err
}

type languageChecker struct {
	nodes int
	err   error
}

// Visit looks at one node; ast.Walk comes here for all of them, children first.
func (c *languageChecker) Visit(at *ast.Node) {
	c.nodes++
	if c.err != nil {
		return
	}
	if c.nodes > maxNodes {
		c.err = fmt.Errorf("more than %d parts", maxNodes)
		return
	}
	if text := unknownPart(*at); text != "" {
		c.err = fmt.Errorf("column %d: %s", (*at).Location().From+1, text)
	}
}

// unknownPart says what is wrong with a node, "" for one that the language has.
func unknownPart(n ast.Node) string {
	switch n := n.(type) {
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.StringNode, *ast.ArrayNode, *ast.ConditionalNode:
		return ""
	case *ast.IdentifierNode:
		if !slices.Contains(variables, n.Value) && !slices.Contains(lookups, n.Value) {
			return fmt.Sprintf("unknown name %q%s", n.Value, problem.DidYouMean(n.Value, slices.Concat(variables, lookups, builtins)))
		}
		return ""
	case *ast.UnaryNode:
		return ""
	case *ast.BinaryNode:
		return unknownOperator(n)
	case *ast.CallNode:
		callee, ok := n.Callee.(*ast.IdentifierNode)
		if !ok || !slices.Contains(lookups, callee.Value) {
			return fmt.Sprintf("%s is not a function", n.Callee)
		}
		if len(n.Arguments) != 1 {
			return callee.Value + " takes one name, such as " + callee.Value + "('a')"
		}
		return ""
	case *ast.BuiltinNode:
		if !slices.Contains(builtins, n.Name) {
			return n.Name + " is not a function of conditions; there are " + strings.Join(slices.Concat(lookups, builtins), ", ")
		}
		return ""
	}
	return fmt.Sprintf("%q is not part of the language of conditions", n)
}

func unknownOperator(n *ast.BinaryNode) string {
	if !slices.Contains(operators, n.Operator) {
		return fmt.Sprintf("the operator %q is not part of the language of conditions", n.Operator)
	}
	if _, literal := n.Right.(*ast.StringNode); n.Operator == "matches" && !literal {
		return "the regular expression must be a literal, so that it is compiled once"
	}
	return ""
}
