package archcheck

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
)

// topFolders is every folder that the root may have.
var topFolders = []string{".ci", "bench", "codec", "control", "core", "docs", "internal", "plugin", "proxy", "router", "tools", "upstream"}

// maxLines is where a Go file has more than one thing in it. The aim is below 400; a state machine or a table may need more.
const maxLines = 700

// vagueNames say nothing of what is in a file, so anything ends up in it.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "types", "impl", "misc"}

// checkLayout looks at folders, names, lengths and package docs.
func checkLayout(t *tree) []Problem {
	var problems []Problem
	for _, folder := range t.folders {
		if folder != "." && !strings.Contains(folder, "/") && !slices.Contains(topFolders, folder) {
			problems = append(problems, Problem{folder, 0, "unknown folder at the root: it has few, each with its level; add it to tools/archcheck/layout.go if it is meant to stay"})
		}
	}
	for _, x := range t.texts {
		if path.Ext(x.name) == ".go" {
			problems = append(problems, checkFile(x)...)
		}
	}
	return append(problems, checkDocs(t)...)
}

func checkFile(x text) []Problem {
	var problems []Problem
	if n := bytes.Count(x.data, []byte("\n")); n > maxLines {
		problems = append(problems, Problem{x.name, 0, fmt.Sprintf("%d lines, more than %d: there is more than one thing in it", n, maxLines)})
	}
	base := strings.TrimSuffix(strings.TrimSuffix(path.Base(x.name), ".go"), "_test")
	if slices.Contains(vagueNames, base) {
		problems = append(problems, Problem{x.name, 0, "a file is named after the one thing in it"})
	}
	if path.Dir(x.name) == "." && base != "main" {
		problems = append(problems, Problem{x.name, 0, "the root has main.go alone, which assembles; whatever else there is has a folder"})
	}
	return problems
}

// checkDocs wants one package doc for every package, test-only ones excepted.
func checkDocs(t *tree) []Problem {
	documented := map[string]bool{}
	for _, s := range t.sources {
		if s.test {
			continue
		}
		documented[s.folder] = documented[s.folder] || s.file.Doc != nil && strings.TrimSpace(s.file.Doc.Text()) != ""
	}
	var problems []Problem
	for folder, ok := range documented {
		if !ok {
			problems = append(problems, Problem{folder, 0, "no package doc: a reader should learn from one sentence what the package promises"})
		}
	}
	return problems
}
