package h1

import "sluice/codec"

// ParseResponse parses the head of a response from the front of buf. The outcomes and the duties of the caller are those of [ParseRequest].
// reqMethod is the method of the request that it answers, on which the framing depends.
//
// Fields that frame a body are taken out of the header of a response that cannot have one (1xx, 204); those of an answer to HEAD and of 304 stay
// as information, and a 205 has an empty body. KeepAlive is false when the node said so, when its body ends with the connection, and when it framed a body
// that a response of that status cannot have, since what follows on the connection is then anybody's guess.
func ParseResponse(buf []byte, resp *codec.Response, reqMethod codec.Method, lim *codec.Limits) (n int, err error) {
	resp.Rebase(buf)
	p := &resp.Progress
	if p.Stage < atLine {
		if done, err := parseStatusLine(buf, resp, lim); !done {
			return 0, err
		}
	}
	h := &resp.Header
	for {
		result, err := parseFields(buf, h, p, lim, responseFields)
		switch {
		case err != nil:
			return 0, err
		case result == lineUnfinished:
			return 0, nil
		case result == lineEnd:
			finishResponse(resp, reqMethod)
			return p.Scanned, nil
		}
		i := h.Len() - 1
		switch h.ID(i) {
		case codec.FieldContentLength:
			err = setLength(h.Value(i), p, &resp.Framing)
		case codec.FieldTransferEncoding:
			err = setCoding(h.Value(i), p, resp.Version, &resp.Framing)
		case codec.FieldConnection:
			err = connection(h.Value(i), p, lim)
		}
		if err != nil {
			return 0, err
		}
	}
}

const responseFields = 1<<codec.FieldContentLength | 1<<codec.FieldTransferEncoding | 1<<codec.FieldConnection | spacedColons

// The start of a status line has fixed positions: "HTTP/1.1 200".
const (
	statusAt  = len("HTTP/1.1 ")
	statusEnd = statusAt + 3
)

// parseStatusLine parses the status line, RFC 9112 §4. done is false when more bytes are needed and on error.
func parseStatusLine(buf []byte, resp *codec.Response, lim *codec.Limits) (done bool, err error) {
	p := &resp.Progress
	w := buf // what may be looked at: one byte more than the limit, for the CR
	limit := lim.RequestLine + 1
	if len(w) > limit {
		w = w[:limit]
	}
	if p.Stage == atStart {
		from := 0
		if len(w) >= statusAt && string(w[:statusAt]) == "HTTP/1.1 " {
			from = statusAt
		}
		for i := from; i < min(len(w), statusEnd); i++ {
			if err := statusByte(i, w[i]); err != nil {
				return false, err
			}
		}
		if len(w) <= statusEnd {
			return false, unfinishedLine(len(w), limit)
		}
		switch c := w[statusEnd]; c {
		case ' ':
			p.Cut[0] = statusEnd + 1
		case '\r': // the space is often left out with the reason
			p.Cut[0] = statusEnd
		default:
			return false, textReject(c, ErrStatus)
		}
		p.Seen, p.Stage = p.Cut[0], inReason
	}
	i := scanText(w, p.Seen)
	p.Seen = i
	if i == len(w) {
		return false, unfinishedLine(i, limit)
	}
	if w[i] != '\r' {
		return false, textReject(w[i], ErrReason)
	}
	if i+1 >= len(buf) {
		return false, nil
	}
	if buf[i+1] != '\n' {
		return false, ErrBareCR
	}
	resp.Version = codec.HTTP11
	if w[statusAt-2] == '0' {
		resp.Version = codec.HTTP10
	}
	resp.Status = int(w[statusAt]-'0')*100 + int(w[statusAt+1]-'0')*10 + int(w[statusAt+2]-'0')
	resp.SetReasonSpan(span(p.Cut[0], i))
	p.Scanned, p.Seen, p.Fields, p.Stage = i+2, i+2, i+2, atLine
	return true, nil
}

// statusByte returns why c cannot be byte i of a status line, or nil. A minor version above 1 is read as 1 (RFC 9110 §2.5).
func statusByte(i int, c byte) error {
	switch i {
	case 5:
		if class[c]&isDigit == 0 {
			return textReject(c, ErrStatusLine)
		}
		if c != '1' {
			return ErrVersionUnsupported
		}
	case 7:
		if class[c]&isDigit == 0 {
			return textReject(c, ErrStatusLine)
		}
	case statusAt:
		if c < '1' || c > '5' {
			return textReject(c, ErrStatus)
		}
	case statusAt + 1, statusAt + 2:
		if class[c]&isDigit == 0 {
			return textReject(c, ErrStatus)
		}
	default:
		if c != "HTTP/1.1 "[i] {
			return textReject(c, ErrStatusLine)
		}
	}
	return nil
}

// finishResponse does what needs the whole head: the framing of RFC 9112 §6.3.
func finishResponse(resp *codec.Response, reqMethod codec.Method) {
	p, f := &resp.Progress, &resp.Framing
	resp.KeepAlive = keepAlive(p, resp.Version)
	switch {
	case resp.Status < 200 || resp.Status == 204 || reqMethod == codec.MethodConnect && resp.Status < 300:
		if f.HasBody() {
			resp.KeepAlive = false
		}
		if p.Flags&(sawLength|sawCoding) != 0 {
			resp.Header.RemoveID(codec.FieldContentLength)
			resp.Header.RemoveID(codec.FieldTransferEncoding)
		}
		*f = codec.Framing{}
	case reqMethod == codec.MethodHead || resp.Status == 304:
		*f = codec.Framing{}
	case resp.Status == 205:
		// No content, and it says so (RFC 9110 §15.3.6). Clients do not agree whether to look for one.
		if f.Kind != codec.BodyLength || f.Length > 0 {
			resp.KeepAlive = false
		}
		*f = codec.Framing{Kind: codec.BodyLength}
	case p.Flags&(sawLength|sawCoding) == 0:
		f.Kind = codec.BodyClose
		resp.KeepAlive = false
	}
}
