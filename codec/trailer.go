package codec

import "sluice/internal/ascii"

// DropForbiddenTrailers takes out of a trailer section what may not stand there.
func (h *Header) DropForbiddenTrailers() {
	for i := range h.Len() {
		if ForbiddenTrailer(h.ID(i), h.Name(i)) {
			h.Remove(i)
		}
	}
}

// ForbiddenTrailer reports whether a field may not stand in a trailer section: it would change framing, routing, authentication, how the request is
// to be handled, or what the content means, after all of that was decided (RFC 9110 §6.5.1). Such a field is dropped:
// "X-Forwarded-For: 127.0.0.1" behind the body must not overrule the one in the head.
func ForbiddenTrailer(id FieldID, name []byte) bool {
	if id != FieldOther {
		return true
	}
	for _, s := range forbiddenTrailers {
		if len(name) == len(s) && ascii.EqualFold(name, s) {
			return true
		}
	}
	return false
}

// forbiddenTrailers are the names beyond those that codec knows, all of which are forbidden.
var forbiddenTrailers = [...]string{
	"forwarded", "via", "max-forwards", // routing
	"cache-control", "pragma", "range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", // handling
	"authorization", "www-authenticate", "authentication-info", "proxy-authentication-info", "cookie", "set-cookie", // authentication
	"content-encoding", "content-type", "content-range", "content-location", "content-language", "content-disposition", // content
	"age", "expires", "location", "retry-after", "vary", "warning", "allow", // control of responses
}
