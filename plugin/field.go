package plugin

import (
	"strings"

	"sluice/codec"
)

// ValidFieldName reports whether a plugin may write a field of that name: a token (RFC 9110 §5.1).
func ValidFieldName(name string) bool { return name != "" && !strings.ContainsFunc(name, notToken) }

// ValidToken reports whether s is a token (RFC 9110 §5.6.2), as methods are.
func ValidToken(s string) bool { return ValidFieldName(s) }

func notToken(r rune) bool {
	switch {
	case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
		return false
	}
	return r > 0x7e || !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// ValidFieldValue reports whether a plugin may write that field value: no controls but the tab, and no white space at its ends
// (RFC 9110 §5.5). A value with CR LF in it would begin a field of its own.
func ValidFieldValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return strings.Trim(value, " \t") == value
}

// ReservedField reports whether a field is the gateway's own to write, so that no plugin may set, add or remove it: the framing of the
// body and what it says of its end, Host (Request.SetHost), and what speaks to the next hop alone. "Content-Length: 0" from a plugin would let a body pass as the next
// request.
func ReservedField(name string) bool {
	switch id := codec.LookupField([]byte(name)); id {
	case codec.FieldHost, codec.FieldContentLength, codec.FieldTransferEncoding, codec.FieldTrailer, codec.FieldExpect:
		return true
	default:
		return id.HopByHop()
	}
}
