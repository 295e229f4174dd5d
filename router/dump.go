package router

import (
	"fmt"
	"strings"
)

// Dump draws the trees as text, for people and golden files. A line is a node: its literal bytes, ":" for a parameter or "*"
// for the rest, and after the arrow the rules that end there, best first. Nodes with more than one branch say how many.
//
//	*.example.com
//	  "/users/"  branches 2
//	    "me" → me [GET] priority 5
//	    : → user
//	    * → users when
func (t *Table[T]) Dump() string {
	var b strings.Builder
	t.hosts.each(nil, func(host []byte, tree *paths[T]) bool {
		b.WriteString(hostName(string(host)) + "\n")
		dumpPaths(&b, tree, "  ", "")
		return true
	})
	return b.String()
}

// dumpPaths draws a tree; the label of its root has lead in front.
func dumpPaths[T any](b *strings.Builder, n *paths[T], indent, lead string) {
	b.WriteString(indent + lead)
	if n.prefix != "" || lead == "" {
		fmt.Fprintf(b, "%q", n.prefix)
	}
	if n.value != nil {
		dumpLeaf(b, n.value.here)
	}
	if n.bounds.branches > 1 {
		fmt.Fprintf(b, "  branches %d", n.bounds.branches)
	}
	b.WriteByte('\n')
	indent += "  "
	for _, kid := range n.kids {
		dumpPaths(b, kid, indent, "")
	}
	if n.value == nil {
		return
	}
	if n.value.param != nil {
		dumpPaths(b, n.value.param, indent, ":")
	}
	if len(n.value.rest) > 0 {
		b.WriteString(indent + "*")
		dumpLeaf(b, n.value.rest)
		b.WriteByte('\n')
	}
}

func dumpLeaf[T any](b *strings.Builder, l leaf[T]) {
	for i, e := range l {
		sep := ", "
		if i == 0 {
			sep = " → "
		}
		b.WriteString(sep + e.rule.ID)
		if len(e.rule.Methods) > 0 {
			fmt.Fprintf(b, " %v", e.rule.Methods)
		}
		if e.rule.Priority != 0 {
			fmt.Fprintf(b, " priority %d", e.rule.Priority)
		}
		if e.rule.When != nil {
			b.WriteString(" when")
		}
	}
}
