// Package archcheck holds the tree to its architecture: which folder may import which, where a library has its place, and a
// few habits that are cheaper to check than to remember. It runs as a test (go test ./tools/archcheck), and every complaint
// says why the rule is there.
//
//	level.go    imports between our own folders only go down
//	library.go  each library of others has its place
//	epoll.go    system calls of the event loop are made by the event loop alone
//	layout.go   folders and files: known names, a package doc, no file too long to read
//	word.go     nothing of the machine on which something was written is left in it
//	link.go     a page that is named exists
package archcheck

import (
	"cmp"
	"fmt"
	"slices"
)

// Module is the path of the module that is checked.
const Module = "sluice"

// Problem is one broken rule.
type Problem struct {
	File   string // slash-separated, relative to the root
	Line   int    // 0 where the whole file or folder is meant
	Reason string // what is wrong, and why that is a rule
}

// String returns the problem as compilers write theirs.
func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Reason)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Reason)
}

// Check returns every broken rule of the tree below root, sorted by file and line. The error is about reading the tree.
func Check(root string) ([]Problem, error) {
	t, err := readTree(root)
	if err != nil {
		return nil, fmt.Errorf("archcheck: %w", err)
	}
	problems := t.broken
	for _, check := range []func(*tree) []Problem{
		checkLevels, checkLibraries, checkEpoll, checkLayout, checkWords, checkLinks,
	} {
		problems = append(problems, check(t)...)
	}
	slices.SortFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Reason, b.Reason))
	})
	return problems, nil
}
