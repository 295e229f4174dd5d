package h2

import (
	"strconv"

	"sluice/codec"
	"sluice/internal/ascii"
)

// ReadResponse decodes the header block that EventHead has announced into resp, the answer to a request with that method. ended, dst and errors are as for ReadRequest. Where the head is
// informational, another follows.
func (c *Conn) ReadResponse(dst []byte, s *Stream, resp *codec.Response, method codec.Method, ended bool, lim *codec.Limits) ([]byte, error) {
	f := &c.fields
	f.reset(dst, &resp.Header, lim, responseHead)
	resp.Reset(nil)
	dst, err := c.readFields()
	resp.Rebase(dst)
	resp.Version, resp.KeepAlive = codec.HTTP2, true
	if err == nil {
		err = f.finishResponse(s, resp, method, ended)
	}
	f.dst, f.header = nil, nil
	return dst, err
}

func (f *fields) finishResponse(s *Stream, resp *codec.Response, method codec.Method, ended bool) error {
	status := f.bytes(f.pseudo[pseudoStatus])
	if len(status) != 3 {
		return ErrStatus
	}
	for _, c := range status {
		if ascii.Class[c]&ascii.Digit == 0 {
			return ErrStatus
		}
		resp.Status = 10*resp.Status + int(c-'0')
	}
	if resp.Status < 100 || resp.Status > 599 || resp.Status == 101 { // RFC 9113 §8.6
		return ErrStatus
	}
	if resp.Informational() {
		if ended {
			return ErrStatus
		}
		return nil
	}
	s.headSeen = true
	if method == codec.MethodHead || resp.Status == 204 || resp.Status == 304 {
		s.bodyLeft = 0 // any data would be too much
		return nil     // content-length stays as information
	}
	if err := f.frame(&resp.Framing, ended); err != nil {
		return err
	}
	s.expect(resp.Framing)
	if !ended && resp.Framing == (codec.Framing{Kind: codec.BodyLength}) {
		resp.Framing.Kind = codec.BodyStream // nothing comes but the end, and perhaps a trailer before it, which one with a length could not have on HTTP/1.1
	}
	return nil
}

// ReadTrailer decodes the header block that EventTrailer has announced into h, without what may not stand in a trailer section (RFC 9110 §6.5.1). dst and errors are as for
// ReadRequest.
func (c *Conn) ReadTrailer(dst []byte, h *codec.Header, lim *codec.Limits) ([]byte, error) {
	f := &c.fields
	f.reset(dst, h, lim, trailerSection)
	h.Reset(nil)
	dst, err := c.readFields()
	h.Rebase(dst)
	if err == nil {
		h.DropForbiddenTrailers()
	}
	f.dst, f.header = nil, nil
	return dst, err
}

// appendStatus appends :status; the usual ones are in the static table.
func appendStatus(dst []byte, status int) []byte {
	for i := 8; i <= 14; i++ {
		if v := staticTable[i].value; len(v) == 3 && int(v[0]-'0')*100+int(v[1]-'0')*10+int(v[2]-'0') == status {
			return append(dst, 0x80|byte(i))
		}
	}
	var text [8]byte
	return appendLiteral(dst, 8, strconv.AppendInt(text[:0], int64(status), 10))
}
