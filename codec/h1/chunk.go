package h1

import "bytes"

// maxSizeDigits are the hexadecimal digits of 64 bits. More can only be leading zeros, which count as extensions do: nobody needs them.
const maxSizeDigits = 16

// nextChunk is Next for a chunked body (RFC 9112 §7.1).
func (d *BodyDecoder) nextChunk(buf []byte) (data []byte, n int, err error) {
	for n < len(buf) && d.state != bodyDone {
		switch d.state {
		case inChunkData:
			return d.takeData(buf, n)
		case inTrailer:
			m, err := d.takeTrailer(buf[n:])
			if err != nil {
				return nil, 0, err
			}
			n += m
		case atTrailer:
			if buf[n] != '\r' {
				d.state = inTrailer
				continue
			}
			d.state = atFinalLF
			n++
		default:
			if err := d.frame(buf[n]); err != nil {
				return nil, 0, err
			}
			n++
		}
	}
	return nil, n, nil
}

// takeData returns the data that begins at buf[n], and takes the framing behind it where that is the usual one.
func (d *BodyDecoder) takeData(buf []byte, n int) ([]byte, int, error) {
	end := len(buf)
	if int64(end-n) >= d.left {
		end = n + int(d.left)
		d.state = atDataCR
	}
	d.left -= int64(end - n)
	data := buf[n:end:end]
	if d.state == atDataCR && len(buf) >= end+2 && buf[end] == '\r' && buf[end+1] == '\n' {
		end += 2
		d.state = atChunkSize
		if bytes.HasPrefix(buf[end:], lastChunk) {
			end += len(lastChunk)
			d.state = bodyDone
		}
	}
	return data, end, nil
}

var lastChunk = []byte("0\r\n\r\n")

// frame takes one byte of the framing around chunks.
func (d *BodyDecoder) frame(c byte) error {
	switch d.state {
	case atChunkSize:
		if class[c]&isHex == 0 {
			return textReject(c, ErrChunkSize)
		}
		d.left, d.digits, d.state = hexValue(c), 1, inChunkSize
	case inChunkSize:
		return d.sizeByte(c)
	case atChunkLF:
		if c != '\n' {
			return ErrBareCR
		}
		d.state = inChunkData
		if d.left == 0 {
			d.state = atTrailer
		}
	case atDataCR:
		if c != '\r' {
			return ErrChunkEnd
		}
		d.state = atDataLF
	case atDataLF:
		if c != '\n' {
			return ErrChunkEnd
		}
		d.state = atChunkSize
	case atFinalLF:
		if c != '\n' {
			return ErrBareCR
		}
		d.state = bodyDone
	default:
		return d.extensionByte(c)
	}
	return nil
}

// sizeByte takes a byte after the first digit of a chunk size.
func (d *BodyDecoder) sizeByte(c byte) error {
	switch {
	case class[c]&isHex != 0:
		if d.digits < maxSizeDigits {
			d.digits++
		} else if d.ext++; d.ext > d.lim.RequestLine {
			return ErrChunkSizeOverflow
		}
		if d.left > 1<<59-1 {
			return ErrChunkSizeOverflow
		}
		d.left = d.left<<4 | hexValue(c)
	case c == '\r':
		d.state = atChunkLF
	case c == ';':
		d.state = atExtName
	case c == ' ' || c == '\t':
		d.state = afterChunkSize
	default:
		return textReject(c, ErrChunkSize)
	}
	return nil
}

// extensionByte takes a byte of a chunk extension (RFC 9112 §7.1.1). The white space that the grammar calls bad is taken where the grammar has
// it, since a recipient must: "5 ;a=b" is valid. White space with no extension behind it, "5 ", is not: only in a response is
// it taken, since some servers pad their sizes.
//
// All extensions of a message together may be as long as one start line. Nobody reads them and nearly nobody sends them; without a bound "1;aaaa…" makes one
// byte of payload cost any number of bytes of parsing.
func (d *BodyDecoder) extensionByte(c byte) error {
	if d.ext++; d.ext > d.lim.RequestLine {
		return ErrChunkExtensionsTooLong
	}
	next, ok := nextInExtension(d.state, c)
	if !ok {
		if d.state == afterChunkSize {
			if c == '\r' && d.answer {
				d.state = atChunkLF
				return nil
			}
			return textReject(c, ErrChunkSize)
		}
		return textReject(c, ErrChunkExtension)
	}
	d.state = next
	return nil
}

// nextInExtension returns the state that c leads to from s.
func nextInExtension(s bodyState, c byte) (next bodyState, ok bool) {
	white := c == ' ' || c == '\t'
	token := class[c]&isToken != 0
	switch s {
	case afterChunkSize:
		if c == ';' {
			return atExtName, true
		}
		return s, white
	case atExtName:
		if token {
			return inExtName, true
		}
		return s, white
	case inExtName, afterExtName:
		switch {
		case c == '=':
			return atExtValue, true
		case token:
			return s, s == inExtName
		}
		return afterExtension(c, afterExtName)
	case atExtValue:
		switch {
		case token:
			return inExtToken, true
		case c == '"':
			return inExtQuoted, true
		}
		return s, white
	case inExtToken:
		if token {
			return s, true
		}
		return afterExtension(c, afterExtValue)
	case inExtQuoted:
		switch {
		case c == '"':
			return afterExtValue, true
		case c == '\\':
			return inExtEscape, true
		}
		return s, class[c]&isQuoted != 0
	case inExtEscape:
		return inExtQuoted, class[c]&isText != 0
	default: // afterExtValue
		return afterExtension(c, afterExtValue)
	}
}

// afterExtension returns the state that c leads to where an extension may end; white is the one for white space.
func afterExtension(c byte, white bodyState) (next bodyState, ok bool) {
	switch c {
	case ';':
		return atExtName, true
	case '\r':
		return atChunkLF, true
	case ' ', '\t':
		return white, true
	}
	return white, false
}
