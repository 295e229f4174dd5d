package h1

import (
	"math"

	"sluice/codec"
	"sluice/internal/ascii"
)

// setLength applies a Content-Length field.
func setLength(value []byte, p *codec.Progress, f *codec.Framing) error {
	if p.Flags&sawLength != 0 {
		return ErrContentLengthDuplicate
	}
	if p.Flags&sawCoding != 0 {
		return ErrLengthAndCoding
	}
	n, err := parseLength(value)
	if err != nil {
		return err
	}
	p.Flags |= sawLength
	*f = codec.Framing{Kind: codec.BodyLength, Length: n}
	return nil
}

// parseLength reads 1*DIGIT. No sign, no list: "Content-Length: 5, 6" is two lengths to two parsers.
func parseLength(value []byte) (int64, error) {
	if len(value) == 0 {
		return 0, ErrContentLength
	}
	var n int64
	for _, c := range value {
		if class[c]&isDigit == 0 {
			return 0, ErrContentLength
		}
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return 0, lengthOverflow(value)
		}
		n = n*10 + d
	}
	return n, nil
}

// lengthOverflow tells a number that is too large from something that is no number.
func lengthOverflow(value []byte) error {
	for _, c := range value {
		if class[c]&isDigit == 0 {
			return ErrContentLength
		}
	}
	return ErrContentLengthOverflow
}

// setCoding applies a Transfer-Encoding field.
func setCoding(value []byte, p *codec.Progress, v codec.Version, f *codec.Framing) error {
	if v == codec.HTTP10 {
		return ErrTransferEncodingVersion
	}
	if p.Flags&sawCoding != 0 {
		return ErrTransferEncodingDuplicate
	}
	if p.Flags&sawLength != 0 {
		return ErrLengthAndCoding
	}
	if !ascii.EqualFold(value, "chunked") {
		return codingReject(value)
	}
	p.Flags |= sawCoding
	*f = codec.Framing{Kind: codec.BodyStream}
	return nil
}

// codingReject returns why a Transfer-Encoding other than "chunked" is refused. Only a list of codings that ends in chunked is an honest request for a
// feature; "chunked, identity" or "chunked;x" hopes that somebody else reads it differently.
func codingReject(value []byte) error {
	var last []byte
	chunked := 0
	for more := true; more; {
		last, value, more = nextItem(value)
		if len(last) == 0 || scanToken(last, 0) < len(last) {
			return ErrTransferEncoding
		}
		if ascii.EqualFold(last, "chunked") {
			chunked++
		}
	}
	if chunked != 1 || !ascii.EqualFold(last, "chunked") {
		return ErrChunkedNotFinal
	}
	return ErrCodingUnsupported
}
