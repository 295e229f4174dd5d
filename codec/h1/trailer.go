package h1

import (
	"sluice/codec"
	"sluice/internal/ascii"
)

// trailers is the trailer section of a body. Its bytes are copied, since those of the body before them are gone by then.
type trailers struct {
	buf      []byte
	header   codec.Header
	progress codec.Progress
}

func (t *trailers) reset() {
	t.buf = t.buf[:0]
	t.header.Reset(nil)
	t.progress = codec.Progress{Stage: atLine}
}

// takeTrailer takes bytes of the trailer section from the front of buf and returns how many. The limits are those of a head's fields.
func (d *BodyDecoder) takeTrailer(buf []byte) (n int, err error) {
	t := d.trailers
	if t == nil {
		t = new(trailers)
		t.reset()
		d.trailers = t
	}
	before := len(t.buf)
	n = min(len(buf), d.lim.Headers+len("\r\n")-before)
	t.buf = append(t.buf, buf[:n]...)
	t.header.Rebase(t.buf)
	for {
		result, err := parseFields(t.buf, &t.header, &t.progress, &d.lim, 0)
		switch {
		case err != nil:
			return 0, err
		case result == lineUnfinished:
			return n, nil
		case result == lineEnd:
			t.buf = t.buf[:t.progress.Scanned]
			t.dropForbidden()
			d.state = bodyDone
			return len(t.buf) - before, nil
		}
	}
}

func (t *trailers) dropForbidden() {
	for i := range t.header.Len() {
		if forbiddenTrailer(t.header.ID(i), t.header.Name(i)) {
			t.header.Remove(i)
		}
	}
}

// forbiddenTrailer reports whether a field may not stand in a trailer section: it would change framing, routing, authentication, how the request is
// to be handled, or what the content means, after all of that was decided (RFC 9110 §6.5.1). Such a field is dropped:
// "X-Forwarded-For: 127.0.0.1" behind the body must not overrule the one in the head.
func forbiddenTrailer(id codec.FieldID, name []byte) bool {
	if id != codec.FieldOther {
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
