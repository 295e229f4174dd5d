package file

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/goccy/go-yaml"

	"sluice/internal/problem"
	"sluice/internal/strict"
)

// ParseDocuments reads the documents of a text that is JSON or YAML, but for empty ones. The error is a [problem.Problems] with lines and columns.
func ParseDocuments(data []byte) ([]*strict.Node, error) {
	if json.Valid(data) { // also YAML, but for how large numbers may be
		n, err := strict.ParseJSON(data)
		if err != nil {
			return nil, err
		}
		return []*strict.Node{n}, nil
	}
	var docs []*strict.Node
	var problems problem.Problems
	for _, text := range split(data) {
		made, wrong := parseDocuments(text)
		docs, problems = append(docs, made...), append(problems, wrong...)
	}
	for _, doc := range docs {
		checkNumbers(&problems, "", doc)
	}
	return docs, problems.Err()
}

// split cuts a stream of YAML at the lines that begin a document (YAML 1.2.2 §9.1.2), each part below as many empty lines as came before it, so that positions
// are those of the stream. The library does it too, but loses what comes after an empty document.
func split(data []byte) (parts [][]byte) {
	part, lines := []byte{}, 0
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte("---")); ok && (len(rest) == 0 || bytes.ContainsAny(rest[:1], " \t\r\n")) {
			parts = append(parts, part)
			part = bytes.Repeat([]byte("\n"), lines)
			line = append([]byte("   "), rest...)
		}
		part = append(part, line...)
		lines++
	}
	return append(parts, part)
}

// checkNumbers notes the numbers that YAML has and JSON has not: 0x10, 1_000, .inf.
func checkNumbers(p *problem.Problems, path string, n *strict.Node) {
	if n.Kind == strict.Number && !json.Valid([]byte(n.Text)) {
		*p = append(*p, problem.Problem{Path: path, Text: fmt.Sprintf("%s is no number in JSON: write it in decimal, or in quotes", n.Text), Line: n.Line, Column: n.Column})
	}
	for i, item := range n.Items {
		checkNumbers(p, problem.Index(path, i), item)
	}
	for _, m := range n.Members {
		checkNumbers(p, problem.Key(path, m.Key), m.Value)
	}
}

// FormatYAML returns a JSON text as YAML, its members in their order.
func FormatYAML(text []byte) ([]byte, error) {
	made, err := yaml.JSONToYAML(bytes.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("file: YAML: %w", err)
	}
	return made, nil
}
