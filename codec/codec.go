// Package codec holds the words that the protocols share: methods, header fields, requests, responses,
// body framing, limits and the reasons for refusing a message. It does no I/O, keeps no clock and starts
// no goroutine; the packages below it turn bytes into these words and back: h1, h2, and proxyproto for
// what a load balancer says in front of them.
//
// # Ownership of bytes
//
// A parsed [Request] or [Response] does not copy: its parts are positions in the buffer it was parsed from (the
// wire) or in the arena it keeps for parts that were added or replaced later. Every []byte that an accessor
// returns is valid until the wire is moved ([Header.Rebase]), the next call that adds or replaces a part of the same message, or
// Reset, whichever comes first. Who needs it longer copies it.
//
// Nothing here is safe for use by two goroutines at once: a message belongs to the loop that parsed it.
package codec

// Version is the protocol version of a message.
type Version uint8

// The versions that can be told apart once a head has been parsed.
const (
	HTTP10 Version = iota // HTTP/1.0
	HTTP11                // HTTP/1.1
	HTTP2                 // HTTP/2
)

// String returns the version as access logs write it, such as "HTTP/1.1".
func (v Version) String() string {
	switch v {
	case HTTP10:
		return "HTTP/1.0"
	case HTTP11:
		return "HTTP/1.1"
	case HTTP2:
		return "HTTP/2.0"
	}
	return "HTTP/?"
}

// Span is a range of bytes of a message's wire or arena.
type Span struct {
	Off uint32 // position of the first byte
	Len uint32 // number of bytes
}
