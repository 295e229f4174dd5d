package codec

// Response is the head of a response, in whichever protocol it came. See the package comment for how long its bytes live.
type Response struct {
	Header Header

	// Set by the parser.
	Status    int // three digits, 100 to 599
	Version   Version
	Framing   Framing
	KeepAlive bool // the node will take another request on the connection
	reason    place

	Progress // parser's own
}

// Reset makes r ready to be parsed anew from wire.
func (r *Response) Reset(wire []byte) {
	r.Header.Reset(wire)
	r.Status, r.Version, r.Framing, r.KeepAlive = 0, 0, Framing{}, false
	r.reason = place{}
	r.Progress = Progress{}
}

// Rebase says that the bytes of the wire now stand in buf, at the same offsets.
func (r *Response) Rebase(buf []byte) { r.Header.Rebase(buf) }

// SetReasonSpan stores where the reason phrase stands on the wire. For codecs.
func (r *Response) SetReasonSpan(s Span) { r.reason = place{Span: s} }

// SetStatus makes status, of a final answer, the one that goes on, with its usual reason phrase.
func (r *Response) SetStatus(status int) { r.Status, r.reason = status, place{} }

// Bodiless reports whether answers with that status have no body, whatever they were asked by (RFC 9110 §15.3.5, §15.4.5).
func Bodiless(status int) bool { return status < 200 || status == 204 || status == 304 }

// Reason returns the reason phrase as it came; empty in HTTP/2 and where the sender left it out.
func (r *Response) Reason() []byte { return r.Header.at(r.reason) }

// Informational reports whether another head follows this one: 1xx but for 101 (RFC 9110 §15.2).
func (r *Response) Informational() bool {
	return r.Status >= 100 && r.Status < 200 && r.Status != 101
}
