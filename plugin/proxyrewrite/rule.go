package proxyrewrite

import (
	"regexp"
	"regexp/syntax"
	"strconv"

	"sluice/plugin"
)

// rule is a regular expression and what takes the place of its match.
type rule struct {
	match    *regexp.Regexp
	upTo     *regexp.Regexp // matches from the start of the path to the end of match's first match; nil where match begins there anyway
	template []piece
	groups   bool // the template has groups in it
	all      bool // replace every match, not the first alone
}

// piece is a part of a template: text, or where text is nil the group with that number.
type piece struct {
	text  []byte
	group int
}

// buildRule compiles a pair, or notes what is wrong with it at the paths of the two.
//
// all is ws-cloud-gateway's way: every match is replaced, and a group that the expression has not is empty.
func buildRule(p *plugin.Problems, expr, template, exprPath, templatePath string, all bool) *rule {
	if len(expr) > maxText || len(template) > maxText {
		p.Add(exprPath, "expression or template is longer than %d bytes", maxText)
		return nil
	}
	plain, wrong := fromPCRE(expr)
	if wrong != "" {
		p.Add(exprPath, "%q has %s, which RE2 has not: the time that it may take would have no bound", expr, wrong)
		return nil
	}
	match, err := regexp.Compile(plain)
	if err != nil {
		p.Add(exprPath, "%q is not a regular expression (RE2 syntax, without look-around and back-references): %v", expr, err)
		return nil
	}
	r := &rule{match: match, all: all}
	if r.upTo, err = leading(plain); err != nil {
		p.Add(exprPath, "%q is too large: %v", expr, err)
		return nil
	}
	text := ""
	r.template, text = parseTemplate(template, match.NumSubexp(), all)
	if text != "" {
		p.Add(templatePath, "%s", text)
		return nil
	}
	for _, one := range r.template {
		r.groups = r.groups || one.text == nil
	}
	return r
}

// leading returns the expression that matches from the start of a text to the end of the first match of expr; nil where every match of
// expr begins at the start. It is put together from the parsed form: `\Qa` in brackets would swallow the closing one.
func leading(expr string) (*regexp.Regexp, error) {
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if prog.StartCond()&syntax.EmptyBeginText != 0 {
		return nil, nil
	}
	return regexp.Compile(`\A(?s:.*?)(?:` + parsed.String() + `)`)
}

// parseTemplate cuts a template into its pieces; problem says what is wrong with it. A group beyond those that there are is wrong, unless lenient.
func parseTemplate(s string, groups int, lenient bool) (pieces []piece, problem string) {
	var text []byte
	flush := func() {
		if len(text) > 0 {
			pieces = append(pieces, piece{text: text})
			text = nil
		}
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '$' {
			text = append(text, s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '$' {
			text = append(text, '$')
			i++
			continue
		}
		number, length := groupNumber(s[i:])
		if length == 0 {
			return nil, strconv.Quote(s) + ` has a "$" without the number of a group: write $1, ${1}, or $$ for a dollar`
		}
		i += length - 1
		if number > groups && lenient {
			continue
		}
		if number > groups {
			return nil, strconv.Quote(s) + " uses group " + strconv.Itoa(number) + ", and the expression has " + strconv.Itoa(groups)
		}
		flush()
		pieces = append(pieces, piece{group: number})
	}
	flush()
	if !targetText(s) {
		return nil, strconv.Quote(s) + ` has white space, "#" or a control character in it: write those as %20, %23 and so on`
	}
	return pieces, ""
}

// groupNumber reads $12 or ${12} at the start of s and returns its length, 0 where there is none.
func groupNumber(s string) (number, length int) {
	i := 1
	braced := i < len(s) && s[i] == '{'
	if braced {
		i++
	}
	from := i
	for i < len(s) && s[i] >= '0' && s[i] <= '9' && i-from < 4 {
		number = number*10 + int(s[i]-'0')
		i++
	}
	if i == from || braced && (i == len(s) || s[i] != '}') {
		return 0, 0
	}
	if braced {
		i++
	}
	return number, i
}

// appendTo appends the rewritten path to dst; ok is false where the expression does not match.
func (r *rule) appendTo(dst, path []byte) (target []byte, ok bool) {
	start := len(dst)
	dst = append(dst, '/') // taken back below where the new path brings its own
	switch {
	case r.all && r.upTo != nil:
		dst, ok = r.replaceAll(dst, path)
	case r.groups:
		at := r.match.FindSubmatchIndex(path)
		if ok = at != nil; ok {
			dst = append(dst, path[:at[0]]...)
			dst = append(r.expand(dst, path, at), path[at[1]:]...)
		}
	default:
		dst, ok = r.replacePlain(dst, path)
	}
	if !ok {
		return nil, false
	}
	if len(dst) > start+1 && dst[start+1] == '/' {
		dst = append(dst[:start], dst[start+1:]...)
	}
	return dst, true
}

// replacePlain replaces the first match by a text without groups. Find tells the match but not its place, since the methods of regexp
// that return places allocate them; the length up to the end of the same match, found by upTo, gives the place.
func (r *rule) replacePlain(dst, path []byte) ([]byte, bool) {
	found := r.match.Find(path)
	if found == nil {
		return dst, false
	}
	end := len(found)
	if r.upTo != nil {
		end = len(r.upTo.Find(path))
	}
	dst = append(dst, path[:end-len(found)]...)
	for _, one := range r.template {
		dst = append(dst, one.text...)
	}
	return append(dst, path[end:]...), true
}

// replaceAll replaces every match, as ws-cloud-gateway does. An expression that begins with "^" does not come here: it matches once.
func (r *rule) replaceAll(dst, path []byte) ([]byte, bool) {
	done := 0
	matches := r.match.FindAllSubmatchIndex(path, -1)
	for _, at := range matches {
		dst = append(dst, path[done:at[0]]...)
		dst = r.expand(dst, path, at)
		done = at[1]
	}
	return append(dst, path[done:]...), len(matches) > 0
}

// expand appends the template with the groups filled in.
func (r *rule) expand(dst, path []byte, at []int) []byte {
	for _, one := range r.template {
		switch {
		case one.text != nil:
			dst = append(dst, one.text...)
		case at[2*one.group] >= 0: // a group that took no part is empty
			dst = append(dst, path[at[2*one.group]:at[2*one.group+1]]...)
		}
	}
	return dst
}
