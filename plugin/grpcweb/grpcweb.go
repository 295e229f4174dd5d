// Package grpcweb lets clients in browsers call gRPC services: it translates gRPC-Web, binary and text, into gRPC.
//
//	"grpc-web": {}
//
// It has no settings. It belongs on routes with protocol grpc. Effects, in order:
//
//  1. A POST of application/grpc-web or application/grpc-web-text, each also with +proto and the like, goes to the node as application/grpc. The body of a text is decoded: base64, in pieces that
//     each may end with padding.
//  2. The answer of the node goes back in the client's kind, encoded again for a text. Its trailers are the last message of the body, of the kind that gRPC-Web has for them.
//  3. Anything else passes untouched: one route can serve gRPC and gRPC-Web. Answers that are not gRPC, such as a 401 of another plugin, do too.
//
// Browsers of other origins also need CORS, with the response fields grpc-status and grpc-message exposed.
package grpcweb

import (
	"bytes"
	"encoding/json"

	"sluice/codec"
	"sluice/plugin"
)

// Kind is the plugin grpc-web. The priority is APISIX's: behind whatever decides whether the call may be made.
var Kind = plugin.Kind{
	Name:     "grpc-web",
	Priority: 505,
	Summary:  "Lets clients in browsers call gRPC services, by gRPC-Web in binary or text.",
	Schema: `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {}
}`,
	Build: build,
}

func build(_ string, raw json.RawMessage) (any, error) {
	var c struct{}
	if err := plugin.Decode(raw, &c); err != nil {
		return nil, err
	}
	return new(translator), nil
}

// translator is one built plugin.
type translator struct{}

var (
	webType  = []byte("application/grpc-web")
	textType = []byte("application/grpc-web-text")
	grpcType = []byte("application/grpc")
)

// RequestHead takes calls of gRPC-Web.
func (*translator) RequestHead(x plugin.Exchange) plugin.Verdict {
	req := x.Request()
	media := req.Header.Get("Content-Type")
	if req.Method != codec.MethodPost || !bytes.HasPrefix(media, webType) {
		return plugin.Verdict{}
	}
	kind := webType
	if bytes.HasPrefix(media, textType) {
		kind = textType
	}
	rest := media[len(kind):]
	if len(rest) > 0 && rest[0] != '+' && rest[0] != ';' {
		return plugin.Verdict{}
	}
	c := &call{text: len(kind) == len(textType), media: bytes.Clone(media)}
	req.Header.Set("Content-Type", append(append(x.Scratch(), grpcType...), rest...))
	if c.text {
		req.Header.RemoveID(codec.FieldContentLength)
		req.Framing = codec.Framing{Kind: codec.BodyStream}
	}
	x.Transform(c)
	return plugin.Verdict{}
}

// call is one call of gRPC-Web.
type call struct {
	text    bool
	media   []byte // the client's content type
	foreign bool   // the answer is not gRPC: it passes as it is
	in      decoder
	out     encoder
}

// RequestBody decodes a text.
func (c *call) RequestBody(dst, p []byte, end bool) ([]byte, error) {
	if !c.text {
		return append(dst, p...), nil
	}
	return c.in.append(dst, p, end)
}

// ResponseHead gives the answer the client's kind.
func (c *call) ResponseHead(x plugin.Exchange) {
	h := &x.Response().Header
	media := h.Get("Content-Type")
	if !bytes.HasPrefix(media, grpcType) || bytes.HasPrefix(media, webType) {
		c.foreign = true
		return
	}
	h.Set("Content-Type", c.media)
	h.RemoveID(codec.FieldContentLength)
	h.RemoveID(codec.FieldTrailer) // it will be in the body
}

// ResponseBody encodes a text.
func (c *call) ResponseBody(dst, p []byte) []byte {
	if !c.text || c.foreign {
		return append(dst, p...)
	}
	return c.out.append(dst, p)
}

// trailerFlag marks the message of a body that is its trailer.
const trailerFlag = 0x80

// ResponseEnd makes the trailer the last message of the body.
func (c *call) ResponseEnd(dst []byte, trailer *codec.Header) ([]byte, *codec.Header) {
	if c.foreign {
		return dst, trailer
	}
	var message []byte
	if trailer != nil {
		message = appendTrailer(nil, trailer)
	}
	if !c.text {
		return append(dst, message...), nil
	}
	return c.out.end(c.out.append(dst, message)), nil
}

// appendTrailer appends a message of the kind that gRPC-Web has for trailers: fields as HTTP/1.1 writes them, in lower case.
func appendTrailer(dst []byte, trailer *codec.Header) []byte {
	start := len(dst)
	dst = append(dst, trailerFlag, 0, 0, 0, 0)
	for i := range trailer.Len() {
		if trailer.Removed(i) {
			continue
		}
		dst = append(dst, bytes.ToLower(trailer.Name(i))...)
		dst = append(dst, ": "...)
		dst = append(dst, trailer.Value(i)...)
		dst = append(dst, "\r\n"...)
	}
	n := len(dst) - start - 5
	dst[start+1], dst[start+2], dst[start+3], dst[start+4] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return dst
}

var (
	_ plugin.RequestFilter = (*translator)(nil)
	_ plugin.Transformer   = (*call)(nil)
)
