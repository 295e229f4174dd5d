// Package strict decodes configuration into structs and reports everything that does not fit at once: unknown keys with the
// nearest known one, wrong types, keys given twice, each with its path and, where the source has it, line and column.
//
// A source (JSON here, YAML in control/file) is first turned into a tree of [Node], then [Decode] fills a struct from it. Structs
// say their keys with the usual json tags; a key without a field is an error.
package strict

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// Kind is what a node is.
type Kind uint8

// The kinds, as in JSON.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// String returns the kind with its article, as error texts have it.
func (k Kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}[k]
}

// Node is one value of a document.
type Node struct {
	Kind    Kind
	Text    string   // of a String its value, of a Number its literal, of a Bool "true" or "false"
	Items   []*Node  // of an Array
	Members []Member // of an Object, in the order they were written
	Line    int      // from 1; 0 where the source has no lines
	Column  int
}

// Member is one key of an object and its value.
type Member struct {
	Key    string
	Value  *Node
	Line   int // of the key
	Column int
}

// Get returns the value of a key, or nil.
func (n *Node) Get(key string) *Node {
	for i := range n.Members {
		if n.Members[i].Key == key {
			return n.Members[i].Value
		}
	}
	return nil
}

// AppendJSON appends the node as compact JSON.
func (n *Node) AppendJSON(dst []byte) []byte {
	switch n.Kind {
	case Null:
		return append(dst, "null"...)
	case Bool, Number:
		return append(dst, n.Text...)
	case String:
		return appendString(dst, n.Text)
	case Array:
		dst = append(dst, '[')
		for i, item := range n.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = item.AppendJSON(dst)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i, m := range n.Members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, m.Key)
		dst = append(dst, ':')
		dst = m.Value.AppendJSON(dst)
	}
	return append(dst, '}')
}

func appendString(dst []byte, s string) []byte {
	plain := utf8.ValidString(s)
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= 0x20 && s[i] != '"' && s[i] != '\\'
	}
	if plain {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	quoted, err := json.Marshal(s)
	if err != nil { // a string always marshals
		return strconv.AppendQuote(dst, s)
	}
	return append(dst, quoted...)
}
