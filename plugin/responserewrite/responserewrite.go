// Package responserewrite changes the answer that the client gets: status, header fields, body.
//
//	"response-rewrite": {
//	  "status_code": 503,
//	  "headers": {"add": ["Set-Cookie: a=b"], "set": {"Retry-After": 60, "Content-Type": "text/html"}, "remove": ["X-Powered-By"]},
//	  "body": "<h1>We are moving</h1>"
//	}
//
// Everything is optional, one thing at least must be there. It works on every answer of its route, one that the gateway itself gives included. Effects, in order:
//
//  1. body takes the place of the body, with body_base64 after it was decoded. Fields that tell of the old one go: its coding, validators, digests, ranges and trailers, so that a 206
//     becomes a 200. Content-Type stays, unless headers set it. Length and framing are right on every protocol, and what the node sends is not kept anywhere.
//  2. status_code takes the place of the status. An answer that becomes a 204, 205 or 304 loses its body, and one that was a 204 or 304 has an empty one; with the old body go
//     the fields that tell of it, but for validators in a 204 or 304. 101 stays: both sides have agreed on another protocol.
//  3. headers: add, then remove, then set. The older form {"X-From": "gateway"} is set, and an empty value there removes.
//
// A client of gRPC looks for the status of its call in trailers, which go with a body that is replaced.
package responserewrite

import (
	"encoding/base64"
	"encoding/json"

	"sluice/codec"
	"sluice/plugin"
)

// Kind is the plugin response-rewrite. The priority is APISIX's: on the way back, before everything that was asked before it on the way there.
var Kind = plugin.Kind{
	Name:     "response-rewrite",
	Priority: 899,
	Summary:  "Changes status, header fields and body of the answer that the client gets.",
	Schema:   schema,
	Build:    build,
}

const schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "status_code": {"type": "integer", "minimum": 200, "maximum": 599},
    "headers": {
      "type": "object",
      "properties": {
        "add": {"type": ["object", "array", "string", "number"], "additionalProperties": {"type": ["string", "number"]}, "items": {"type": "string", "pattern": ":"}},
        "set": {"type": ["object", "string", "number"], "additionalProperties": {"type": ["string", "number"]}},
        "remove": {"type": ["array", "string", "number"], "items": {"type": "string", "minLength": 1}}
      },
      "additionalProperties": {"type": ["string", "number"]}
    },
    "body": {"type": "string", "maxLength": 87384},
    "body_base64": {"type": "boolean", "default": false}
  }
}`

// maxBody is what the gateway lets wait of an answer whose client does not read: a body is handed to it whole. The schema bounds the text, which in base64 is a third longer.
const maxBody = 64 << 10

// config is the plugin's configuration. Vars and Filters are what APISIX has beside it, and are named to be refused with a reason.
type config struct {
	StatusCode *int               `json:"status_code"`
	Headers    *plugin.FieldEdits `json:"headers"`
	Body       *string            `json:"body"`
	BodyBase64 bool               `json:"body_base64"`
	Vars       json.RawMessage    `json:"vars"`
	Filters    json.RawMessage    `json:"filters"`
}

func build(_ string, raw json.RawMessage) (any, error) {
	var c config
	read := plugin.Read(raw, &c)
	var p plugin.Problems
	r := new(rewriter)
	if c.StatusCode == nil && c.Body == nil && c.Headers.Empty() && c.Vars == nil && c.Filters == nil {
		p.Add("", "rewrites nothing: give one of status_code, headers, body")
	}
	if c.StatusCode != nil {
		if r.status = *c.StatusCode; r.status < 200 || r.status > 599 {
			p.Add("status_code", "%d is not a status of 200 to 599", r.status)
		}
	}
	c.Headers.Check(&p, "headers")
	if c.Headers != nil {
		r.headers = *c.Headers
	}
	r.body = readBody(&p, &c)
	if c.Vars != nil {
		p.Add("vars", "is not supported: a condition belongs to the route, as its \"when\"")
	}
	if c.Filters != nil {
		p.Add("filters", "is not supported: bodies stream through the gateway, which keeps none to search in")
	}
	read.Complete(p.Err())
	if err := read.Err(); err != nil {
		return nil, err
	}
	return r, nil
}

// readBody returns the body, nil where it is not replaced.
func readBody(p *plugin.Problems, c *config) []byte {
	if c.Body == nil {
		if c.BodyBase64 {
			p.Add("body_base64", "there is no body that it could be of")
		}
		return nil
	}
	body := []byte(*c.Body)
	if c.BodyBase64 {
		var err error
		if body, err = base64.StdEncoding.AppendDecode([]byte{}, body); err != nil {
			p.Add("body", "is not base64: %v", err)
			return nil
		}
	}
	if len(body) > maxBody {
		p.Add("body", "has %d bytes, and may have %d: let a node serve larger ones", len(body), maxBody)
	}
	return body
}

// rewriter is one instance.
type rewriter struct {
	status  int    // 0 = as it is
	body    []byte // nil = as it is
	headers plugin.FieldEdits
}

// ofTheBody are the fields that tell of a body, beside its type and its framing; validators name the state of a resource too, so that an answer without a body may have them.
var (
	ofTheBody  = []string{"Content-Encoding", "Content-Range", "Accept-Ranges", "Content-MD5", "Digest", "Content-Digest", "Repr-Digest"}
	validators = []string{"ETag", "Last-Modified"}
)

// ResponseHead rewrites. It allocates nothing.
func (r *rewriter) ResponseHead(x plugin.Exchange) {
	resp := x.Response()
	was := resp.Status
	if r.body != nil && was != 101 {
		if was == 206 {
			resp.SetStatus(200)
		}
		x.ReplaceBody(r.body)
	}
	if r.status != 0 && was != 101 {
		resp.SetStatus(r.status)
	}
	if now := resp.Status; r.body != nil && was != 101 || now != was && (now == 205 || codec.Bodiless(now) != codec.Bodiless(was)) {
		remove(&resp.Header, ofTheBody)
		if r.body != nil || !codec.Bodiless(now) {
			remove(&resp.Header, validators)
		}
	}
	r.headers.Apply(&resp.Header)
}

func remove(h *codec.Header, names []string) {
	for _, name := range names {
		h.RemoveName(name)
	}
}

var _ plugin.ResponseFilter = (*rewriter)(nil)
