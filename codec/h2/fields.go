package h2

import (
	"sluice/codec"
	"sluice/internal/ascii"
)

// fields takes the fields of one header block, as they are decompressed, and keeps those that are within the limits.
type fields struct {
	dst     []byte        // the lines that are kept
	header  *codec.Header // nil: nothing is kept
	lim     *codec.Limits
	message messageKind
	count   int   // fields so far, kept or not
	updates int   // of the dynamic table's size
	reject  error // the first rule that the message breaks

	plain   bool       // a field that is no pseudo-field has come
	pseudo  pseudoSpan // where the pseudo-fields' values stand
	line    int        // bytes of dst that would be a request line or status line in HTTP/1.1
	seen    uint16     // a bit for each fieldKind
	cookies int
	length  int64 // content-length; -1 = none
	host    codec.Span
	hosted  bool // a Host has come
	expects bool
	te      bool // "te: trailers"
}

// pseudoSpan has a span for each kind that is a pseudo-field.
type pseudoSpan [pseudoUnknown]codec.Span

// messageKind is what a header block begins or ends.
type messageKind uint8

const (
	nothing messageKind = iota // a block that is read for the compression's sake
	requestHead
	responseHead
	trailerSection
	unjudged // every field is kept as it is: for tests of the decoder
)

func (f *fields) reset(dst []byte, h *codec.Header, lim *codec.Limits, message messageKind) {
	*f = fields{dst: dst[:0], header: h, lim: lim, message: message, length: -1}
}

// full reports whether no more is kept.
func (f *fields) full() bool { return f.message == nothing || f.reject != nil }

// refuse notes why the message is refused; only the first reason counts.
func (f *fields) refuse(r *codec.Reject) {
	if f.reject == nil {
		f.reject = r
	}
}

// take judges the field that stands at the end of dst: its name from start to mid, then ": " and its value. It keeps it with the end of the line, or cuts it off where
// nothing is kept any more.
func (f *fields) take(start, mid int, m mark) {
	f.count++
	if f.full() {
		f.dst = f.dst[:start]
		return
	}
	end := len(f.dst)
	f.dst = append(f.dst, "\r\n"...)
	if f.message == unjudged {
		return
	}
	name, value := span(start, mid), span(mid+2, end)
	switch {
	case m.kind.pseudo():
		f.takePseudo(m, value)
		f.countPseudo(len(f.dst)-start, m.kind)
	case m.bad&badName != 0:
		f.refuse(ErrName)
	case m.bad&badValue != 0:
		f.refuse(ErrValue)
	default:
		f.takePlain(name, value, m)
	}
	if len(f.dst)-f.line > f.lim.Headers {
		f.refuse(ErrFieldsTooLarge)
	}
}

// countPseudo notes n bytes that stand in the lines of fields for no field: the limit of a request line is theirs. The authority counts as the Host field that it is in
// HTTP/1.1, so that a head is within the limits of both versions or of neither.
func (f *fields) countPseudo(n int, kind fieldKind) {
	if kind == pseudoAuthority {
		f.line += len(":authority") - len("host")
		return
	}
	if f.line += n; f.line > f.lim.RequestLine+pseudoNames {
		f.refuse(ErrPathTooLong)
	}
}

// pseudoNames is what the names of the pseudo-fields and the ends of their lines take beside a request line.
const pseudoNames = 64

// takePseudo takes a pseudo-field (RFC 9113 §8.3).
func (f *fields) takePseudo(m mark, value codec.Span) {
	request := m.kind != pseudoStatus
	if f.plain || m.kind == pseudoUnknown || f.seen&(1<<m.kind) != 0 || request != (f.message == requestHead) || f.message == trailerSection {
		f.refuse(ErrPseudo)
		return
	}
	if m.bad != 0 {
		f.refuse(pseudoReject[m.kind])
		return
	}
	f.seen |= 1 << m.kind
	f.pseudo[m.kind] = value
	if m.kind == pseudoPath && int(value.Len) > f.lim.RequestLine {
		f.refuse(ErrPathTooLong)
	}
}

// pseudoReject is why a pseudo-field with a byte that no field has is refused.
var pseudoReject = [...]*codec.Reject{
	pseudoMethod: ErrMethod, pseudoScheme: ErrScheme, pseudoPath: ErrPath, pseudoAuthority: ErrAuthority, pseudoStatus: ErrStatus, pseudoProtocol: ErrPseudo,
}

// takePlain takes a field (RFC 9113 §8.2).
func (f *fields) takePlain(name, value codec.Span, m mark) {
	f.plain = true
	if f.header.Len() >= f.lim.HeaderCount {
		f.refuse(ErrTooManyFields)
		return
	}
	if m.bad&badSpace != 0 {
		if f.message == requestHead {
			f.refuse(ErrValue)
			return
		}
		// Some gRPC servers send metadata as they were given it; its white space means nothing.
		trimmed := codec.TrimOWS(f.bytes(value))
		copy(f.dst[value.Off:], trimmed)
		value.Len = uint32(len(trimmed))
		f.dst = append(f.dst[:value.Off+value.Len], "\r\n"...)
	}
	if m.id != codec.FieldOther && !f.takeKnown(value, m.id) {
		return
	}
	if m.kind == cookieField {
		f.cookies++
	}
	f.header.Append(name, value, m.id, uint32(len(f.dst)))
}

// takeKnown applies a field that decides about the message. It reports whether it is kept.
func (f *fields) takeKnown(value codec.Span, id codec.FieldID) bool {
	switch id {
	case codec.FieldConnection, codec.FieldProxyConnection, codec.FieldKeepAlive, codec.FieldTransferEncoding, codec.FieldUpgrade:
		f.refuse(ErrConnectionField)
		return false
	case codec.FieldTE:
		if !ascii.EqualFold(f.bytes(value), "trailers") {
			f.refuse(ErrConnectionField)
		}
		f.te = true
	case codec.FieldContentLength:
		f.takeLength(f.bytes(value))
	case codec.FieldHost:
		if f.message == requestHead && (f.hosted || value.Len == 0) {
			f.refuse(ErrHost)
		}
		f.host, f.hosted = value, true
	case codec.FieldLookalike:
		return f.message == responseHead // a request's goes no further (RFC 3875 §4.1.18)
	case codec.FieldExpect:
		if !ascii.EqualFold(f.bytes(value), "100-continue") {
			f.refuse(ErrExpectation)
		}
		f.expects = true
	}
	return f.reject == nil
}

// takeLength reads a content-length: 1*DIGIT that 63 bits hold, once.
func (f *fields) takeLength(value []byte) {
	if f.message == trailerSection {
		return // dropped with what else may not stand there
	}
	if f.length >= 0 || len(value) == 0 || len(value) > 18 {
		f.refuse(ErrContentLength)
		return
	}
	f.length = 0
	for _, c := range value {
		if ascii.Class[c]&ascii.Digit == 0 {
			f.refuse(ErrContentLength)
			return
		}
		f.length = 10*f.length + int64(c-'0')
	}
}

func (f *fields) has(k fieldKind) bool { return f.seen&(1<<k) != 0 }

func (f *fields) bytes(s codec.Span) []byte { return f.dst[s.Off : s.Off+s.Len] }

func span(from, to int) codec.Span { return codec.Span{Off: uint32(from), Len: uint32(to - from)} }
