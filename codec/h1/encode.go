package h1

import (
	"strconv"

	"sluice/codec"
)

// AppendRequestHead appends the head of req as HTTP/1.1: its fields in their order and spelling without the removed ones, then the empty line. Framing fields
// are written from req.Framing: one that is there keeps its place and gets a canonical value, one that does not fit is left out, one that is
// missing is added at the end, also for a body of HTTP/2 that is empty. A Host field is added in front when the header has none, from req.Host or, where that is empty too, from host: an old client need not name
// one, and the node is sent HTTP/1.1, which must have it (RFC 9112 §3.2). Fields that are for one hop only are the caller's to strip and add.
func AppendRequestHead(dst []byte, req *codec.Request, host string) []byte {
	dst = append(dst, req.MethodBytes()...)
	dst = append(dst, ' ')
	dst = append(dst, req.Target()...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	h := &req.Header
	if h.FindID(codec.FieldHost) < 0 {
		dst = append(dst, "Host: "...)
		if known := req.Host(); len(known) > 0 {
			dst = append(dst, known...)
		} else {
			dst = append(dst, host...)
		}
		dst = append(dst, "\r\n"...)
	}
	f := req.Framing
	if f.Kind == codec.BodyNone && saysEmpty(req) {
		f = codec.Framing{Kind: codec.BodyLength}
	}
	dst, framed := appendFields(dst, h, f, isFraming)
	if !framed {
		dst = appendFraming(dst, f)
	}
	return append(dst, "\r\n"...)
}

// saysEmpty reports whether a node should be told that there is no body: HTTP/2 needs no field for it, but where a method comes with content as a rule, servers of HTTP/1.1 may
// ask for a length (RFC 9110 §8.6).
func saysEmpty(req *codec.Request) bool {
	return req.Version == codec.HTTP2 && (req.Method == codec.MethodPost || req.Method == codec.MethodPut || req.Method == codec.MethodPatch)
}

// ResponseOptions is what the head of a response depends on besides the response.
type ResponseOptions struct {
	Version   codec.Version // of the client's request
	KeepAlive bool          // the connection to the client stays open after this response
	Framing   codec.Framing // as the body is sent to this client, see [ClientFraming]
}

// AppendResponseHead appends the head of resp as HTTP/1.1: the node's reason phrase, or the standard one where it gave none, and the fields in
// their order and spelling without the removed ones. Framing fields are written from opts.Framing as AppendRequestHead does; with
// BodyNone a Content-Length that is there stays as information (an answer to HEAD, 304), but not in 1xx and 204. Connection is written from
// opts alone, and names Upgrade where that is there; in 1xx it is the caller's.
func AppendResponseHead(dst []byte, resp *codec.Response, opts ResponseOptions) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(resp.Status), 10)
	dst = append(dst, ' ')
	if reason := resp.Reason(); len(reason) > 0 {
		dst = append(dst, reason...)
	} else {
		dst = append(dst, ReasonPhrase(resp.Status)...)
	}
	dst = append(dst, "\r\n"...)
	if resp.Status < 200 {
		dst, _ = appendFields(dst, &resp.Header, noBody, isFraming)
		return append(dst, "\r\n"...)
	}
	f := opts.Framing
	if resp.Status == 204 {
		f = noBody
	} else if f.Kind == codec.BodyNone {
		f = informational
	}
	dst, framed := appendFields(dst, &resp.Header, f, isOwn)
	if !framed {
		dst = appendFraming(dst, f)
	}
	upgrade := resp.Header.FindID(codec.FieldUpgrade) >= 0
	switch {
	case upgrade && !opts.KeepAlive:
		dst = append(dst, "Connection: close, upgrade\r\n"...)
	case upgrade: // RFC 9110 §7.8
		dst = append(dst, "Connection: upgrade\r\n"...)
	case !opts.KeepAlive:
		dst = append(dst, "Connection: close\r\n"...)
	case opts.Version == codec.HTTP10:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// ClientFraming returns how the body of resp is sent to an HTTP/1.x client that asked with method m in version v: without a length it is chunked
// for HTTP/1.1 and ends with the connection for HTTP/1.0, which must then not be kept alive. No body where there could be one is a body of no
// bytes, which HTTP/2 tells by the end of the stream: a client that is told nothing waits for the end of the connection (RFC 9112 §6.3).
func ClientFraming(resp *codec.Response, m codec.Method, v codec.Version) codec.Framing {
	f := resp.Framing
	switch {
	case f.Kind == codec.BodyNone && m != codec.MethodHead && !codec.Bodiless(resp.Status):
		return codec.Framing{Kind: codec.BodyLength}
	case f.Kind != codec.BodyStream && f.Kind != codec.BodyClose:
		return f
	case v == codec.HTTP10:
		return codec.Framing{Kind: codec.BodyClose}
	}
	return codec.Framing{Kind: codec.BodyStream}
}

// What appendFields does with framing fields when there is no body.
var (
	noBody        = codec.Framing{}                  // all are left out
	informational = codec.Framing{Kind: lengthStays} // Content-Length stays as it is
)

const lengthStays = codec.BodyClose + 1

func isFraming(id codec.FieldID) bool {
	return id == codec.FieldContentLength || id == codec.FieldTransferEncoding
}

// isOwn reports whether the head of a final response has that field from ResponseOptions.
func isOwn(id codec.FieldID) bool { return isFraming(id) || id == codec.FieldConnection }

// appendFields appends the fields of h, those for which own holds as f has them or not at all. framed tells whether f has been written.
func appendFields(dst []byte, h *codec.Header, f codec.Framing, own func(codec.FieldID) bool) (_ []byte, framed bool) {
	for i := 0; i < h.Len(); {
		next, lines := h.Run(i, own)
		if next > i {
			dst = append(dst, lines...)
			i = next
			continue
		}
		if !h.Removed(i) {
			switch id := h.ID(i); {
			case !own(id), id == codec.FieldContentLength && f.Kind == lengthStays:
				dst = appendLine(dst, h.Name(i), h.Value(i))
			case !framed && carries(id, f.Kind):
				dst = append(dst, h.Name(i)...)
				dst = appendFramingValue(dst, f)
				framed = true
			}
		}
		i++
	}
	return dst, framed
}

// carries reports whether the field says what a body of that kind needs.
func carries(id codec.FieldID, kind codec.BodyKind) bool {
	return id == codec.FieldContentLength && kind == codec.BodyLength ||
		id == codec.FieldTransferEncoding && kind == codec.BodyStream
}

func appendLine(dst, name, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// appendFraming appends the field that f needs, if any.
func appendFraming(dst []byte, f codec.Framing) []byte {
	switch f.Kind {
	case codec.BodyLength:
		dst = append(dst, "Content-Length"...)
	case codec.BodyStream:
		dst = append(dst, "Transfer-Encoding"...)
	default:
		return dst
	}
	return appendFramingValue(dst, f)
}

func appendFramingValue(dst []byte, f codec.Framing) []byte {
	if f.Kind == codec.BodyStream {
		return append(dst, ": chunked\r\n"...)
	}
	dst = append(dst, ": "...)
	dst = strconv.AppendInt(dst, f.Length, 10)
	return append(dst, "\r\n"...)
}

// AppendChunkHeader appends the line before a chunk of n bytes, n > 0. The chunk's data and AppendChunkEnd follow.
func AppendChunkHeader(dst []byte, n int) []byte {
	dst = strconv.AppendInt(dst, int64(n), 16)
	return append(dst, "\r\n"...)
}

// AppendChunkEnd appends what follows the data of a chunk.
func AppendChunkEnd(dst []byte) []byte { return append(dst, "\r\n"...) }

// AppendLastChunk appends the last chunk and the trailer section, and so ends the body. trailer may be nil; fields that may not stand
// in a trailer are left out.
func AppendLastChunk(dst []byte, trailer *codec.Header) []byte {
	dst = append(dst, "0\r\n"...)
	if trailer != nil {
		for i := range trailer.Len() {
			if !trailer.Removed(i) && !codec.ForbiddenTrailer(trailer.ID(i), trailer.Name(i)) {
				dst = appendLine(dst, trailer.Name(i), trailer.Value(i))
			}
		}
	}
	return append(dst, "\r\n"...)
}

// AppendContinue appends an interim response 100 (Continue).
func AppendContinue(dst []byte) []byte { return append(dst, "HTTP/1.1 100 Continue\r\n\r\n"...) }
