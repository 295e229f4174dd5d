package h1

import "sluice/codec"

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
	var stops fieldSet
	if d.answer {
		stops = spacedColons
	}
	for {
		result, err := parseFields(t.buf, &t.header, &t.progress, &d.lim, stops)
		switch {
		case err != nil:
			return 0, err
		case result == lineUnfinished:
			return n, nil
		case result == lineEnd:
			t.buf = t.buf[:t.progress.Scanned]
			t.header.DropForbiddenTrailers()
			d.state = bodyDone
			return len(t.buf) - before, nil
		}
	}
}
