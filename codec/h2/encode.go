package h2

import (
	"strconv"

	"sluice/codec"
	"sluice/internal/ascii"
)

// Heads are written without a dynamic table: as indices of the static table where it has the field, else as literals that are never indexed. Costs of a table are a search for every
// field, 4 KiB a connection and, where one connection to a node carries requests of many clients, that the length of one client's request tells about another's
// secrets. "Never indexed" also keeps the promise to write a field so that came so (RFC 7541 §6.2.3), without a note of which those were. Huffman coding is left out: it saves a fifth of some 200 bytes.

// RequestOptions are what the head of a request says beside the request.
type RequestOptions struct {
	Scheme   string // "http" or "https"
	Host     string // of a request that names none
	Protocol []byte // that an extended CONNECT asks for (RFC 8441 §4); nil = the request is what it is
	Trailers bool   // they are welcome
}

// AppendRequestHead appends the head of req as the first frames of s, which Open has taken; ended says that there is no body. Fields are written as the HTTP/1.1 encoder
// does, their names in lower case, without Host and what belongs to a connection.
func (c *Conn) AppendRequestHead(dst []byte, s *Stream, req *codec.Request, opts RequestOptions, ended bool) []byte {
	start := len(dst)
	dst = c.beginHead(dst)
	switch {
	case opts.Protocol != nil:
		dst = appendLiteral(dst, 2, connect)
		dst = appendField(dst, protocolName, opts.Protocol)
	case req.Method == codec.MethodGet:
		dst = append(dst, 0x80|2)
	case req.Method == codec.MethodPost:
		dst = append(dst, 0x80|3)
	default:
		dst = appendLiteral(dst, 2, req.MethodBytes())
	}
	if opts.Scheme == "https" {
		dst = append(dst, 0x80|7)
	} else {
		dst = append(dst, 0x80|6)
	}
	dst = appendLiteral(dst, 4, req.Target())
	if host := req.Host(); len(host) > 0 {
		dst = appendLiteral(dst, 1, host)
	} else {
		dst = append(appendInt(appendInt(dst, 0x10, 4, 1), 0, 7, len(opts.Host)), opts.Host...)
	}
	skip := -1
	if opts.Protocol != nil {
		skip = req.Header.Find("sec-websocket-key") // nobody answers it (RFC 8441 §5)
	}
	dst = appendFields(dst, &req.Header, skip, req.Framing, false)
	if opts.Trailers {
		dst = appendField(dst, teName, trailersWelcome)
	}
	return c.endHead(dst, start, s, ended)
}

var connect, protocolName = []byte("CONNECT"), []byte(":protocol")

var teName, trailersWelcome = []byte("te"), []byte("trailers")

// AppendResponseHead appends the head of resp to the stream s; ended says that nothing follows. Of a head with 1xx there may be any number before the final one.
func (c *Conn) AppendResponseHead(dst []byte, s *Stream, resp *codec.Response, ended bool) []byte {
	start := len(dst)
	dst = c.beginHead(dst)
	dst = appendStatus(dst, resp.Status)
	keepsLength := resp.Framing.Kind == codec.BodyNone && resp.Status >= 200 && resp.Status != 204
	dst = appendFields(dst, &resp.Header, -1, resp.Framing, keepsLength)
	return c.endHead(dst, start, s, ended)
}

// AppendTrailer appends a trailer section, which ends the stream.
func (c *Conn) AppendTrailer(dst []byte, s *Stream, trailer *codec.Header) []byte {
	start := len(dst)
	dst = c.beginHead(dst)
	for i := range trailer.Len() {
		if !trailer.Removed(i) && !codec.ForbiddenTrailer(trailer.ID(i), trailer.Name(i)) {
			dst = appendField(dst, trailer.Name(i), trailer.Value(i))
		}
	}
	if len(dst) == start+frameHeaderLen { // a header block of nothing would be none of a trailer section
		dst = dst[:start]
		return c.AppendData(dst, s, nil, true)
	}
	return c.endHead(dst, start, s, true)
}

// beginHead leaves room for the header of the frame. The first block of all says that our dynamic table is empty for good, whatever size the peer allows.
func (c *Conn) beginHead(dst []byte) []byte {
	dst = append(dst, make([]byte, frameHeaderLen)...)
	if !c.tableTold {
		c.tableTold = true
		dst = append(dst, 0x20)
	}
	return dst
}

// endHead puts the header of the frame before the block that begins at start, or cuts the block into frames where it is too large for one.
func (c *Conn) endHead(dst []byte, start int, s *Stream, ended bool) []byte {
	var flags byte
	if ended {
		flags = flagEndStream
	}
	n := len(dst) - start - frameHeaderLen
	if n <= MaxFrame {
		appendFrameHeader(dst[:start], n, frameHeaders, flags|flagEndHeaders, s.ID)
	} else {
		block := append([]byte(nil), dst[start+frameHeaderLen:]...) // rare: no request of a browser comes near it
		dst = appendFrameHeader(dst[:start], MaxFrame, frameHeaders, flags, s.ID)
		dst = append(dst, block[:MaxFrame]...)
		for block = block[MaxFrame:]; len(block) > MaxFrame; block = block[MaxFrame:] {
			dst = append(appendFrameHeader(dst, MaxFrame, frameContinuation, 0, s.ID), block[:MaxFrame]...)
		}
		dst = append(appendFrameHeader(dst, len(block), frameContinuation, flagEndHeaders, s.ID), block...)
	}
	if ended {
		c.endSending(s)
	}
	return dst
}

// appendFields appends the fields of h but for the one at skip and those that belong to an HTTP/1.1 connection. content-length is written from f, as the HTTP/1.1 encoder does.
func appendFields(dst []byte, h *codec.Header, skip int, f codec.Framing, keepsLength bool) []byte {
	for i := range h.Len() {
		if h.Removed(i) || i == skip {
			continue
		}
		if id := h.ID(i); id != codec.FieldOther {
			if id == codec.FieldHost || id == codec.FieldTransferEncoding || id.HopByHop() {
				continue
			}
			if id == codec.FieldContentLength && !keepsLength {
				continue
			}
		}
		dst = appendField(dst, h.Name(i), h.Value(i))
	}
	if f.Kind == codec.BodyLength {
		var text [20]byte
		dst = appendLiteral(dst, 28, strconv.AppendInt(text[:0], f.Length, 10))
	}
	return dst
}

// appendField appends a field with its name in lower case.
func appendField(dst, name, value []byte) []byte {
	var lower [32]byte
	if len(name) <= len(lower) {
		for i, c := range name {
			lower[i] = ascii.Lower(c)
		}
		if i := findStatic(lower[:len(name)]); i > 0 {
			return appendLiteral(dst, i, value)
		}
		name = lower[:len(name)]
	}
	dst = append(dst, 0x10)
	dst = appendInt(dst, 0, 7, len(name))
	for _, c := range name {
		dst = append(dst, ascii.Lower(c))
	}
	dst = appendInt(dst, 0, 7, len(value))
	return append(dst, value...)
}

// appendLiteral appends a field whose name is in the static table.
func appendLiteral(dst []byte, name int, value []byte) []byte {
	dst = appendInt(dst, 0x10, 4, name)
	dst = appendInt(dst, 0, 7, len(value))
	return append(dst, value...)
}

// appendInt appends an integer whose first byte has pattern above its prefix bits (RFC 7541 §5.1).
func appendInt(dst []byte, pattern byte, prefix uint, n int) []byte {
	most := 1<<prefix - 1
	if n < most {
		return append(dst, pattern|byte(n))
	}
	dst = append(dst, pattern|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}
