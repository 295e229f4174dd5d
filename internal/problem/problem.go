// Package problem holds what is wrong with a configuration: all of it at once, each with the path to the value that is meant.
package problem

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Path   string // JSON path below the object that was checked, such as "regex_uri[0]"; empty for the object itself
	Text   string // what is wrong and what would be right
	Line   int    // in the file it was read from, from 1; 0 where that is not known
	Column int    // in characters, from 1; 0 where that is not known
}

// String returns the position, where it is known, the path and the text: `3:5: limits.body: …`.
func (p Problem) String() string {
	text := p.Text
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	if p.Line > 0 {
		text = strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column) + ": " + text
	}
	return text
}

// Problems is an error that holds all that is wrong at once. It is never returned empty: see Err.
type Problems []Problem

// Error lists the problems, separated by "; ".
func (p Problems) Error() string {
	var b strings.Builder
	for i, one := range p {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(one.String())
	}
	return b.String()
}

// Err returns p as an error, nil when nothing is wrong.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Add notes one problem; the text is made as by fmt.Sprintf.
func (p *Problems) Add(path, format string, args ...any) {
	*p = append(*p, Problem{Path: path, Text: fmt.Sprintf(format, args...)})
}

// Under notes everything that err holds, with path before each path of it. An error that is not Problems becomes one problem at
// path. A nil err adds nothing.
func (p *Problems) Under(path string, err error) {
	if err == nil {
		return
	}
	var list Problems
	if !errors.As(err, &list) {
		*p = append(*p, Problem{Path: path, Text: err.Error()})
		return
	}
	for _, one := range list {
		one.Path = Join(path, one.Path)
		*p = append(*p, one)
	}
}

// Complete adds what the validation of a value has found to p, which is what was wrong when it was read. What could not be read is missing or zero
// then: problems at, around and below such a place are of that, and are left out, as are those at the places that also names.
func (p *Problems) Complete(found error, also ...string) {
	var all Problems
	all.Under("", found)
	unread := slices.Clone(*p)
	for _, place := range also {
		unread.Add(place, "")
	}
	for _, one := range all {
		if !slices.ContainsFunc(unread, func(u Problem) bool { return within(one.Path, u.Path) || within(u.Path, one.Path) }) {
			*p = append(*p, one)
		}
	}
}

// Touches reports whether something is wrong at or below a path.
func (p Problems) Touches(path string) bool {
	return slices.ContainsFunc(p, func(one Problem) bool { return within(one.Path, path) })
}

// within reports whether a path is another one or below it.
func within(path, around string) bool {
	rest, ok := strings.CutPrefix(path, around)
	return ok && (around == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Join puts a path below another one: "a" and "b" give "a.b", "a" and "[0]" give "a[0]".
func Join(path, below string) string {
	switch {
	case path == "":
		return below
	case below == "" || below[0] == '[':
		return path + below
	}
	return path + "." + below
}

// Key returns the path of an object's member. A key that would not read well behind a dot goes into brackets: `hosts["a.b"]`.
func Key(path, key string) string {
	for i := range len(key) {
		c := key[i]
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return path + "[" + strconv.Quote(key) + "]"
		}
	}
	if key == "" {
		return path + `[""]`
	}
	return Join(path, key)
}

// Index returns the path of an array's element.
func Index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
