package proxy

import (
	"net/netip"

	"sluice/codec"
	"sluice/internal/when"
	"sluice/plugin"
)

// What a plugin sees of an exchange.

// Request returns the head that will be sent upstream.
func (x *Exchange) Request() *codec.Request { return &x.req }

// Response returns the head that will be sent to the client.
func (x *Exchange) Response() *codec.Response { return &x.resp }

// ClientIP returns the client's address.
func (x *Exchange) ClientIP() netip.Addr { return x.clientIP }

// RequestID returns the id of the exchange, empty while it has none.
func (x *Exchange) RequestID() []byte { return x.id[:x.idLen] }

// SetRequestID names the exchange.
func (x *Exchange) SetRequestID(id []byte) { x.idLen = copy(x.id[:], id) }

// Random returns 64 bits that nobody can predict.
func (x *Exchange) Random() uint64 { return x.worker.random.Uint64() }

// Scratch returns an empty slice for the current call.
func (x *Exchange) Scratch() []byte { return x.worker.scratch[:0] }

var _ plugin.Exchange = (*Exchange)(nil)

// What a route's condition sees of an exchange (when.View). The method Request of a plugin and these do not overlap.

// Method returns the method as it was sent.
func (x *Exchange) Method() []byte { return x.req.MethodBytes() }

// Host returns the authority of the request.
func (x *Exchange) Host() []byte { return x.req.Host() }

// Path returns the normalized path. It is there while the route is looked for.
func (x *Exchange) Path() []byte { return x.path }

// Header returns the first value of that name, or nil.
func (x *Exchange) Header(name string) []byte { return x.req.Header.Get(name) }

// Query returns the first value of that name, decoded, or nil.
func (x *Exchange) Query(name string) []byte { return when.QueryValue(x.req.Query(), name) }

// Cookie returns the first value of that name, or nil.
func (x *Exchange) Cookie(name string) []byte {
	h := &x.req.Header
	for i := h.Find("Cookie"); i >= 0; i = h.FindFrom(i+1, "Cookie") {
		if v := when.CookieValue(h.Value(i), name); v != nil {
			return v
		}
	}
	return nil
}

// IP returns the client's address.
func (x *Exchange) IP() netip.Addr { return x.clientIP }

var _ when.View = (*Exchange)(nil)
