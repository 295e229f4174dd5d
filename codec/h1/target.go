package h1

import (
	"bytes"

	"sluice/codec"
	"sluice/internal/ascii"
)

// setRequestLine applies the method and the target, which is not empty and has no byte that a target cannot have (RFC 9112 §3.2).
func setRequestLine(buf []byte, req *codec.Request, method, target codec.Span) error {
	req.Method = codec.ParseMethod(buf[method.Off : method.Off+method.Len])
	t := buf[target.Off : target.Off+target.Len]
	if req.Method == codec.MethodConnect {
		if !codec.ValidAuthority(t) || bytes.LastIndexByte(t, ':') <= bytes.LastIndexByte(t, ']') {
			return ErrTargetForm
		}
		return ErrConnect
	}
	switch {
	case t[0] == '/':
		setOrigin(req, method, target, t)
	case len(t) == 1 && t[0] == '*':
		if req.Method != codec.MethodOptions {
			return ErrTargetForm
		}
		req.SetLine(method, target, target, codec.Span{Off: target.Off + 1})
	default:
		return setAbsolute(req, method, target, t)
	}
	return nil
}

// setOrigin stores a target in origin form, whose bytes are t.
func setOrigin(req *codec.Request, method, target codec.Span, t []byte) {
	path, query := target, codec.Span{Off: target.Off + target.Len}
	if i := bytes.IndexByte(t, '?'); i >= 0 {
		path.Len = uint32(i)
		query = codec.Span{Off: target.Off + uint32(i) + 1, Len: target.Len - uint32(i) - 1}
	}
	req.SetLine(method, target, path, query)
}

// setAbsolute stores a target in absolute form, whose bytes are t (RFC 9112 §3.2.2). What goes upstream is in origin form.
func setAbsolute(req *codec.Request, method, target codec.Span, t []byte) error {
	scheme := schemeLen(t)
	if scheme == 0 {
		return ErrTargetForm
	}
	end := len(t)
	if i := bytes.IndexAny(t[scheme:], "/?"); i >= 0 {
		end = scheme + i
	}
	authority, rest := t[scheme:end], t[end:]
	if bytes.IndexByte(authority, '@') >= 0 {
		return ErrUserinfo
	}
	if !codec.ValidAuthority(authority) {
		return ErrAuthority
	}
	req.Progress.Flags |= absoluteForm
	req.SetHostSpan(codec.Span{Off: target.Off + uint32(scheme), Len: uint32(len(authority))})
	target.Off, target.Len = target.Off+uint32(end), target.Len-uint32(end)
	setOrigin(req, method, target, rest)
	switch {
	case len(rest) > 0 && rest[0] == '/':
	case len(rest) == 0 && req.Method == codec.MethodOptions:
		req.SetTarget([]byte("*")) // RFC 9112 §3.2.4
	case len(rest) == 0:
		req.SetTarget([]byte("/"))
	default:
		req.PrefixTarget("/")
	}
	return nil
}

// schemeLen returns how many bytes of an absolute target its scheme and "://" take, 0 when it is neither http nor https.
func schemeLen(t []byte) int {
	for _, s := range [...]string{"http://", "https://"} {
		if len(t) > len(s) && ascii.EqualFold(t[:len(s)], s) {
			return len(s)
		}
	}
	return 0
}
