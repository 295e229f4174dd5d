package proxyrewrite

import (
	"regexp"
	"strconv"
	"strings"
)

// Expressions are written for PCRE, in ws-cloud-gateway as in APISIX, and run on RE2, which takes time in proportion to the path whatever the expression is. Most are the
// same in both. Some are written otherwise and are translated; the rest cannot be done without going back in the path, and is named.

// pcreGroups are what may stand behind "(?" in PCRE and not in RE2, longest first.
var pcreGroups = []struct{ open, what string }{
	{"<=", "a lookbehind"}, {"<!", "a negative lookbehind"}, {"P=", "a back-reference"}, {"P>", "a recursion"},
	{"=", "a lookahead"}, {"!", "a negative lookahead"}, {">", "an atomic group"}, {"|", "a branch reset"}, {"(", "a condition"},
	{"R", "a recursion"}, {"&", "a recursion"}, {"+", "a recursion"}, {"0", "a recursion"}, {"1", "a recursion"}, {"2", "a recursion"}, {"3", "a recursion"}, {"4", "a recursion"},
	{"5", "a recursion"}, {"6", "a recursion"}, {"7", "a recursion"}, {"8", "a recursion"}, {"9", "a recursion"}, {"x", "the flag x"}, {"J", "the flag J"}, {"C", "a callout"},
}

// pcreEscapes are escapes of PCRE that RE2 has not, and what they are there; "" = they cannot be done.
var pcreEscapes = map[byte]struct{ plain, class, what string }{
	'h': {`[ \t]`, ` \t`, ""}, 'H': {`[^ \t]`, "", `"\H" in a set`}, 'R': {`(?:\r\n|\n|\r)`, "", `"\R" in a set`}, 'N': {`.`, "", `"\N" in a set`},
	'Z': {`\z`, "", `"\Z" in a set`}, 'e': {`\x1b`, `\x1b`, ""},
	'K': {"", "", `"\K", which keeps what is before it`}, 'G': {"", "", `"\G", the end of the match before`}, 'k': {"", "", "a back-reference"}, 'g': {"", "", "a back-reference"},
	'X': {"", "", `"\X", a grapheme`}, 'c': {"", "", `"\c", a control character`},
	'1': {"", "", "a back-reference"}, '2': {"", "", "a back-reference"}, '3': {"", "", "a back-reference"}, '4': {"", "", "a back-reference"}, '5': {"", "", "a back-reference"},
	'6': {"", "", "a back-reference"}, '7': {"", "", "a back-reference"}, '8': {"", "", "a back-reference"}, '9': {"", "", "a back-reference"},
}

// fromPCRE returns an expression for RE2 that matches the same paths as one for PCRE, or what is in it that RE2 cannot do. What neither knows stays as it is.
func fromPCRE(expr string) (re2, wrong string) {
	var out strings.Builder
	inClass := false
	for i := 0; i < len(expr); i++ {
		rest := expr[i:]
		switch c := expr[i]; {
		case c == '\\' && len(rest) > 1:
			text, length, wrong := escape(rest, inClass)
			if wrong != "" {
				return "", wrong
			}
			out.WriteString(text)
			i += length - 1
		case inClass:
			inClass = c != ']'
			out.WriteByte(c)
			if strings.HasPrefix(rest, "[:") { // the bracket of "[:alpha:]" is not the set's
				if end := strings.Index(rest, ":]"); end > 0 {
					out.WriteString(rest[1 : end+2])
					i += end + 1
				}
			}
		case c == '[':
			inClass = true
			first := 1 + len(rest[1:]) - len(strings.TrimPrefix(rest[1:], "^"))
			if strings.HasPrefix(rest[first:], "]") { // the first of a set is a member
				first++
			}
			out.WriteString(rest[:first])
			i += first - 1
		case strings.HasPrefix(rest, "(?"):
			text, length, wrong := group(rest)
			if wrong != "" {
				return "", wrong
			}
			out.WriteString(text)
			i += length - 1
		case strings.HasPrefix(rest, "(*"):
			return "", `a verb, "(*"`
		case c == '+' && repeated(expr[:i]):
			return "", "a possessive repetition, " + strconv.Quote(expr[i-1:i+1])
		default:
			out.WriteByte(c)
		}
	}
	return out.String(), ""
}

// escape translates the escape at the start of s and returns its length.
func escape(s string, inClass bool) (text string, length int, wrong string) {
	if strings.HasPrefix(s, `\Q`) { // all of it is text, up to \E
		if end := strings.Index(s, `\E`); end > 0 {
			return s[:end+2], end + 2, ""
		}
		return s, len(s), ""
	}
	known, ok := pcreEscapes[s[1]]
	switch {
	case !ok:
		return s[:2], 2, ""
	case inClass && known.class != "":
		return known.class, 2, ""
	case inClass && s[1] >= '1' && s[1] <= '9':
		return "", 0, "an octal number in a set"
	case inClass || known.plain == "":
		return "", 0, known.what
	}
	return known.plain, 2, ""
}

// group translates the opening of a group at the start of s, "(?…", and returns its length.
func group(s string) (text string, length int, wrong string) {
	if strings.HasPrefix(s, "(?#") {
		if end := strings.IndexByte(s, ')'); end > 0 {
			return "", end + 1, "" // a comment
		}
	}
	if strings.HasPrefix(s, "(?'") {
		if end := strings.IndexByte(s[3:], '\''); end > 0 {
			return "(?P<" + s[3:3+end] + ">", 3 + end + 1, ""
		}
	}
	for _, g := range pcreGroups {
		if strings.HasPrefix(s[2:], g.open) {
			return "", 0, g.what + ", " + strconv.Quote("(?"+g.open)
		}
	}
	return s[:2], 2, ""
}

// repeated reports whether s ends in a repetition, such as "a*" or "a{2,3}".
func repeated(s string) bool {
	at := repetition.FindStringIndex(s)
	return at != nil && !escaped(s[:at[0]])
}

var repetition = regexp.MustCompile(`(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})$`)

// escaped reports whether the character behind s is escaped: an odd number of backslashes is before it.
func escaped(s string) bool {
	return (len(s)-len(strings.TrimRight(s, `\`)))%2 == 1
}
