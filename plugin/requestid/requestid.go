// Package requestid gives every exchange an id, so that one request can be followed through logs and services.
//
//	"request-id": {"header_name": "X-Request-Id", "include_in_response": true, "algorithm": "uuid", "keep_incoming": true}
//
// All of it is optional, and the values above are the defaults. Effects, in order:
//
//  1. An id that the client sent is kept when it is 1 to 128 visible ASCII characters; any other value is replaced, so that a client
//     cannot write into our logs what is not an id. With keep_incoming false it is always replaced.
//  2. Else a new one is made: "uuid" (version 4, random), "uuidv7" (begins with the time, so that ids sort), or "hex" (16 digits,
//     64 random bits: short, and unique enough below some hundred million requests).
//  3. The node gets it in the header, once. The access log and error answers have it as well.
//  4. The client gets it back in the same header, unless include_in_response is false.
//
// Under ws-cloud-gateway's name, "tracing", the header is X-Trace-Id.
package requestid

import (
	"encoding/json"
	"time"

	"sluice/plugin"
)

// Kind is the plugin request-id. The priority is APISIX's: before everything that may answer, so that every answer has an id.
var Kind = plugin.Kind{
	Name:     "request-id",
	Aliases:  []string{"tracing"},
	Priority: 12015,
	Summary:  "Gives every request an id, or keeps the client's, and hands it to the node, the logs and the client.",
	Schema:   schema,
	Build:    build,
}

const schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "header_name": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!#$%&'*+.^_\u0060|~0-9A-Za-z-]+$", "default": "X-Request-Id"},
    "include_in_response": {"type": "boolean", "default": true},
    "algorithm": {"type": "string", "enum": ["uuid", "uuidv7", "hex"], "default": "uuid"},
    "keep_incoming": {"type": "boolean", "default": true}
  }
}`

type config struct {
	HeaderName        string `json:"header_name"`
	IncludeInResponse *bool  `json:"include_in_response"`
	Algorithm         string `json:"algorithm"`
	KeepIncoming      *bool  `json:"keep_incoming"`
}

func build(name string, raw json.RawMessage) (any, error) {
	c := config{HeaderName: "X-Request-Id", Algorithm: "uuid"}
	if name == "tracing" {
		c.HeaderName = "X-Trace-Id"
	}
	read := plugin.Read(raw, &c)
	var p plugin.Problems
	if !plugin.ValidFieldName(c.HeaderName) || len(c.HeaderName) > 64 {
		p.Add("header_name", "%q is not a header name of at most 64 characters", c.HeaderName)
	} else if plugin.ReservedField(c.HeaderName) {
		p.Add("header_name", "%q is a field that the gateway writes itself", c.HeaderName)
	}
	made := algorithms[c.Algorithm]
	if made == nil {
		p.Add("algorithm", "%q is none of uuid, uuidv7, hex", c.Algorithm)
	}
	read.Complete(p.Err())
	if err := read.Err(); err != nil {
		return nil, err
	}
	request := &requestID{header: c.HeaderName, keep: c.KeepIncoming == nil || *c.KeepIncoming, make: made}
	if c.IncludeInResponse != nil && !*c.IncludeInResponse {
		return request, nil
	}
	return &answered{requestID: request}, nil
}

var algorithms = map[string]func(dst []byte, x plugin.Exchange) []byte{
	"uuid": appendUUID4, "uuidv7": appendUUID7, "hex": appendHex,
}

// requestID names the request.
type requestID struct {
	header string
	keep   bool
	make   func(dst []byte, x plugin.Exchange) []byte
}

// RequestHead keeps or makes the id. It allocates nothing.
func (r *requestID) RequestHead(x plugin.Exchange) plugin.Verdict {
	h := &x.Request().Header
	i := h.Find(r.header)
	if i >= 0 && r.keep && valid(h.Value(i)) {
		x.SetRequestID(h.Value(i))
		if h.FindFrom(i+1, r.header) >= 0 {
			h.Set(r.header, x.RequestID()) // one id only: readers of a list differ in which one they take
		}
		return plugin.Verdict{}
	}
	x.SetRequestID(r.make(x.Scratch(), x))
	h.Set(r.header, x.RequestID())
	return plugin.Verdict{}
}

// answered is requestID which tells the client as well.
type answered struct{ *requestID }

// ResponseHead puts the id on the response, in place of one that the node sent.
func (a *answered) ResponseHead(x plugin.Exchange) {
	if id := x.RequestID(); len(id) > 0 {
		x.Response().Header.Set(a.header, id)
	}
}

// maxID is what Exchange.SetRequestID keeps; a longer one would be cut, and then no longer be what the client sent.
const maxID = 128

func valid(id []byte) bool {
	if len(id) == 0 || len(id) > maxID {
		return false
	}
	for _, c := range id {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// appendUUID4 appends a UUID of version 4 (RFC 9562 §5.4).
func appendUUID4(dst []byte, x plugin.Exchange) []byte {
	return appendUUID(dst, x.Random()&^0xf000|0x4000, x.Random())
}

// appendUUID7 appends a UUID of version 7 (RFC 9562 §5.7): 48 bits of milliseconds, the rest random.
func appendUUID7(dst []byte, x plugin.Exchange) []byte {
	ms := uint64(time.Now().UnixMilli())
	return appendUUID(dst, ms<<16|0x7000|x.Random()&0xfff, x.Random())
}

// appendUUID writes the 128 bits in the form of RFC 9562 §4, with the variant bits set.
func appendUUID(dst []byte, high, low uint64) []byte {
	low = low&^(3<<62) | 2<<62
	dst = appendDigits(dst, high>>32, 8)
	dst = append(dst, '-')
	dst = appendDigits(dst, high>>16, 4)
	dst = append(dst, '-')
	dst = appendDigits(dst, high, 4)
	dst = append(dst, '-')
	dst = appendDigits(dst, low>>48, 4)
	dst = append(dst, '-')
	return appendDigits(dst, low, 12)
}

func appendHex(dst []byte, x plugin.Exchange) []byte { return appendDigits(dst, x.Random(), 16) }

// appendDigits appends the lowest n hexadecimal digits of v.
func appendDigits(dst []byte, v uint64, n int) []byte {
	const digits = "0123456789abcdef"
	for shift := 4 * (n - 1); shift >= 0; shift -= 4 {
		dst = append(dst, digits[v>>shift&15])
	}
	return dst
}

var (
	_ plugin.RequestFilter  = (*requestID)(nil)
	_ plugin.RequestFilter  = (*answered)(nil)
	_ plugin.ResponseFilter = (*answered)(nil)
)
