// Package plugin is what a plugin sees of the gateway and what it promises to it.
//
// A plugin works on an [Exchange], one request and its response, and never learns which protocol is on either side. It runs on
// the event loop that owns the exchange: it must not block, lock, or keep any slice it was handed beyond the call.
package plugin

import (
	"net/netip"

	"sluice/codec"
)

// Exchange is one request and its response as a plugin sees them. All methods are called on the loop that owns the exchange.
type Exchange interface {
	// Request returns the head that will be sent upstream. It may be changed in RequestHead only.
	Request() *codec.Request
	// Response returns the head that will be sent to the client. It may be changed in ResponseHead only, its status by SetStatus; that of a 101 stays. The framing follows.
	Response() *codec.Response
	// ClientIP returns the address of the client: the peer's, or what a trusted proxy said it is.
	ClientIP() netip.Addr
	// RequestID returns the id of this exchange, empty until a plugin has set one.
	RequestID() []byte
	// SetRequestID names the exchange in the access log and in error answers. id is copied; beyond 128 bytes it is cut.
	SetRequestID(id []byte)
	// Keep remembers a value of owner, a plugin's instance, until the exchange ends, in the place of one that it may have kept before. value is copied.
	Keep(owner any, value []byte)
	// Kept returns it, nil where there is none. It is valid until the current call returns.
	Kept(owner any) []byte
	// Random returns 64 bits that no client can predict. It never blocks and never fails.
	Random() uint64
	// Scratch returns an empty slice with some capacity that is free to use until the current call returns.
	Scratch() []byte
	// ReplaceBody makes body that of the response, in ResponseHead only; of several, the latest counts. It is not copied and must not change afterwards. The node's own body is dropped, and
	// its trailer with it, transformers do not get to see the new one, and the framing, of which Trailer is a part, is the gateway's to write. An answer that has no body, such as one to HEAD, gets none.
	ReplaceBody(body []byte)
	// Transform lets t work on what this exchange carries from now on. In RequestHead only. Of several, the latest is nearest to the node.
	Transform(t Transformer)
}

// Transformer works on the bodies of one exchange. It is made for it, by a RequestHead that calls Exchange.Transform, so it may keep what it has seen. Its methods are called
// on the loop that owns the exchange, in the order of the message; what they append to dst goes on in the place of p, which is valid during the call only. A body that is
// transformed has no length: a plugin that calls Transform and changes the request's body sets the request's framing itself.
type Transformer interface {
	// RequestBody takes a run of the request's body; end says that it is the last, which may be empty. An error refuses the request, 400.
	RequestBody(dst, p []byte, end bool) ([]byte, error)
	// ResponseHead is called behind the response filters, for the head that the client will get, one of the gateway's own included.
	ResponseHead(x Exchange)
	// ResponseBody takes a run of the response's body.
	ResponseBody(dst, p []byte) []byte
	// ResponseEnd takes the end of the response and its trailer, nil without. It appends what the body ends with, and returns the trailer that goes on.
	ResponseEnd(dst []byte, trailer *codec.Header) ([]byte, *codec.Header)
}

// RequestFilter looks at, changes or answers a request before a node is chosen. Called once per exchange.
type RequestFilter interface {
	RequestHead(x Exchange) Verdict
}

// ResponseFilter looks at or changes the head of the response that the client will get, one made by the gateway
// itself included. Called at most once per exchange, for the final head.
type ResponseFilter interface {
	ResponseHead(x Exchange)
}
