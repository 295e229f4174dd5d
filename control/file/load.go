package file

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"sluice/internal/problem"
	"sluice/internal/strict"
)

// Error is everything that is wrong with a configuration.
type Error struct {
	Path     string // of the file; "" without one
	Problems problem.Problems
}

// Error lists the problems, one on each line, with file, line and column where these are known.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
		if e.Path != "" && p.Line > 0 {
			lines[i] = e.Path + ":" + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems.
func (e *Error) Unwrap() error { return e.Problems }

// Check is a validation beyond this package's: of the etcd block, by etcd.Config. Paths in its error begin at the top of the file.
type Check func(*Config) error

// Load reads the file at path ("" = none), the variables of env, which has the form of os.Environ, and the overrides, such as flags, and
// validates the result with Config.Validate and the checks. Everything that is wrong is reported at once, as an [*Error]; a file that cannot be
// read is an error of os.
func Load(path string, env []string, overrides []Override, checks ...Check) (*Config, error) {
	c := new(Config)
	c.SetDefaults()
	root := &strict.Node{Kind: strict.Object}
	var problems problem.Problems
	if path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("file: %w", err)
		}
		if root, problems = parseYAML(data); len(problems) > 0 {
			return nil, &Error{Path: path, Problems: problems}
		}
		problems = strict.Decode(root, c)
	}
	overrides = slices.Concat(fromEnv(env), overrides)
	for _, o := range overrides {
		problems = append(problems, o.apply(c)...)
	}
	found := c.validateAll(checks)
	for i := range found {
		place(&found[i], root, overrides)
	}
	// A value that could not even be read is not complained about again.
	found = slices.DeleteFunc(found, func(p problem.Problem) bool {
		return slices.ContainsFunc(problems, func(b problem.Problem) bool { return b.Path == p.Path })
	})
	problems = append(problems, found...)
	if len(problems) > 0 {
		sortByPosition(problems)
		return nil, &Error{Path: path, Problems: problems}
	}
	return c, nil
}

func (c *Config) validateAll(checks []Check) (found problem.Problems) {
	found.Under("", c.Validate())
	for _, check := range checks {
		found.Under("", check(c))
	}
	return found
}

// place says where a problem's value came from: the last override of it, else a place in the file.
func place(p *problem.Problem, root *strict.Node, overrides []Override) {
	for _, o := range slices.Backward(overrides) {
		if rest, ok := strings.CutPrefix(p.Path, o.Path); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			p.Path = o.Source + rest
			return
		}
	}
	p.Line, p.Column = locate(root, p.Path)
}

// sortByPosition puts the problems in the order in which they stand in the file, and those that have no place there behind.
func sortByPosition(p problem.Problems) {
	slices.SortStableFunc(p, func(a, b problem.Problem) int {
		switch {
		case (a.Line == 0) != (b.Line == 0):
			return b.Line - a.Line
		case a.Line != b.Line:
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
}

// locate returns where the value at a path stands, or the nearest value around it that is in the file; 0, 0 where not even its first part is.
func locate(n *strict.Node, path string) (line, column int) {
	for path != "" {
		path = strings.TrimPrefix(path, ".")
		var next *strict.Node
		if path[0] == '[' {
			var i int
			end := strings.IndexByte(path, ']')
			if _, err := fmt.Sscanf(path, "[%d]", &i); err == nil && i < len(n.Items) {
				next = n.Items[i]
			}
			path = path[end+1:]
		} else {
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			next = n.Get(path[:end])
			path = path[end:]
		}
		if next == nil {
			break
		}
		n = next
		line, column = n.Line, n.Column
	}
	return line, column
}
