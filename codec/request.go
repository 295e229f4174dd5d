package codec

// Request is the head of a request, in whichever protocol it came. See the package comment for how long its bytes live.
type Request struct {
	Header Header // the fields, without pseudo-fields

	// Set by the parser.
	Method      Method
	Version     Version
	Framing     Framing
	KeepAlive   bool // the sender will use the connection again
	Expect100   bool // the sender waits for 100 (Continue) before the body
	UpgradeAsks bool // Connection names upgrade, and Upgrade is there (RFC 9110 §7.8)

	method place // the method's bytes
	target place // the request target in the form that goes upstream: origin form, or "*"
	host   place // the authority that the request is for: the target's when it has one, else Host's value
	path   place // the path within the target, "*" for the asterisk form, with no query
	query  place // after the "?", empty without one

	Progress // parser's own
}

// place is a span of the wire, or of the arena.
type place struct {
	Span
	arena bool
}

// Reset makes r ready to be parsed anew from wire.
func (r *Request) Reset(wire []byte) {
	r.Header.Reset(wire)
	r.Method, r.Version, r.Framing = 0, 0, Framing{}
	r.KeepAlive, r.Expect100, r.UpgradeAsks = false, false, false
	r.method, r.target, r.host, r.path, r.query = place{}, place{}, place{}, place{}, place{}
	r.Progress = Progress{}
}

// Rebase says that the bytes of the wire now stand in buf, at the same offsets.
func (r *Request) Rebase(buf []byte) { r.Header.Rebase(buf) }

// SetLine stores where the parts of the request line stand on the wire. For codecs.
func (r *Request) SetLine(method, target, path, query Span) {
	r.method, r.target = place{Span: method}, place{Span: target}
	r.path, r.query = place{Span: path}, place{Span: query}
}

// SetHostSpan stores where the authority stands on the wire. For codecs.
func (r *Request) SetHostSpan(host Span) { r.host = place{Span: host} }

// MethodBytes returns the method as it was written.
func (r *Request) MethodBytes() []byte { return r.Header.at(r.method) }

// Target returns the target as it goes upstream: in origin form or "*", as the client wrote it (of an absolute target, what follows the
// authority), or as SetTarget left it.
func (r *Request) Target() []byte { return r.Header.at(r.target) }

// Host returns the authority that the request is for, port included, as it was written.
func (r *Request) Host() []byte { return r.Header.at(r.host) }

// Path returns the raw path of the target, not decoded.
func (r *Request) Path() []byte { return r.Header.at(r.path) }

// Query returns what follows the "?" of the target, not decoded.
func (r *Request) Query() []byte { return r.Header.at(r.query) }

// SetTarget replaces path and query by a target in origin form. It is copied. The caller makes sure it has no byte that a target
// cannot hold (white space, controls).
func (r *Request) SetTarget(target []byte) { r.splitTarget(r.Header.stash(target)) }

// PrefixTarget puts prefix in front of the target: "/" makes "?q", left of an absolute target, "/?q". Both are copied.
func (r *Request) PrefixTarget(prefix string) {
	h := &r.Header
	p := place{Span{Off: uint32(len(h.arena))}, true}
	h.arena = append(h.arena, prefix...)
	h.arena = append(h.arena, r.Target()...)
	p.Len = uint32(len(h.arena)) - p.Off
	r.splitTarget(p)
}

// splitTarget makes what stands at p the target.
func (r *Request) splitTarget(p place) {
	r.target, r.path, r.query = p, p, place{Span{p.Off + p.Len, 0}, p.arena}
	for i, c := range r.Header.at(p) {
		if c == '?' {
			r.path.Len = uint32(i)
			r.query = place{Span{p.Off + uint32(i) + 1, p.Len - uint32(i) - 1}, p.arena}
			return
		}
	}
}

// SetMethod replaces the method, a token. It is copied.
func (r *Request) SetMethod(method []byte) {
	r.Method = ParseMethod(method)
	r.method = r.Header.stash(method)
}

// SetHost replaces the authority and the Host field. It is copied.
func (r *Request) SetHost(host []byte) {
	r.host = r.Header.stash(host)
	if r.Header.FindID(FieldHost) >= 0 {
		r.Header.Set("Host", host)
	}
}

func (h *Header) at(p place) []byte {
	if p.arena {
		return h.arena[p.Off : p.Off+p.Len : p.Off+p.Len]
	}
	return h.wire[p.Off : p.Off+p.Len : p.Off+p.Len]
}

// stash copies b into the arena.
func (h *Header) stash(b []byte) place {
	off := uint32(len(h.arena))
	h.arena = append(h.arena, b...)
	return place{Span{off, uint32(len(b))}, true}
}
