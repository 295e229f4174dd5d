package router

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
)

// Pattern is a parsed path pattern: literal runs with a parameter between each two of them, and perhaps a star at the end.
// The zero Pattern matches the empty path only.
type Pattern struct {
	runs  []string // literal; runs[i] is followed by a parameter, but for the last
	names []string // of the parameters, then of the star where it has one
	rest  bool     // a star ends the pattern
}

// ParsePattern parses a path pattern; the package documentation has the forms. Its errors say what would be right.
func ParsePattern(s string) (Pattern, error) {
	p, err := parsePattern(s)
	if err != nil {
		return Pattern{}, fmt.Errorf("router: pattern %q: %w", s, err)
	}
	return p, nil
}

// parsePattern is ParsePattern without the words around its errors.
func parsePattern(s string) (p Pattern, err error) {
	if s == "" {
		return p, errPatternEmpty
	}
	if s[0] != '/' && s[0] != '*' {
		return p, errPatternStart
	}
	run := make([]byte, 0, len(s))
	for s != "" && !p.rest {
		segmentStart := len(run) == 0 || run[len(run)-1] == '/'
		switch {
		case s[0] == '*':
			s, err = p.star(s[1:], segmentStart)
		case s[0] == ':' && segmentStart:
			p.runs = append(p.runs, string(run))
			run = run[:0]
			s, err = p.param(s[1:])
		default:
			run, s, err = appendLiteral(run, s)
		}
		if err != nil {
			return p, err
		}
	}
	p.runs = append(p.runs, string(run))
	return p, p.checkDots()
}

// star reads what comes after a "*".
func (p *Pattern) star(s string, wholeSegment bool) (string, error) {
	p.rest = true
	if s == "" {
		return s, nil
	}
	// Attack on the reader: "/img/a*b" looks like a glob. It would match /img/a-anything.
	if !wholeSegment || strings.Contains(s, "/") {
		return s, errPatternStar
	}
	if err := checkName(s, p.names); err != nil {
		return s, err
	}
	p.names = append(p.names, s)
	return "", nil
}

// param reads what comes after a ":".
func (p *Pattern) param(s string) (string, error) {
	name, _, _ := strings.Cut(s, "/")
	if name == "" {
		return s, errPatternNoName
	}
	if err := checkName(name, p.names); err != nil {
		return s, err
	}
	p.names = append(p.names, name)
	return s[len(name):], nil
}

// appendLiteral moves one character from s to run, in the form that it has in a normalized path.
func appendLiteral(run []byte, s string) ([]byte, string, error) {
	const hex = "0123456789ABCDEF"
	c := s[0]
	switch {
	case c == '?' || c == '#':
		return run, s, errPatternQuery
	case c <= ' ' || c == 0x7f:
		return run, s, errPatternControl
	case c == '%':
		if len(s) < 3 || unhex(s[1]) < 0 || unhex(s[2]) < 0 {
			return run, s, errPatternEscape
		}
		c, s = byte(unhex(s[1])<<4|unhex(s[2])), s[2:]
		if !unreserved(c) {
			run = append(run, '%', hex[c>>4], hex[c&15])
			return run, s[1:], nil
		}
	case c >= 0x80:
		run = append(run, '%', hex[c>>4], hex[c&15])
		return run, s[1:], nil
	}
	return append(run, c), s[1:], nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// unreserved reports whether c never needs an escape (RFC 3986 §2.3).
func unreserved(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// checkDots refuses segments that no normalized path has. A dot right before a star is the beginning of a longer segment.
func (p *Pattern) checkDots() error {
	for i, run := range p.runs {
		for rest, more := run, true; more; {
			var seg string
			seg, rest, more = strings.Cut(rest, "/")
			if (seg == "." || seg == "..") && (more || i < len(p.runs)-1 || !p.rest) {
				return errPatternDots
			}
		}
	}
	return nil
}

// String returns the pattern as it is understood: escapes normalized, a star without a name as "*".
func (p Pattern) String() string {
	var b strings.Builder
	params := len(p.runs) - 1
	for i, run := range p.runs {
		b.WriteString(run)
		if i < params {
			b.WriteString(":" + p.names[i])
		}
	}
	if p.rest {
		b.WriteByte('*')
		b.WriteString(strings.Join(p.names[params:], ""))
	}
	return b.String()
}

// Matches reports whether the pattern matches a normalized path, by itself. Tables do not use it: it is for checking and
// explaining.
func (p Pattern) Matches(path []byte) bool {
	for i, run := range p.runs {
		if !bytes.HasPrefix(path, []byte(run)) {
			return false
		}
		path = path[len(run):]
		if i < len(p.runs)-1 {
			n := segment(path)
			if n == 0 {
				return false
			}
			path = path[n:]
		}
	}
	return p.rest || len(path) == 0
}

// segment returns the length of the segment that path begins with.
func segment(path []byte) int {
	if n := bytes.IndexByte(path, '/'); n >= 0 {
		return n
	}
	return len(path)
}

// The steps of a pattern, best first; see the package documentation.
const (
	stepLiteral = iota
	stepEnd
	stepParam
	stepRest
)

// after returns the step that follows run i.
func (p *Pattern) after(i int) int {
	switch {
	case i < len(p.runs)-1:
		return stepParam
	case p.rest:
		return stepRest
	}
	return stepEnd
}

// Compare returns -1 where p is more specific than o and goes before it, +1 where it goes after, and 0 where they match the
// same paths.
func (p Pattern) Compare(o Pattern) int {
	for i := range min(len(p.runs), len(o.runs)) {
		a, b := p.runs[i], o.runs[i]
		n := commonPrefix(a, b)
		if n < len(a) && n < len(b) {
			return cmp.Compare(a[n], b[n])
		}
		x, y := stepLiteral, stepLiteral
		if n == len(a) {
			x = p.after(i)
		}
		if n == len(b) {
			y = o.after(i)
		}
		if x != y {
			return cmp.Compare(x, y)
		}
	}
	return 0 // the last step was the end or the star of both
}
