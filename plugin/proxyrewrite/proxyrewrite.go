// Package proxyrewrite changes what the node is asked for: path, method, host and header fields.
//
//	"proxy-rewrite": {
//	  "regex_uri": ["^/openapi/(.*)/", "/openapi/", "^/v(\\d+)/(.*)", "/$2?version=$1"],
//	  "method": "POST",
//	  "host": "internal.example.com",
//	  "headers": {"add": {"X-Tag": "a"}, "set": {"X-From": "gateway"}, "remove": ["Cookie"]}
//	}
//
// Everything is optional, one thing at least must be there. Effects, in order:
//
//  1. uri replaces the path; regex_uri, pairs of a regular expression (RE2; what PCRE only writes otherwise is taken too) and a template, replaces the first match of the first
//     expression that matches the path. Expressions see what routes are matched by: without dot segments, escapes of unreserved characters decoded, all others kept as escapes.
//     Else "/%70ub/x" would go past "^/pub/", and what "/pub/../pub/x" becomes would climb out of where it was put. Where none matches the path goes on as the client wrote it.
//     $1 or ${1} is what a group matched, $$ a dollar. The client's query is kept, behind the one that the new path may bring. A new path without a "/" at its beginning gets one.
//  2. method replaces the method, but a HEAD request stays one, since its answer has no body.
//  3. host replaces the Host field.
//  4. headers: add, then remove, then set. The older form {"X-From": "gateway"} is set, and an empty value there removes.
//
// Under ws-cloud-gateway's name, "rewrite", rewrite_url_regex and rewrite_replace of the route's props are the one pair,
// every match is replaced, and a group that the expression has not is empty.
//
// # Cost
//
// A rewrite whose template has no group allocates nothing: neither do the two methods of regexp that it uses. With groups it is one allocation
// of some 50 bytes a request, inside FindSubmatchIndex, for which regexp offers no way around.
package proxyrewrite

import (
	"encoding/json"
	"net"
	"strconv"
	"strings"

	"sluice/codec"
	"sluice/plugin"
)

// Kind is the plugin proxy-rewrite. The priority is APISIX's: after authentication and limits.
var Kind = plugin.Kind{
	Name:     "proxy-rewrite",
	Aliases:  []string{"rewrite"},
	Priority: 1008,
	Summary:  "Changes path, method, host and header fields of the request that the node gets.",
	Schema:   schema,
	Props:    []string{"rewrite_url_regex", "rewrite_replace"},
	Build:    build,
}

const schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "uri": {"type": "string", "minLength": 1, "maxLength": 4096, "pattern": "^/[^\u0000-\u0020#\u007f]*$"},
    "regex_uri": {"type": "array", "minItems": 2, "maxItems": 64, "items": {"type": "string", "maxLength": 4096}},
    "method": {"type": "string", "minLength": 1, "maxLength": 32, "pattern": "^[!#$%&'*+.^_\u0060|~0-9A-Z-]+$", "not": {"enum": ["HEAD", "CONNECT"]}},
    "host": {"type": "string", "minLength": 1, "maxLength": 259, "pattern": "^[0-9A-Za-z._:\\[\\]-]+$"},
    "headers": {
      "type": "object",
      "properties": {
        "add": {"type": ["object", "array", "string", "number"], "additionalProperties": {"type": ["string", "number"]}, "items": {"type": "string", "pattern": ":"}},
        "set": {"type": ["object", "string", "number"], "additionalProperties": {"type": ["string", "number"]}},
        "remove": {"type": ["array", "string", "number"], "items": {"type": "string", "minLength": 1}}
      },
      "additionalProperties": {"type": ["string", "number"]}
    }
  }
}`

// config is the plugin's configuration.
type config struct {
	URI      string             `json:"uri"`
	RegexURI []string           `json:"regex_uri"`
	Method   string             `json:"method"`
	Host     string             `json:"host"`
	Headers  *plugin.FieldEdits `json:"headers"`
}

// maxText bounds a path, an expression or a template: half a request line is beyond every use.
const maxText = 4096

func build(name string, raw json.RawMessage) (any, error) {
	if name == "rewrite" {
		return buildSeed(raw)
	}
	return buildOwn(raw)
}

func buildOwn(raw json.RawMessage) (any, error) {
	var c config
	read := plugin.Read(raw, &c)
	var p plugin.Problems
	r := &rewriter{uri: []byte(c.URI), method: []byte(c.Method), host: []byte(c.Host)}
	if c.URI == "" && c.RegexURI == nil && c.Method == "" && c.Host == "" && c.Headers.Empty() {
		p.Add("", "rewrites nothing: give one of uri, regex_uri, method, host, headers")
	}
	if c.URI != "" {
		checkURI(&p, c.URI)
		if c.RegexURI != nil {
			p.Add("regex_uri", "cannot be used together with uri")
		}
	}
	r.rules = buildRules(&p, c.RegexURI)
	checkMethod(&p, c.Method)
	checkHost(&p, c.Host)
	c.Headers.Check(&p, "headers")
	if c.Headers != nil {
		r.headers = *c.Headers
	}
	read.Complete(p.Err())
	if err := read.Err(); err != nil {
		return nil, err
	}
	return r, nil
}

// seed is what a ws-cloud-gateway route has in its props. That gateway does nothing where the expression is missing, and so do we.
type seed struct {
	Regex   string `json:"rewrite_url_regex"`
	Replace string `json:"rewrite_replace"`
}

// buildSeed builds from the old keys, or, where a newer route uses the alias with the plugin's own keys, from those.
func buildSeed(raw json.RawMessage) (any, error) {
	var keys map[string]json.RawMessage
	if err := plugin.Decode(raw, &keys); err != nil {
		return nil, err
	}
	_, hasRegex := keys["rewrite_url_regex"]
	_, hasReplace := keys["rewrite_replace"]
	if len(keys) > 0 && !hasRegex && !hasReplace {
		return buildOwn(raw)
	}
	var c seed
	read := plugin.Read(raw, &c)
	var p plugin.Problems
	r := new(rewriter)
	if c.Regex != "" {
		if one := buildRule(&p, c.Regex, c.Replace, "rewrite_url_regex", "rewrite_replace", true); one != nil {
			r.rules = []*rule{one}
		}
	}
	read.Complete(p.Err())
	if err := read.Err(); err != nil {
		return nil, err
	}
	return r, nil
}

func buildRules(p *plugin.Problems, pairs []string) (rules []*rule) {
	if len(pairs)%2 != 0 {
		p.Add("regex_uri", "wants pairs: after every regular expression the template that replaces its match")
	}
	if pairs != nil && len(pairs) < 2 || len(pairs) > 64 {
		p.Add("regex_uri", "wants 1 to 32 pairs")
		return nil
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		at := func(i int) string { return "regex_uri[" + strconv.Itoa(i) + "]" }
		if one := buildRule(p, pairs[i], pairs[i+1], at(i), at(i+1), false); one != nil {
			rules = append(rules, one)
		}
	}
	return rules
}

func checkURI(p *plugin.Problems, uri string) {
	switch {
	case uri[0] != '/':
		p.Add("uri", "%q does not begin with \"/\"", uri)
	case len(uri) > maxText:
		p.Add("uri", "is longer than %d bytes", maxText)
	case !targetText(uri):
		p.Add("uri", "%q has white space, \"#\" or a control character in it: write those as %%20, %%23 and so on", uri)
	case plugin.HasVariable(uri):
		p.Add("uri", "%q has a variable in it, which is not supported: take parts of the path with regex_uri, and write a dollar as %%24", uri)
	}
}

func checkMethod(p *plugin.Problems, method string) {
	switch {
	case method == "":
	case len(method) > 32 || !plugin.ValidToken(method) || method != strings.ToUpper(method):
		p.Add("method", "%q is not a method, such as \"GET\"", method)
	case method == "HEAD":
		p.Add("method", "\"HEAD\" would leave a client waiting for a body that never comes")
	case method == "CONNECT":
		p.Add("method", "\"CONNECT\" asks for a tunnel, which a request cannot be turned into")
	}
}

func checkHost(p *plugin.Problems, host string) {
	if host == "" {
		return
	}
	name, port := host, ""
	if h, after, err := net.SplitHostPort(host); err == nil {
		name, port = h, after
	}
	_, err := strconv.ParseUint(port, 10, 16)
	bad := len(host) > 259 || name == "" || port != "" && err != nil || strings.ContainsFunc(host, func(r rune) bool {
		return !strings.ContainsRune("._:[]-", r) && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z')
	})
	if bad {
		p.Add("host", "%q is not a host, such as \"example.com\" or \"example.com:8080\"", host)
	}
}

// targetText reports whether a text may be part of a request target: visible ASCII but "#", and bytes beyond ASCII, which servers take.
func targetText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// rewriter is one instance.
type rewriter struct {
	uri     []byte  // empty: the rules decide
	rules   []*rule // the first that matches
	method  []byte
	host    []byte
	headers plugin.FieldEdits
}

// RequestHead rewrites.
func (r *rewriter) RequestHead(x plugin.Exchange) plugin.Verdict {
	req := x.Request()
	r.rewriteTarget(req, x)
	if len(r.method) > 0 && req.Method != codec.MethodHead && req.Method != codec.MethodConnect {
		req.SetMethod(r.method)
	}
	if len(r.host) > 0 {
		req.SetHost(r.host)
	}
	r.headers.Apply(&req.Header)
	return plugin.Verdict{}
}

// rewriteTarget replaces the target. Targets that are no path (OPTIONS *, CONNECT) stay.
func (r *rewriter) rewriteTarget(req *codec.Request, x plugin.Exchange) {
	path := req.Path()
	if len(path) == 0 || path[0] != '/' || req.Method == codec.MethodConnect {
		return
	}
	if len(r.uri) > 0 {
		req.SetTarget(appendQuery(append(x.Scratch(), r.uri...), req.Query()))
		return
	}
	if len(r.rules) == 0 {
		return
	}
	scratch := x.Scratch()
	if normal, err := codec.ReadPath(scratch, path, codec.ReadLiteral); err == nil { // else another plugin has made it, which no route has looked at
		if len(normal) > 0 && &normal[0] != &path[0] {
			scratch = normal[len(normal):] // the target is put together behind it
		}
		path = normal
	}
	for _, one := range r.rules {
		if target, ok := one.appendTo(scratch, path); ok {
			req.SetTarget(appendQuery(target, req.Query()))
			return
		}
	}
}

// appendQuery puts the client's query behind a new target, which may have one of its own.
func appendQuery(target, query []byte) []byte {
	if len(query) == 0 {
		return target
	}
	mark := byte('?')
	for _, c := range target {
		if c == '?' {
			mark = '&'
			break
		}
	}
	return append(append(target, mark), query...)
}

var _ plugin.RequestFilter = (*rewriter)(nil)
