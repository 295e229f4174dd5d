package archcheck

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The rules hold for the tree itself.
func TestTheTreeKeepsItsRules(t *testing.T) {
	root := moduleRoot(t)
	problems, err := Check(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

// moduleRoot climbs to the go.mod of this module, wherever it is checked out.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(data), "module "+Module+"\n") {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatalf("no go.mod of module %s above the test", Module)
		}
		dir = parent
	}
}

// testdata/reject has one broken tree for each rule, with the complaints that must come and no others, so that a rule that
// has stopped working is noticed.
func TestBrokenTreesAreRejected(t *testing.T) {
	for _, name := range caseFiles(t, "testdata/reject") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			want, root := unpack(t, name)
			if len(want) == 0 {
				t.Fatal("no line begins with \"want: \"")
			}
			compare(t, root, want)
		})
	}
}

// testdata/accept has trees that look suspicious and are right.
func TestSoundTreesAreAccepted(t *testing.T) {
	for _, name := range caseFiles(t, "testdata/accept") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			_, root := unpack(t, name)
			compare(t, root, nil)
		})
	}
}

func caseFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d cases, %v", dir, len(names), err)
	}
	return names
}

// compare wants one problem for each line, and each line to be part of its problem.
func compare(t *testing.T, root string, want []string) {
	t.Helper()
	problems, err := Check(root)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range problems {
		if i >= len(want) || !contains(p, want[i]) {
			t.Errorf("problem %d is not wanted: %s", i+1, p)
		}
	}
	if len(problems) < len(want) {
		t.Errorf("%d problems, want %d:\n%s", len(problems), len(want), strings.Join(want, "\n"))
	}
}

// contains reports whether p has the place and some words of a line "file:line: words".
func contains(p Problem, want string) bool {
	place, words, ok := strings.Cut(want, ": ")
	got, reason, _ := strings.Cut(p.String(), ": ")
	return ok && place == got && strings.Contains(reason, words)
}

// unpack writes a case into a folder of its own. Its format is that of Go's txtar: lines of comment, among them the wanted
// problems in their order, then files, each below a line "-- name --". "{work}" stands for a folder of a machine, "{host}"
// for a package registry and "{long}" for more lines than a file may have, none of which can be in the case as they are.
func unpack(t *testing.T, name string) (want []string, root string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	stands := strings.NewReplacer("{work}", "/"+"work", "{host}", "proxy."+"golang.org", "{long}", strings.Repeat("//\n", maxLines))
	root = t.TempDir()
	file := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if inner, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(inner, " --") {
			file = filepath.Join(root, filepath.FromSlash(strings.TrimSuffix(inner, " --")))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			line = ""
		} else if file == "" {
			if w, ok := strings.CutPrefix(line, "want: "); ok {
				want = append(want, w)
			}
			continue
		} else {
			line = stands.Replace(line) + "\n"
		}
		appendTo(t, file, line)
	}
	return want, root
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		t.Fatal(err)
	}
}
