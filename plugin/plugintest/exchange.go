// Package plugintest helps to test plugins: an Exchange without a gateway, and a check of a kind's schema against what it builds.
package plugintest

import (
	"net/netip"
	"strings"

	"sluice/codec"
	"sluice/plugin"
)

// Exchange is a plugin.Exchange of one request that a test wrote down.
type Exchange struct {
	Req     codec.Request
	Resp    codec.Response
	IP      netip.Addr
	ID      []byte
	Randoms uint64 // how often Random was called; the numbers it returns follow from it
	buf     []byte

	Body         []byte               // of the latest ReplaceBody
	Replaced     bool                 // ReplaceBody was called
	Transformers []plugin.Transformer // in the order of the calls of Transform

	kept map[any][]byte

	// To begin again.
	method, target, path, query codec.Span
}

// New returns an exchange with a request such as "GET /a?b=c" and fields such as "Host: example.com", and an empty response 200.
func New(line string, fields ...string) *Exchange {
	x := &Exchange{IP: netip.MustParseAddr("192.0.2.1"), buf: make([]byte, 0, 4096)}
	method, target, _ := strings.Cut(line, " ")
	path, query, hasQuery := strings.Cut(target, "?")
	x.Req.Header.Reset([]byte(line))
	at := uint32(len(method) + 1)
	x.method = codec.Span{Len: uint32(len(method))}
	x.target = codec.Span{Off: at, Len: uint32(len(target))}
	x.path = codec.Span{Off: at, Len: uint32(len(path))}
	x.query = codec.Span{Off: uint32(len(line))}
	if hasQuery {
		x.query = codec.Span{Off: at + x.path.Len + 1, Len: uint32(len(query))}
	}
	x.Again()
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		x.Req.Header.Add(name, []byte(value))
		if strings.EqualFold(name, "host") {
			x.Req.SetHost([]byte(value))
		}
	}
	return x
}

// Again makes the request as it was first, without its fields, and the response empty, in the memory they have: for tests that count
// allocations.
func (x *Exchange) Again() {
	x.Req.Reset(x.Req.Header.Wire())
	x.Req.SetLine(x.method, x.target, x.path, x.query)
	x.Req.Method = codec.ParseMethod(x.Req.MethodBytes())
	x.Req.Version = codec.HTTP11
	x.Resp.Reset(nil)
	x.Resp.Status = 200
	x.Body, x.Replaced = nil, false
}

// Request returns the request.
func (x *Exchange) Request() *codec.Request { return &x.Req }

// Response returns the response.
func (x *Exchange) Response() *codec.Response { return &x.Resp }

// ClientIP returns IP.
func (x *Exchange) ClientIP() netip.Addr { return x.IP }

// RequestID returns ID.
func (x *Exchange) RequestID() []byte { return x.ID }

// SetRequestID copies id, cut at 128 bytes.
func (x *Exchange) SetRequestID(id []byte) { x.ID = append(x.ID[:0], id[:min(len(id), 128)]...) }

// Keep copies value.
func (x *Exchange) Keep(owner any, value []byte) {
	if x.kept == nil {
		x.kept = make(map[any][]byte)
	}
	x.kept[owner] = append(x.kept[owner][:0], value...)
}

// Kept returns what Keep was given.
func (x *Exchange) Kept(owner any) []byte { return x.kept[owner] }

// Random returns a number that differs from call to call and is the same in every run.
func (x *Exchange) Random() uint64 {
	x.Randoms++
	return x.Randoms * 0x9e3779b97f4a7c15
}

// Scratch returns an empty slice with 4 KiB of capacity.
func (x *Exchange) Scratch() []byte { return x.buf[:0] }

// ReplaceBody notes body.
func (x *Exchange) ReplaceBody(body []byte) { x.Body, x.Replaced = body, true }

// Transform notes t.
func (x *Exchange) Transform(t plugin.Transformer) { x.Transformers = append(x.Transformers, t) }

// Fields returns what a header holds, as "Name: value" in order.
func Fields(h *codec.Header) []string {
	var list []string
	for i := range h.Len() {
		if !h.Removed(i) {
			list = append(list, string(h.Name(i))+": "+string(h.Value(i)))
		}
	}
	return list
}

var _ plugin.Exchange = (*Exchange)(nil)
