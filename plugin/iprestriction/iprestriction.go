// Package iprestriction lets clients in, or keeps them out, by their addresses.
//
//	"ip-restriction": {"whitelist": ["10.0.0.0/8", "2001:db8::7"], "message": "Only from the office.", "response_code": 403}
//
// One of whitelist and blacklist must be there, and not both: addresses and CIDRs of IPv4 and IPv6. Who is not on the white list, or on the black one, gets the error "forbidden" with the
// message, and no node is asked. The address is the peer's, unless that is one of trusted_proxies: then it is the one that it names, as the node is told in X-Real-IP. Without
// trusted_proxies a gateway behind a load balancer sees the balancer's address alone; with too many, clients may say what they like.
package iprestriction

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/gaissmai/bart"

	"sluice/internal/network"
	"sluice/internal/problem"
	"sluice/plugin"
)

// Kind is the plugin ip-restriction. The priority is APISIX's: before who the client is, and before all that is counted or changed.
var Kind = plugin.Kind{
	Name:     "ip-restriction",
	Priority: 3000,
	Summary:  "Lets clients in, or keeps them out, by their addresses.",
	Schema:   schema,
	Build:    build,
}

const schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "whitelist": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 2}},
    "blacklist": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 2}},
    "message": {"type": "string", "minLength": 1, "maxLength": 1024, "default": "Your IP address is not allowed"},
    "response_code": {"type": "integer", "enum": [403, 404], "default": 403}
  },
  "anyOf": [
    {"required": ["whitelist"], "not": {"required": ["blacklist"]}},
    {"required": ["blacklist"], "not": {"required": ["whitelist"]}}
  ]
}`

// maxMessage is in characters, as in APISIX: a sentence or two.
const maxMessage = 1024

type config struct {
	Whitelist    []string `json:"whitelist"`
	Blacklist    []string `json:"blacklist"`
	Message      string   `json:"message"`
	ResponseCode int      `json:"response_code"`
}

func build(name string, raw json.RawMessage) (any, error) {
	c := config{Message: "Your IP address is not allowed", ResponseCode: 403}
	read := plugin.Read(raw, &c)
	var p plugin.Problems
	r := new(restriction)
	switch {
	case c.Whitelist == nil && c.Blacklist == nil:
		p.Add("", "restricts nobody: give a whitelist or a blacklist")
	case c.Whitelist != nil && c.Blacklist != nil:
		p.Add("blacklist", "cannot be used together with whitelist")
	}
	r.read(&p, "whitelist", c.Whitelist)
	r.read(&p, "blacklist", c.Blacklist)
	r.listed = c.Whitelist != nil
	if !plugin.ValidFieldValue(c.Message) || c.Message == "" || utf8.RuneCountInString(c.Message) > maxMessage {
		p.Add("message", "wants 1 to %d characters on one line, without white space at an end", maxMessage)
	}
	if c.ResponseCode != 403 && c.ResponseCode != 404 {
		p.Add("response_code", "%d is neither 403 nor 404", c.ResponseCode)
	}
	read.Complete(p.Err())
	if err := read.Err(); err != nil {
		return nil, err
	}
	r.refusal = plugin.Forbidden(name, c.ResponseCode, c.Message)
	return r, nil
}

// restriction is one instance.
type restriction struct {
	table   bart.Lite // of the list that there is
	listed  bool      // who is in the table is let in, and nobody else; else the other way round
	refusal *plugin.Reply
}

func (r *restriction) read(p *plugin.Problems, path string, list []string) {
	if list != nil && len(list) == 0 {
		p.Add(path, "is empty")
	}
	for i, text := range list {
		prefix, ok := network.Parse(text)
		if !ok {
			p.Add(problem.Index(path, i), "%q is neither an address, such as \"10.0.0.7\" or \"2001:db8::7\", nor a CIDR, such as \"10.0.0.0/8\"", text)
			continue
		}
		r.table.Insert(prefix)
	}
}

// RequestHead refuses whoever may not come in. It allocates nothing.
func (r *restriction) RequestHead(x plugin.Exchange) plugin.Verdict {
	if r.table.Contains(x.ClientIP().Unmap().WithZone("")) == r.listed {
		return plugin.Verdict{}
	}
	return plugin.Verdict{Action: plugin.Respond, Reply: r.refusal}
}

var _ plugin.RequestFilter = (*restriction)(nil)
