// Package cors lets pages of other origins call a route: it answers preflights, and tells browsers what a page may read.
//
//	"cors": {
//	  "allow_origins": "https://app.example.com,https://admin.example.com",
//	  "allow_methods": "GET,POST", "allow_headers": "Authorization,Content-Type", "expose_headers": "X-Total",
//	  "max_age": 600, "allow_credential": true
//	}
//
// All of it is optional. Effects, in order:
//
//  1. A preflight (OPTIONS with Origin and Access-Control-Request-Method) is answered with 204, and no node and no plugin of lower priority is asked: it carries no credentials. Any
//     other OPTIONS passes.
//  2. Access-Control-* fields of the node are taken out of every answer, the gateway's own included: who decides is one.
//  3. An origin that is allowed is told so; "*" is told to everybody, and to requests without an origin too. With anything but "*" the answer depends on who asks, so Origin is added to
//     Vary.
//  4. allow_methods, allow_headers and max_age go into the answer to a preflight, expose_headers into any other.
//
// An origin is allowed that is in the list, or that an expression of allow_origins_by_regex matches from its first to its last letter: "\\.example\\.com" alone would let
// https://example.com.evil.test in. "**" allows all, as "*" does, with credentials too: then any page can act in the name of a user. In allow_methods and allow_headers "**" is whatever the
// preflight asks for.
package cors

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"

	"sluice/codec"
	"sluice/internal/ascii"
	"sluice/plugin"
)

// Kind is the plugin cors. The priority is APISIX's: before whatever decides who may come in, since a preflight carries nothing to decide by, and a page can only read a refusal that it
// is allowed to.
var Kind = plugin.Kind{
	Name:     "cors",
	Priority: 4000,
	Summary:  "Lets pages of other origins call a route, and answers the preflights of their browsers.",
	Schema:   schema,
	Build:    build,
}

const schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "allow_origins": {"type": "string", "minLength": 1, "default": "*"},
    "allow_origins_by_regex": {"type": "array", "minItems": 1, "maxItems": 64, "items": {"type": "string", "minLength": 1, "maxLength": 4096}},
    "allow_methods": {"type": "string", "minLength": 1, "default": "*"},
    "allow_headers": {"type": "string", "minLength": 1, "default": "*"},
    "expose_headers": {"type": "string", "minLength": 1},
    "max_age": {"type": "integer", "minimum": -1, "default": 5},
    "allow_credential": {"type": "boolean", "default": false}
  }
}`

// config is the plugin's configuration.
type config struct {
	AllowOrigins        *string  `json:"allow_origins"`
	AllowOriginsByRegex []string `json:"allow_origins_by_regex"`
	AllowMethods        string   `json:"allow_methods"`
	AllowHeaders        string   `json:"allow_headers"`
	ExposeHeaders       *string  `json:"expose_headers"`
	MaxAge              int      `json:"max_age"`
	AllowCredential     bool     `json:"allow_credential"`
}

func build(_ string, raw json.RawMessage) (any, error) {
	c := config{AllowMethods: all, AllowHeaders: all, MaxAge: 5}
	read := plugin.Read(raw, &c)
	var p plugin.Problems
	s := &sharer{credential: c.AllowCredential}
	s.readOrigins(&p, &c)
	s.methods = readList(&p, "allow_methods", c.AllowMethods, &c)
	s.headers = readList(&p, "allow_headers", c.AllowHeaders, &c)
	if c.ExposeHeaders != nil {
		s.expose = readList(&p, "expose_headers", *c.ExposeHeaders, &c)
		if *c.ExposeHeaders == forcibly {
			p.Add("expose_headers", "\"**\" means nothing here: name the fields")
		}
	}
	if c.MaxAge < -1 {
		p.Add("max_age", "%d is no number of seconds, nor -1 for never", c.MaxAge)
	}
	s.maxAge = strconv.AppendInt(nil, int64(c.MaxAge), 10)
	read.Complete(p.Err())
	if err := read.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// sharer is one instance.
type sharer struct {
	everybody  bool // "*"
	forced     bool // "**"
	origins    map[string]bool
	matching   []*regexp.Regexp
	credential bool

	methods, headers []byte // nil for whatever is asked for
	expose           []byte // nil for none
	maxAge           []byte
}

// The fields.
const (
	origin           = "Origin"
	requestMethod    = "Access-Control-Request-Method"
	requestHeaders   = "Access-Control-Request-Headers"
	allowOrigin      = "Access-Control-Allow-Origin"
	allowCredentials = "Access-Control-Allow-Credentials"
	allowMethods     = "Access-Control-Allow-Methods"
	allowHeaders     = "Access-Control-Allow-Headers"
	maxAge           = "Access-Control-Max-Age"
	exposeHeaders    = "Access-Control-Expose-Headers"
)

var (
	star      = []byte("*")
	yes       = []byte("true")
	varies    = []byte(origin)
	preflight = plugin.Reply{Status: 204}
)

// RequestHead answers preflights, and keeps the origin, which a plugin behind it may change. It allocates nothing.
func (s *sharer) RequestHead(x plugin.Exchange) plugin.Verdict {
	req := x.Request()
	from := req.Header.Get(origin)
	if len(from) == 0 {
		return plugin.Verdict{}
	}
	x.Keep(s, from)
	if isPreflight(req) {
		return plugin.Verdict{Action: plugin.Respond, Reply: &preflight}
	}
	return plugin.Verdict{}
}

// isPreflight is the Fetch standard's, section 3.3.2.
func isPreflight(req *codec.Request) bool {
	return req.Method == codec.MethodOptions && req.Header.Find(requestMethod) >= 0
}

// ResponseHead says what the page may do. It allocates nothing.
func (s *sharer) ResponseHead(x plugin.Exchange) {
	h := &x.Response().Header
	removeOld(h)
	from := x.Kept(s)
	if from == nil { // another plugin has answered before our turn came
		from = x.Request().Header.Get(origin)
	}
	if s.everybody {
		h.Add(allowOrigin, star)
	} else {
		addVary(h)
		if len(from) == 0 || !s.allows(from) {
			return
		}
		h.Add(allowOrigin, from)
	}
	if s.credential {
		h.Add(allowCredentials, yes)
	}
	if req := x.Request(); len(from) > 0 && isPreflight(req) {
		s.permit(h, &req.Header)
	} else if s.expose != nil {
		h.Add(exposeHeaders, s.expose)
	}
}

// permit answers a preflight's questions.
func (s *sharer) permit(h, asked *codec.Header) {
	if methods := firstOf(s.methods, asked.Get(requestMethod)); len(methods) > 0 {
		h.Add(allowMethods, methods)
	}
	if headers := firstOf(s.headers, asked.Get(requestHeaders)); len(headers) > 0 {
		h.Add(allowHeaders, headers)
	}
	h.Add(maxAge, s.maxAge)
}

func firstOf(set, asked []byte) []byte {
	if set != nil {
		return set
	}
	return asked
}

func (s *sharer) allows(from []byte) bool {
	if s.forced || s.origins[string(from)] {
		return true
	}
	for _, one := range s.matching {
		if one.Match(from) {
			return true
		}
	}
	return false
}

// removeOld takes out what the node says of other origins.
func removeOld(h *codec.Header) {
	const prefix = "access-control-"
	for i := range h.Len() {
		if name := h.Name(i); len(name) > len(prefix) && !h.Removed(i) && ascii.EqualFold(name[:len(prefix)], prefix) {
			h.Remove(i)
		}
	}
}

// addVary adds Origin to what caches have to tell answers apart by (RFC 9110 §12.5.5), where it is not there.
func addVary(h *codec.Header) {
	for i := h.Find("Vary"); i >= 0; i = h.FindFrom(i+1, "Vary") {
		for list := h.Value(i); len(list) > 0; {
			var item []byte
			if item, list = codec.NextListItem(list); ascii.EqualFold(item, "origin") || bytes.Equal(item, star) {
				return
			}
		}
	}
	h.Add("Vary", varies)
}

var (
	_ plugin.RequestFilter  = (*sharer)(nil)
	_ plugin.ResponseFilter = (*sharer)(nil)
)
