package codec

import "sluice/internal/ascii"

// StripHopByHop takes out the fields that go no further than the next hop, and those that Connection names
// (RFC 9110 §7.6.1). A Connection field that names a field every message needs (Host, Content-Length, Transfer-Encoding,
// the forwarded fields) does not remove it: "Connection: close, x-forwarded-for" is an attack on the next hop's trust.
func (h *Header) StripHopByHop() {
	if h.seen&hopByHopMask == 0 {
		return
	}
	for i := range h.fields {
		f := &h.fields[i]
		if f.ID == FieldOther || !f.ID.HopByHop() {
			continue
		}
		if f.ID == FieldConnection && f.flags&fieldRemoved == 0 {
			h.stripNamed(h.bytes(f, f.Value))
		}
		f.flags |= fieldRemoved
	}
}

// StripNamed takes out of h, a trailer, the fields that the Connection fields of its head name, which may have been taken out of that (RFC 9110 §7.6.1).
func (h *Header) StripNamed(head *Header) {
	if !head.Seen(FieldConnection) {
		return
	}
	for i := range head.fields {
		if head.fields[i].ID == FieldConnection {
			h.stripNamed(head.Value(i))
		}
	}
}

// hopByHopMask has the bit of every field that HopByHop names.
var hopByHopMask = func() (mask uint32) {
	for id := FieldOther; id <= FieldHTTP2Settings; id++ {
		if id.HopByHop() {
			mask |= 1 << id
		}
	}
	return mask
}()

// stripNamed takes out the fields that a Connection value lists.
func (h *Header) stripNamed(list []byte) {
	for len(list) > 0 {
		var option []byte
		option, list = NextListItem(list)
		if len(option) == 0 || protected(LookupField(option)) {
			continue
		}
		if ascii.EqualFold(option, "close") || ascii.EqualFold(option, "keep-alive") {
			continue
		}
		for i := range h.fields {
			f := &h.fields[i]
			if f.flags&fieldRemoved == 0 && equalFoldBytes(h.bytes(f, f.Name), option) {
				f.flags |= fieldRemoved
			}
		}
	}
}

// protected reports whether a Connection field may not remove that field.
func protected(id FieldID) bool {
	switch id {
	case FieldConnection, // "Connection: connection" would keep the options of a second one from being read
		FieldHost, FieldContentLength, FieldTransferEncoding, FieldExpect, FieldDate,
		FieldForwardedFor, FieldForwardedProto, FieldForwardedHost, FieldRealIP, FieldRequestID:
		return true
	}
	return false
}

// NextListItem cuts the first element off a comma-separated list (RFC 9110 §5.6.1), without the white space around it.
// Elements may be empty. Quoted strings are not looked into: no list that the gateway reads has them.
func NextListItem(list []byte) (item, rest []byte) {
	end := len(list)
	for i, c := range list {
		if c == ',' {
			end, rest = i, list[i+1:]
			break
		}
	}
	return TrimOWS(list[:end]), rest
}

// TrimOWS cuts spaces and tabs off both ends (RFC 9110 §5.6.3).
func TrimOWS(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

func equalFoldBytes(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && ascii.Lower(a[i]) != ascii.Lower(b[i]) {
			return false
		}
	}
	return true
}
