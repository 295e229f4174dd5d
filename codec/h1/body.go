package h1

import (
	"math"

	"sluice/codec"
)

// BodyDecoder takes the payload out of a body as its bytes arrive. The zero value is done; Reset readies it for a message. It holds no
// memory but for trailer fields, and only once a message had some.
type BodyDecoder struct {
	state  bodyState
	digits uint8 // of the chunk size so far
	ext    int   // bytes of chunk extensions so far
	left   int64 // bytes to come: of the body for inLength, of the chunk otherwise
	lim    codec.Limits
	answer bool // the body is a response's

	trailers *trailers // nil until the first message that has any
}

// bodyState says where in a body the decoder stands.
type bodyState uint8

// In wire order.
const (
	bodyDone       bodyState = iota // the last byte has been taken
	inLength                        // BodyLength: left bytes to come
	untilClose                      // BodyClose
	atChunkSize                     // BodyStream: first digit of a chunk size
	inChunkSize                     // further digits
	afterChunkSize                  // white space after the size, which an extension must follow
	atExtName                       // after ";"
	inExtName                       //
	afterExtName                    // white space after the name
	atExtValue                      // after "="
	inExtToken                      //
	inExtQuoted                     // inside a quoted string
	inExtEscape                     // after "\" in it
	afterExtValue                   // after the closing quote, or white space after the value
	atChunkLF                       // after the CR of a chunk line
	inChunkData                     // left bytes to come
	atDataCR                        // after the data
	atDataLF                        //
	atTrailer                       // first byte after the last chunk's line
	inTrailer                       // field lines
	atFinalLF                       // after the CR of the empty line
)

// Reset readies d for a body with framing f. The limits of a field section hold for the trailer, that of a start line for all chunk extensions in sum; they
// are copied.
func (d *BodyDecoder) Reset(f codec.Framing, lim *codec.Limits) {
	d.digits, d.ext, d.left, d.lim, d.answer = 0, 0, 0, *lim, false
	if d.trailers != nil {
		d.trailers.reset()
	}
	switch f.Kind {
	case codec.BodyLength:
		d.left, d.state = f.Length, inLength
		if f.Length == 0 {
			d.state = bodyDone
		}
	case codec.BodyStream:
		d.state = atChunkSize
	case codec.BodyClose:
		d.state = untilClose
	default:
		d.state = bodyDone
	}
}

// ResetResponse is Reset for the body of a response, in which white space is taken where servers are known to write it, and goes no further: behind a chunk size that
// is padded, and before the colon of a trailer field (RFC 9112 §5.1).
func (d *BodyDecoder) ResetResponse(f codec.Framing, lim *codec.Limits) {
	d.Reset(f, lim)
	d.answer = true
}

// Next takes the next run of payload from the front of buf. It returns n > 0 when it took n bytes, of which data, a part of buf, is payload
// (possibly none, when only framing was taken); 0 and nil when more bytes are needed or the body is done; an error, always a
// *[codec.Reject], when the body is refused. The caller drops the n bytes before it calls again.
func (d *BodyDecoder) Next(buf []byte) (data []byte, n int, err error) {
	switch d.state {
	case bodyDone:
		return nil, 0, nil
	case untilClose:
		return buf, len(buf), nil
	case inLength:
		n = len(buf)
		if int64(n) >= d.left {
			n, d.state = int(d.left), bodyDone
		}
		d.left -= int64(n)
		return buf[:n:n], n, nil
	}
	return d.nextChunk(buf)
}

// Done reports whether the last byte of the message has been taken.
func (d *BodyDecoder) Done() bool { return d.state == bodyDone }

// EOF tells d that the connection has ended. It returns nil where the body ends with it or had ended before, and ErrTruncated otherwise.
func (d *BodyDecoder) EOF() error {
	if d.state == untilClose {
		d.state = bodyDone
	}
	if d.state != bodyDone {
		return ErrTruncated
	}
	return nil
}

// Remaining returns how many bytes of a body with a length are still to come, 0 when the body is done, and -1 when nobody knows. Of a body in chunks it is what is left of the chunk that has
// begun: as much comes at least.
func (d *BodyDecoder) Remaining() int64 {
	switch d.state {
	case bodyDone, inLength, inChunkData:
		return d.left
	}
	return -1
}

// Ahead returns how many of the bytes that come next are payload, whatever they are: what is left of a body with a length, no end of one that ends with the connection, 0 of any other.
func (d *BodyDecoder) Ahead() int64 {
	switch d.state {
	case inLength:
		return d.left
	case untilClose:
		return math.MaxInt64
	}
	return 0
}

// Skip takes n bytes that Next has not seen, of those that are Ahead.
func (d *BodyDecoder) Skip(n int) {
	if d.state != inLength {
		return
	}
	if d.left -= int64(n); d.left == 0 {
		d.state = bodyDone
	}
}

// Trailer returns the fields that followed a chunked body, without those that may not stand there (RFC 9110 §6.5.1); nil when there was none, and
// before the body is done. It is valid until Reset.
func (d *BodyDecoder) Trailer() *codec.Header {
	if d.state != bodyDone || d.trailers == nil || len(d.trailers.buf) == 0 {
		return nil
	}
	return &d.trailers.header
}
