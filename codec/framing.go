package codec

// BodyKind is how the end of a body is known (RFC 9112 §6.3).
type BodyKind uint8

// The four framings. HTTP/2 bodies are BodyLength when content-length is present and BodyStream otherwise.
const (
	BodyNone   BodyKind = iota // there is no body
	BodyLength                 // exactly Framing.Length bytes follow
	BodyStream                 // the protocol marks the end itself: chunked in HTTP/1.1, END_STREAM in HTTP/2
	BodyClose                  // the body ends when the connection does; responses only
)

// Framing says how a message's body is delimited, free of any protocol's own means.
type Framing struct {
	Kind   BodyKind
	Length int64 // bytes, for BodyLength only; never negative
}

// HasBody reports whether any byte of body may follow the head.
func (f Framing) HasBody() bool {
	return f.Kind == BodyStream || f.Kind == BodyClose || f.Kind == BodyLength && f.Length > 0
}
