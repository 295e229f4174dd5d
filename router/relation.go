package router

import "strings"

// piece is one segment of a pattern.
type piece struct {
	text string // literal, or what a star's segment begins with
	kind int    // stepLiteral, stepParam or stepRest
}

// pieces returns the segments behind the first slash, and whether the pattern is "*", which has none and matches everything.
func (p *Pattern) pieces() (list []piece, everything bool) {
	if p.rest && len(p.runs) == 1 && p.runs[0] == "" {
		return nil, true
	}
	const param = "\x00" // occurs in no literal: see appendLiteral
	texts := strings.Split(strings.Join(p.runs, param), "/")[1:]
	for i, text := range texts {
		switch {
		case text == param:
			list = append(list, piece{kind: stepParam})
		case p.rest && i == len(texts)-1:
			list = append(list, piece{text, stepRest})
		default:
			list = append(list, piece{text, stepLiteral})
		}
	}
	return list, false
}

// Covers reports whether every path that o matches is matched by p too.
func (p Pattern) Covers(o Pattern) bool {
	wide, all := p.pieces()
	narrow, everything := o.pieces()
	if all || everything {
		return all
	}
	for i, w := range wide {
		if i == len(narrow) {
			return false
		}
		n := narrow[i]
		switch {
		case w.kind == stepRest:
			return strings.HasPrefix(n.text, w.text) // a parameter's text is empty, and it may begin with anything
		case n.kind == stepRest:
			return false
		case w.kind == stepLiteral && (n.kind != stepLiteral || n.text != w.text):
			return false
		case w.kind == stepParam && n.kind == stepLiteral && n.text == "":
			return false
		}
	}
	return len(wide) == len(narrow)
}

// Meets reports whether there is a path that both patterns match.
func (p Pattern) Meets(o Pattern) bool {
	a, all := p.pieces()
	b, everything := o.pieces()
	if all || everything {
		return true
	}
	for i := 0; ; i++ {
		switch {
		case i == len(a) || i == len(b):
			return len(a) == len(b)
		case a[i].kind == stepRest && b[i].kind == stepRest:
			return strings.HasPrefix(a[i].text, b[i].text) || strings.HasPrefix(b[i].text, a[i].text)
		case a[i].kind == stepRest:
			return b[i].begins(a[i].text)
		case b[i].kind == stepRest:
			return a[i].begins(b[i].text)
		case a[i].kind == stepLiteral && b[i].kind == stepLiteral && a[i].text != b[i].text:
			return false
		case a[i].kind != b[i].kind && a[i].text+b[i].text == "": // a parameter is not empty
			return false
		}
	}
}

// begins reports whether a segment, literal or parameter, can begin with text.
func (s piece) begins(text string) bool {
	return s.kind == stepParam || strings.HasPrefix(s.text, text)
}
