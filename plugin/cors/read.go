package cors

import (
	"net/url"
	"regexp"
	"regexp/syntax"
	"strings"

	"sluice/internal/problem"
	"sluice/plugin"
)

// What stands for all.
const (
	all      = "*"  // as browsers understand it: not with credentials
	forcibly = "**" // with credentials too
)

// readOrigins reads who is allowed. Expressions alone leave nothing of the default.
func (s *sharer) readOrigins(p *plugin.Problems, c *config) {
	s.readExpressions(p, c.AllowOriginsByRegex)
	text := all
	switch {
	case c.AllowOrigins != nil:
		text = *c.AllowOrigins
	case c.AllowOriginsByRegex != nil:
		return
	}
	if text == all || text == forcibly {
		s.everybody, s.forced = text == all, text == forcibly
		if text == all && c.AllowCredential {
			p.Add("allow_origins", "\"*\" does not go with allow_credential: name the origins, or write \"**\" if any page may act for its user")
		}
		if c.AllowOriginsByRegex != nil {
			p.Add("allow_origins_by_regex", "%q in allow_origins allows all that it could", text)
		}
		return
	}
	s.origins = make(map[string]bool)
	for one := range strings.SplitSeq(text, ",") {
		one = strings.TrimSpace(one)
		known, wrong := readOrigin(one)
		switch {
		case wrong != "":
			p.Add("allow_origins", "%q %s", one, wrong)
		case known == "null" && c.AllowCredential:
			p.Add("allow_origins", "\"null\" does not go with allow_credential: every page can be of that origin")
		default:
			s.origins[known] = true
		}
	}
}

// readOrigin returns an origin as browsers write it: in lower case, without the port that goes without saying (RFC 6454 §6.2). wrong says why it is none.
func readOrigin(text string) (known, wrong string) {
	if text == "null" {
		return text, ""
	}
	switch text {
	case "":
		return "", "is empty"
	case all, forcibly:
		return "", "stands alone, or not at all"
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return "", "is no origin, such as \"https://example.com\" or \"http://localhost:8080\""
	case u.Path != "":
		return "", "has a path, and origins have none: take off what follows the host"
	case strings.Contains(u.Host, "*"):
		return "", "has a wildcard: write an expression in allow_origins_by_regex"
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r > '~' || r <= ' ' }):
		return "", "is not written as browsers do: in ASCII, with names of other letters in Punycode"
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, ":")
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return scheme + "://" + host, ""
}

// maxExpressions and maxText bound what a configuration can make a worker do: RE2 takes time in proportion to both.
const (
	maxExpressions = 64
	maxText        = 4096
)

func (s *sharer) readExpressions(p *plugin.Problems, list []string) {
	if list != nil && len(list) == 0 || len(list) > maxExpressions {
		p.Add("allow_origins_by_regex", "wants 1 to %d expressions", maxExpressions)
		return
	}
	for i, expr := range list {
		at := problem.Index("allow_origins_by_regex", i)
		if expr == "" || len(expr) > maxText {
			p.Add(at, "wants 1 to %d bytes", maxText)
			continue
		}
		whole, err := matchWhole(expr)
		if err != nil {
			p.Add(at, "%q is not a regular expression (RE2 syntax, without look-around and back-references): %v", expr, err)
			continue
		}
		s.matching = append(s.matching, whole)
	}
}

// matchWhole compiles an expression that has to match from the first to the last byte. It is put together from the parsed form: `\Qa` in brackets would swallow the closing one.
func matchWhole(expr string) (*regexp.Regexp, error) {
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + parsed.String() + `)\z`)
}

// readList returns a list of names as it is sent, nil for "**".
func readList(p *plugin.Problems, path, text string, c *config) []byte {
	switch {
	case text == forcibly:
		return nil
	case text == all && c.AllowCredential:
		p.Add(path, "\"*\" does not go with allow_credential, where browsers take it for a name: list what is meant")
		return nil
	}
	var list []byte
	for one := range strings.SplitSeq(text, ",") {
		one = strings.TrimSpace(one)
		if one == all && text != all || !plugin.ValidToken(one) {
			p.Add(path, "%q is not a name", one)
			continue
		}
		if len(list) > 0 {
			list = append(list, ", "...)
		}
		list = append(list, one...)
	}
	return list
}
