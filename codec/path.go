package codec

import "bytes"

// Why a path is refused for matching.
var (
	// ErrPathEscape: a "%" that two hexadecimal digits do not follow.
	ErrPathEscape = &Reject{Text: "codec: malformed escape in path", RFC: "RFC 3986 §2.1"}
	// ErrPathNUL: a NUL, which ends the path for programs written in C: "/public%00.html".
	ErrPathNUL = &Reject{Text: "codec: nul in path", RFC: "RFC 3986 §7.3"}
	// ErrPathSlash: "%2F", "%5C" or a backslash, so that there is more than one PathReading. To a node that decodes them "/public/..%2Fadmin" is "/admin"; to
	// another it is not.
	ErrPathSlash = &Reject{Text: "codec: hidden slash in path", RFC: "RFC 3986 §7.3"}
	// ErrPathAboveRoot: more ".." than there are segments before them.
	ErrPathAboveRoot = &Reject{Text: "codec: path climbs above the root", RFC: "RFC 3986 §5.2.4"}
	// ErrPathEmptySegment: ".." behind an empty segment, so that there is more than one PathReading. "/a/b//../c" is "/a/b/c", but "/a/c" to a node that merges
	// slashes.
	ErrPathEmptySegment = &Reject{Text: "codec: dot segment after an empty segment", RFC: "RFC 3986 §5.2.4"}
)

// PathReading is a way to take the parts of a path that nodes do not agree about.
type PathReading uint8

// The readings.
const (
	ReadLiteral PathReading = iota // by the RFC: an escaped slash and a backslash are parts of a segment, and a segment may be empty
	ReadDecoded                    // "%2F", "%5C" and the backslash are slashes
	ReadMerged                     // and several slashes in a row are one
	readOnlyOne                    // a path that the three above read differently is an error
)

// NormalizePath returns the path by which routes are matched (RFC 3986 §6.2.2): escapes of unreserved characters are decoded,
// others are kept with capital digits, then the segments "." and ".." are removed, however they were written. Nothing else is changed:
// "//" stays. raw is the path of a request target without its query; one that does not begin with a slash ("*") is taken as it is.
//
// When nothing is to be done path is raw itself; otherwise it is written to dst[:0], which must not overlap raw, and grown where dst has too little
// capacity. The error is one of the ErrPath values.
func NormalizePath(dst, raw []byte) (path []byte, err error) {
	if bytes.IndexByte(raw, '%') < 0 && bytes.IndexByte(raw, '\\') < 0 && !hasDotSegment(raw) {
		return raw, nil // as nearly all are
	}
	return ReadPath(dst, raw, readOnlyOne)
}

// ReadPath is NormalizePath for a path that has more than one reading: it returns the one that r asks for.
func ReadPath(dst, raw []byte, r PathReading) (path []byte, err error) {
	if len(raw) == 0 || raw[0] != '/' {
		return raw, nil
	}
	if r == readOnlyOne && bytes.IndexByte(raw, '\\') >= 0 {
		return nil, ErrPathSlash
	}
	if (r == readOnlyOne || r == ReadLiteral) && bytes.IndexByte(raw, '%') < 0 {
		if !hasDotSegment(raw) {
			return raw, nil
		}
		return removeDotSegments(append(dst[:0], raw...), r)
	}
	path, err = decodeEscapes(dst[:0], raw, r)
	if err != nil {
		return nil, err
	}
	if r == ReadDecoded || r == ReadMerged {
		turnSlashes(path)
	}
	if r == ReadMerged {
		path = mergeSlashes(path)
	}
	if !hasDotSegment(path) {
		return path, nil
	}
	return removeDotSegments(path, r)
}

// hasDotSegment reports whether a segment of path is "." or "..".
func hasDotSegment(path []byte) bool {
	for {
		i := bytes.Index(path, slashDot)
		if i < 0 {
			return false
		}
		rest := path[i+len(slashDot):]
		if len(rest) > 0 && rest[0] == '.' {
			rest = rest[1:]
		}
		if len(rest) == 0 || rest[0] == '/' {
			return true
		}
		path = rest
	}
}

var slashDot = []byte("/.")

// decodeEscapes appends raw to dst with its escapes in normal form, and those of slashes as r has them.
func decodeEscapes(dst, raw []byte, r PathReading) ([]byte, error) {
	for {
		i := bytes.IndexByte(raw, '%')
		if i < 0 {
			return append(dst, raw...), nil
		}
		if i+2 >= len(raw) {
			return nil, ErrPathEscape
		}
		high, low := unhex(raw[i+1]), unhex(raw[i+2])
		if high > 15 || low > 15 {
			return nil, ErrPathEscape
		}
		dst = append(dst, raw[:i]...)
		raw = raw[i+3:]
		c := high<<4 | low
		slash := c == '/' || c == '\\'
		switch {
		case c == 0:
			return nil, ErrPathNUL
		case slash && r == readOnlyOne:
			return nil, ErrPathSlash
		case slash && r != ReadLiteral:
			dst = append(dst, '/')
		case unreserved(c):
			dst = append(dst, c)
		default:
			const digits = "0123456789ABCDEF"
			dst = append(dst, '%', digits[high], digits[low])
		}
	}
}

// turnSlashes makes each backslash in path a slash, in place.
func turnSlashes(path []byte) {
	for i, c := range path {
		if c == '\\' {
			path[i] = '/'
		}
	}
}

// mergeSlashes makes each run of slashes in path one, in place.
func mergeSlashes(path []byte) []byte {
	out := path[:1]
	for _, c := range path[1:] {
		if c != '/' || out[len(out)-1] != '/' {
			out = append(out, c)
		}
	}
	return out
}

// removeDotSegments removes "." and ".." from path in place (RFC 3986 §5.2.4). What is kept always ends behind a slash when a segment begins.
func removeDotSegments(path []byte, r PathReading) ([]byte, error) {
	out := path[:1] // the first slash
	for rest := path[1:]; ; {
		segment, more := rest, false
		if i := bytes.IndexByte(rest, '/'); i >= 0 {
			segment, rest, more = rest[:i], rest[i+1:], true
		}
		switch string(segment) {
		case ".":
		case "..":
			if len(out) == 1 {
				return nil, ErrPathAboveRoot
			}
			if out[len(out)-2] == '/' && r == readOnlyOne {
				return nil, ErrPathEmptySegment
			}
			out = out[:bytes.LastIndexByte(out[:len(out)-1], '/')+1]
		default:
			out = append(out, segment...)
			if more {
				out = append(out, '/')
			}
		}
		if !more {
			return out, nil
		}
	}
}

// unreserved reports whether c means the same with and without an escape (RFC 3986 §2.3).
func unreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
		return true
	}
	return false
}

// unhex returns the value of a hexadecimal digit, or 255.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
