package file

import (
	"bytes"
	"errors"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"sluice/internal/problem"
	"sluice/internal/strict"
)

// parseYAML reads one YAML document into nodes that know their line and column. An empty file is an empty object.
func parseYAML(data []byte) (*strict.Node, problem.Problems) {
	docs, problems := parseDocuments(data)
	switch {
	case len(problems) > 0:
		return nil, problems
	case len(docs) == 0:
		return &strict.Node{Kind: strict.Object}, nil
	case len(docs) > 1:
		return nil, problem.Problems{{Text: "a second document: one file holds one", Line: docs[1].Line, Column: docs[1].Column}}
	case docs[0].Kind != strict.Object:
		problems.Add("", "wants settings such as \"workers: 2\", not %s", docs[0].Kind)
	}
	return docs[0], problems
}

// byteOrderMark is what editors of Windows put before a text in UTF-8; YAML 1.2 §5.2 lets it stand there.
var byteOrderMark = []byte("\ufeff")

// parseDocuments reads the documents of a file, but for empty ones.
func parseDocuments(data []byte) ([]*strict.Node, problem.Problems) {
	file, err := parser.ParseBytes(bytes.TrimPrefix(data, byteOrderMark), 0)
	if err != nil {
		return nil, problem.Problems{syntaxProblem(err)}
	}
	var r reader
	var docs []*strict.Node
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.NullType {
			docs = append(docs, r.node(doc.Body, ""))
		}
	}
	return docs, r.problems
}

// syntaxProblem turns the library's error, which draws the source, into one line.
func syntaxProblem(err error) problem.Problem {
	p := problem.Problem{Text: "not valid YAML: " + firstLine(err.Error())}
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) && syntax.Token != nil {
		at := syntax.Token.Position
		p.Text, p.Line, p.Column = "not valid YAML: "+syntax.Message, at.Line, at.Column
	}
	return p
}

func firstLine(s string) string {
	first, _, _ := strings.Cut(s, "\n")
	return first
}

// reader turns YAML nodes into strict ones. Anchors, aliases, merges and tags are refused: a file of thirty settings needs none, and an
// alias of an alias of an alias grows without bound.
type reader struct{ problems problem.Problems }

// position returns where a node begins. A block mapping's own token is the colon behind its first key.
func position(n ast.Node) *token.Position {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return position(n.Values[0])
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken().Position
	}
	return n.GetToken().Position
}

func (r *reader) refuse(n ast.Node, path, text string) {
	at := position(n)
	r.problems = append(r.problems, problem.Problem{Path: path, Text: text, Line: at.Line, Column: at.Column})
}

func (r *reader) node(n ast.Node, path string) *strict.Node {
	at := position(n)
	made := &strict.Node{Line: at.Line, Column: at.Column}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.BoolNode:
		made.Kind, made.Text = strict.Bool, "false"
		if n.Value {
			made.Text = "true"
		}
	case *ast.IntegerNode, *ast.FloatNode:
		made.Kind, made.Text = strict.Number, n.GetToken().Value
	case *ast.StringNode:
		made.Kind, made.Text = strict.String, n.Value
	case *ast.LiteralNode:
		made.Kind, made.Text = strict.String, n.Value.Value
	case *ast.SequenceNode:
		made.Kind = strict.Array
		for i, item := range n.Values {
			made.Items = append(made.Items, r.node(item, problem.Index(path, i)))
		}
	case *ast.MappingNode:
		made.Kind = strict.Object
		for _, pair := range n.Values {
			r.member(made, pair, path)
		}
	case *ast.MappingValueNode:
		made.Kind = strict.Object
		r.member(made, n, path)
	default:
		r.refuse(n, path, "anchors, aliases, tags and the like are not understood here: write the value out")
	}
	return made
}

func (r *reader) member(to *strict.Node, pair *ast.MappingValueNode, path string) {
	at := pair.Key.GetToken().Position
	key := pair.Key.GetToken().Value
	switch k := pair.Key.(type) {
	case *ast.StringNode:
		key = k.Value
	case *ast.MergeKeyNode, *ast.MappingKeyNode:
		r.refuse(pair.Key, path, "merged and complex keys are not understood here: write them out")
		return
	}
	to.Members = append(to.Members, strict.Member{
		Key:    key,
		Value:  r.node(pair.Value, problem.Key(path, key)),
		Line:   at.Line,
		Column: at.Column,
	})
}
