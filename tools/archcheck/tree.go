package archcheck

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// tree is what the checks look at.
type tree struct {
	root    string
	folders []string // all, slash-separated, relative to the root; "." is the root
	texts   []text
	sources []source
	broken  []Problem // Go files that do not parse: nothing more is said of them
}

// text is any file without a NUL byte in its beginning.
type text struct {
	name string // slash-separated, relative to the root
	data []byte
}

// source is a parsed Go file outside testdata.
type source struct {
	name    string
	folder  string
	test    bool
	file    *ast.File
	set     *token.FileSet
	imports []importSpec
}

type importSpec struct {
	path string
	line int
}

// maxText is the size up to which a file is read: nothing a person writes is longer.
const maxText = 1 << 20

func readTree(root string) (*tree, error) {
	t := &tree{root: root}
	ignored, err := ignoredNames(root)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case rel == ".git" || slices.Contains(ignored, rel):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			t.folders = append(t.folders, rel)
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		return t.read(rel)
	})
	return t, err
}

// ignoredNames returns what .gitignore lists by its place, such as "/sluice-data/": it is not part of the tree.
func ignoredNames(root string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "/"); ok {
			names = append(names, strings.TrimSuffix(name, "/"))
		}
	}
	return names, nil
}

func (t *tree) read(name string) error {
	full := filepath.Join(t.root, filepath.FromSlash(name))
	info, err := os.Stat(full)
	if os.IsNotExist(err) || err == nil && info.Size() > maxText {
		return nil // gone since it was listed, as temporary files are; or not written by a person
	}
	if err != nil {
		return err
	}
	data, err := os.ReadFile(full)
	if err != nil {
		return err
	}
	if bytes.IndexByte(data[:min(len(data), 1024)], 0) >= 0 {
		return nil
	}
	t.texts = append(t.texts, text{name, data})
	if path.Ext(name) == ".go" && !inTestdata(name) {
		t.parse(name, data)
	}
	return nil
}

func (t *tree) parse(name string, data []byte) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, data, parser.ParseComments)
	if err != nil {
		t.broken = append(t.broken, Problem{name, 0, "is not Go: " + err.Error()})
		return
	}
	s := source{name: name, folder: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), file: file, set: set}
	for _, spec := range file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has let nothing but string literals through
		}
		s.imports = append(s.imports, importSpec{p, set.Position(spec.Pos()).Line})
	}
	t.sources = append(t.sources, s)
}

func inTestdata(name string) bool {
	return slices.Contains(strings.Split(name, "/"), "testdata")
}

// matches reports whether folder is the pattern, or, for a pattern that ends in "/*", lies below it.
func matches(pattern, folder string) bool {
	if parent, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(folder, parent+"/")
	}
	return pattern == folder
}

func matchesAny(patterns []string, folder string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, folder) })
}
