package codec

import "sluice/internal/ascii"

// FieldID is a field name that some part of the gateway treats in its own way; FieldOther is any other.
type FieldID uint8

// The fields that are known by name.
const (
	FieldOther FieldID = iota
	FieldHost
	FieldConnection
	FieldContentLength
	FieldTransferEncoding
	FieldTE
	FieldTrailer
	FieldUpgrade
	FieldKeepAlive
	FieldProxyConnection
	FieldProxyAuthenticate
	FieldProxyAuthorization
	FieldExpect
	FieldForwardedFor   // X-Forwarded-For
	FieldForwardedProto // X-Forwarded-Proto
	FieldForwardedHost  // X-Forwarded-Host
	FieldRealIP         // X-Real-IP
	FieldRequestID      // X-Request-Id
	FieldDate
	FieldServer
	FieldUserAgent
	FieldReferer
	FieldLookalike     // Content_Length and the like, see match
	FieldHTTP2Settings // HTTP2-Settings; the last, see hopByHopMask
)

// LookupField returns what a field of that name is, whatever its case. Length and first letter decide for nearly all that are not known; the usual
// spellings are compared as words, which costs a tenth of folding each byte.
func LookupField(name []byte) FieldID {
	if len(name) == 0 || firstLetters[len(name)&31]>>(name[0]&31)&1 == 0 {
		return FieldOther
	}
	switch string(name) {
	case "Host", "host":
		return FieldHost
	case "Connection", "connection":
		return FieldConnection
	case "Content-Length", "content-length":
		return FieldContentLength
	case "Transfer-Encoding", "transfer-encoding":
		return FieldTransferEncoding
	case "User-Agent", "user-agent":
		return FieldUserAgent
	case "Date", "date":
		return FieldDate
	case "Server", "server":
		return FieldServer
	}
	return lookupFold(name)
}

// firstLetters has, for the low five bits of the length of each name that is known, a bit for the low five bits of its first letter.
var firstLetters = [32]uint32{
	2:  letter('t'),
	4:  letter('h') | letter('d'),
	6:  letter('e') | letter('s'),
	7:  letter('r') | letter('t') | letter('u'),
	9:  letter('x'),
	10: letter('c') | letter('k') | letter('u'),
	12: letter('x'),
	14: letter('c') | letter('h'),
	15: letter('x'),
	16: letter('p') | letter('x'),
	17: letter('t') | letter('x'),
	18: letter('p'),
	19: letter('p'),
}

func letter(c byte) uint32 { return 1 << (c & 31) }

// lookupFold is LookupField for any spelling. The length decides first, so that most names cost one comparison at most.
func lookupFold(name []byte) FieldID {
	switch len(name) {
	case 2:
		return match(name, "te", FieldTE)
	case 4:
		if c := ascii.Lower(name[0]); c == 'd' {
			return match(name, "date", FieldDate)
		}
		return match(name, "host", FieldHost)
	case 6:
		if c := ascii.Lower(name[0]); c == 's' {
			return match(name, "server", FieldServer)
		}
		return match(name, "expect", FieldExpect)
	case 7:
		switch ascii.Lower(name[0]) {
		case 't':
			return match(name, "trailer", FieldTrailer)
		case 'r':
			return match(name, "referer", FieldReferer)
		}
		return match(name, "upgrade", FieldUpgrade)
	case 9:
		return match(name, "x-real-ip", FieldRealIP)
	case 10:
		switch ascii.Lower(name[0]) {
		case 'c':
			return match(name, "connection", FieldConnection)
		case 'u':
			return match(name, "user-agent", FieldUserAgent)
		}
		return match(name, "keep-alive", FieldKeepAlive)
	case 12:
		return match(name, "x-request-id", FieldRequestID)
	case 14:
		if c := ascii.Lower(name[0]); c == 'c' {
			return match(name, "content-length", FieldContentLength)
		}
		return match(name, "http2-settings", FieldHTTP2Settings)
	case 15:
		return match(name, "x-forwarded-for", FieldForwardedFor)
	case 16:
		if c := ascii.Lower(name[0]); c == 'p' {
			return match(name, "proxy-connection", FieldProxyConnection)
		}
		return match(name, "x-forwarded-host", FieldForwardedHost)
	case 17:
		if c := ascii.Lower(name[0]); c == 't' {
			return match(name, "transfer-encoding", FieldTransferEncoding)
		}
		return match(name, "x-forwarded-proto", FieldForwardedProto)
	case 18:
		return match(name, "proxy-authenticate", FieldProxyAuthenticate)
	case 19:
		return match(name, "proxy-authorization", FieldProxyAuthorization)
	}
	return FieldOther
}

// match returns id when name is lower in any case. Where a forged field would decide about framing or trust, a name that has "_" for "-" is
// FieldLookalike: to nodes that turn both into one variable, as CGI and WSGI do, "X_Forwarded_For: 127.0.0.1" is the field that the gateway sets. Such a
// field goes no further; any other name with an underscore is as good as one without.
func match(name []byte, lower string, id FieldID) FieldID {
	if ascii.EqualFold(name, lower) {
		return id
	}
	switch id {
	case FieldContentLength, FieldTransferEncoding, FieldForwardedFor, FieldForwardedProto, FieldForwardedHost, FieldRealIP:
		if looksLike(name, lower) {
			return FieldLookalike
		}
	}
	return FieldOther
}

// looksLike reports whether name, which is as long as lower, differs from it by case and by "_" for "-" only.
func looksLike(name []byte, lower string) bool {
	for i, c := range name {
		if c = ascii.Lower(c); c != lower[i] && (c != '_' || lower[i] != '-') {
			return false
		}
	}
	return true
}

// HopByHop reports whether the field speaks to the next hop alone and goes no further (RFC 9110 §7.6.1). The framing fields
// are not among them: who serializes a message writes those from its Framing. Nor is Trailer: it tells of fields that go on, and many a server looks at no others (§6.6.2).
func (id FieldID) HopByHop() bool {
	switch id {
	case FieldConnection, FieldTE, FieldUpgrade, FieldKeepAlive, FieldProxyConnection,
		FieldProxyAuthenticate, FieldProxyAuthorization, FieldHTTP2Settings:
		return true
	}
	return false
}
