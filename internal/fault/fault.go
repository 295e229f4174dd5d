// Package fault is the one way in which the data path says what went wrong with an exchange.
//
// An [Error] tells on which side it happened, whether another try may be made, and what the client is told. Nothing above the
// codecs names an HTTP status of its own: each is in the table of [Kind] below, which is the contract's.
package fault

import "strings"

// Side is where a failure began.
type Side uint8

// The sides.
const (
	Internal   Side = iota // in the gateway itself
	Downstream             // between the client and us
	Upstream               // between us and the node
)

func (s Side) String() string {
	return [...]string{"internal", "downstream", "upstream"}[s]
}

// Retry says whether the request may be sent once more.
type Retry uint8

// The retry classes.
const (
	Never        Retry = iota // a second try would fail the same way, or an answer has begun
	Always                    // the node has seen nothing of the request
	IfIdempotent              // the node may have acted on it, so only a method that may be repeated is
	IfReused                  // as IfIdempotent, and the connection had served before: its end was likely a race with the node's idle timeout
)

// Kind is what the client is told: a status and the word for it in the error body.
type Kind struct {
	Status int    // HTTP status; 0 where nobody is left to tell
	Code   string // the contract's word, such as "no_route"
	Text   string // one sentence for people
	Flag   string // a few letters for the access log, in Envoy's vocabulary of response flags
}

// GRPC returns the status that a gRPC client is told. Where the answer has an HTTP status that gRPC maps, it is that mapping; limits are RESOURCE_EXHAUSTED and
// what took too long is DEADLINE_EXCEEDED, which the mapping of statuses alone cannot tell.
func (k *Kind) GRPC() int {
	switch k.Status {
	case 408, 504:
		return GRPCDeadlineExceeded
	case 413, 414, 431:
		return grpcResourceExhausted
	case 404, 405, 426, 501, 505:
		return grpcUnimplemented
	case 421, 429, 502, 503:
		return GRPCUnavailable
	case 401:
		return grpcUnauthenticated
	case 403:
		return grpcPermissionDenied
	}
	return grpcInternal
}

// The contract's table. Order as there.
var (
	BadRequest         = &Kind{400, "bad_request", "The request is malformed or ambiguous.", "DPE"}
	NoRoute            = &Kind{404, "no_route", "No route matches this request.", "NR"}
	MethodNotAllowed   = &Kind{405, "method_not_allowed", "The path exists, but not with this method.", "NR"}
	Forbidden          = &Kind{403, "forbidden", "The request is not allowed.", "UAEX"}
	RequestTimeout     = &Kind{408, "request_timeout", "The request did not come in time.", "DT"}
	TooLarge           = &Kind{413, "too_large", "The body is larger than this gateway accepts.", "DPE"}
	URITooLong         = &Kind{414, "uri_too_long", "The request line is longer than this gateway accepts.", "DPE"}
	Misdirected        = &Kind{421, "misdirected_request", "This connection was made for another host. Repeat the request on a new one.", "DPE"}
	PlainHTTP          = &Kind{400, "bad_request", "This port speaks HTTPS, and the request is plain HTTP.", "DPE"}
	Expectation        = &Kind{417, "expectation_failed", "The expectation is not supported.", "DPE"}
	UpgradeRequired    = &Kind{426, "upgrade_required", "The request needs another protocol.", "DPE"}
	HeadersTooLarge    = &Kind{431, "headers_too_large", "The header fields are more or larger than this gateway accepts.", "DPE"}
	RateLimited        = &Kind{429, "rate_limited", "Too many requests.", "RL"}
	InternalError      = &Kind{500, "internal", "The gateway failed to handle this request.", "IE"}
	NotImplemented     = &Kind{501, "not_implemented", "The request uses a feature that is not supported.", "DPE"}
	VersionUnsupported = &Kind{505, "version_not_supported", "The HTTP version is not supported.", "DPE"}
	UpstreamConnect    = &Kind{502, "upstream_connect", "The upstream refused the connection.", "UF"}
	UpstreamReset      = &Kind{502, "upstream_reset", "The upstream closed the connection before it answered.", "UC"}
	UpstreamProtocol   = &Kind{502, "upstream_protocol", "The upstream answered with something that is not valid HTTP.", "UPE"}
	NoHealthyNode      = &Kind{503, "no_healthy_node", "No upstream node is available.", "UH"}
	Overloaded         = &Kind{503, "overloaded", "The gateway or the upstream is overloaded.", "UO"}
	ShortOfMemory      = &Kind{503, "overloaded", "The gateway is short of memory.", "OM"}
	UpstreamTimeout    = &Kind{504, "upstream_timeout", "The upstream did not answer in time.", "UT"}
	StreamIdle         = &Kind{0, "tunnel_idle", "Neither side of the tunnel said anything for too long.", "SI"}
	Stopped            = &Kind{0, "stopped", "The gateway ended before the exchange was over.", "LR"}
	ClientGone         = &Kind{0, "client_gone", "The client closed the connection.", "DC"}
)

// Kinds returns the whole table.
func Kinds() []*Kind {
	return []*Kind{
		BadRequest, Forbidden, NoRoute, MethodNotAllowed, RequestTimeout, TooLarge, URITooLong, Expectation, Misdirected, UpgradeRequired, HeadersTooLarge, RateLimited,
		InternalError, NotImplemented, VersionUnsupported, UpstreamConnect, UpstreamReset, UpstreamProtocol, NoHealthyNode, Overloaded, ShortOfMemory,
		UpstreamTimeout, StreamIdle, Stopped, ClientGone,
	}
}

// Error is one failure of an exchange. Kind is what the client is told and Cause why, for the log; Cause may be nil.
type Error struct {
	Op    string // what was being done, such as "connect" or "read response head"
	Side  Side
	Retry Retry
	Kind  *Kind
	Cause error
}

// New returns an Error with no retry.
func New(op string, side Side, kind *Kind, cause error) *Error {
	return &Error{Op: op, Side: side, Kind: kind, Cause: cause}
}

// Retryable is e with another retry class; it returns e.
func (e *Error) Retryable(r Retry) *Error {
	e.Retry = r
	return e
}

// Error returns side, operation and cause, such as "upstream: connect: connection refused".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Side.String())
	b.WriteString(": ")
	b.WriteString(e.Op)
	b.WriteString(": ")
	if e.Cause != nil {
		b.WriteString(e.Cause.Error())
	} else {
		b.WriteString(e.Kind.Code)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }
