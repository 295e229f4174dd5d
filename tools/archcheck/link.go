package archcheck

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// page is a name that ends like a page of documentation, with what may make it an address of somewhere else.
var page = regexp.MustCompile(`[A-Za-z0-9_~:./-]*[A-Za-z0-9_]\.md\b`)

// checkLinks finds names of pages, in Go comments and in pages, that nobody can open: moved, deleted, or never part of the tree.
// A name counts as found below the naming file's folder or the root, or, without a folder, anywhere.
func checkLinks(t *tree) []Problem {
	exists, bases := map[string]bool{}, map[string]bool{}
	for _, x := range t.texts {
		exists[x.name], bases[path.Base(x.name)] = true, true
	}
	var problems []Problem
	for _, x := range t.texts {
		if ext := path.Ext(x.name); inTestdata(x.name) || ext != ".md" && ext != ".go" {
			continue
		}
		line := 0
		for data := range bytes.Lines(x.data) {
			line++
			for _, m := range page.FindAll(data, -1) {
				name := string(m)
				if strings.Contains(name, "://") || strings.HasPrefix(name, "//") {
					continue
				}
				if exists[path.Join(path.Dir(x.name), name)] || exists[path.Clean(name)] || !strings.Contains(name, "/") && bases[name] {
					continue
				}
				problems = append(problems, Problem{x.name, line, fmt.Sprintf("names the page %s, which is not in the tree", name)})
			}
		}
	}
	return problems
}
