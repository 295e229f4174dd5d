package h1

import (
	"sluice/codec"
	"sluice/internal/ascii"
)

// lineResult is where parseFields stopped.
type lineResult uint8

const (
	lineUnfinished lineResult = iota // more bytes are needed
	lineField                        // behind a field that has to be looked at
	lineEnd                          // the empty line; Progress.Scanned is behind it
)

// fieldSet has bit 1<<id for each field that is in it.
type fieldSet uint64

// spacedColons in a set of stops has white space between a field name and its colon taken out, where it would be refused otherwise.
const spacedColons fieldSet = 1 << 63

const _ = 62 - codec.FieldHTTP2Settings // the last field's bit is another

// parseFields parses the lines of a field section and appends the fields to h. It stops behind each field that is one of stops, the last of h
// then, and is to be called again; so it is with a longer buf when it is unfinished. The limits count from Progress.Fields.
func parseFields(buf []byte, h *codec.Header, p *codec.Progress, lim *codec.Limits, stops fieldSet) (lineResult, error) {
	limit := p.Fields + lim.Headers // a field line ends here at the latest
	w := buf                        // what may be looked at
	if len(w) > limit {
		w = w[:limit]
	}
	start, i, colon, stage := p.Scanned, p.Seen, p.Cut[0], p.Stage // parked in p when the bytes run out
	for {
		switch stage {
		case atLine:
			if start >= len(buf) {
				return park(p, start, start, colon, atLine, nil)
			}
			if class[buf[start]]&isToken == 0 {
				p.Scanned, p.Seen, p.Stage = start, start, atLine // the CR may be all there is of the empty line
				return endOfFields(buf, h, p)
			}
			if start >= limit {
				return 0, ErrFieldsTooLarge
			}
			if h.Len() >= lim.HeaderCount {
				return 0, ErrTooManyFields
			}
			i = start + 1
			fallthrough
		case inName:
			colon = scanToken(w, i)
			if colon == len(w) {
				return park(p, start, colon, 0, inName, unfinished(colon, limit))
			}
			if w[colon] != ':' {
				if isOWS(w[colon]) && stops&spacedColons != 0 {
					i, stage = colon, beforeColon
					continue
				}
				return 0, nameReject(w[colon])
			}
			i = colon + 1
			fallthrough
		case inValue:
			i = scanText(w, i)
			if i < len(w) && w[i] != '\r' {
				return 0, textReject(w[i], ErrValue)
			}
			if i+1 >= len(w) {
				return park(p, start, i, colon, inValue, unfinished(len(w), limit))
			}
			if w[i+1] != '\n' {
				return 0, ErrBareCR
			}
			from, to := trimSpan(w, colon+1, i)
			name := colon // where it ends
			for isOWS(w[name-1]) {
				name--
			}
			id := codec.LookupField(w[start:name])
			i += 2
			h.Append(span(start, name), span(from, to), id, uint32(i))
			if name != colon || to != i-2 || from > colon+2 || w[from-1] == '\t' {
				h.Respell(h.Len() - 1) // there is more white space than one space behind the colon
			}
			start, stage = i, atLine
			if stops>>id&1 != 0 {
				_, err := park(p, start, start, colon, atLine, nil)
				return lineField, err
			}
		default: // beforeColon
			for i < len(w) && isOWS(w[i]) {
				i++
			}
			if i == len(w) {
				return park(p, start, i, 0, beforeColon, unfinished(i, limit))
			}
			if w[i] != ':' {
				return 0, ErrSpaceBeforeColon
			}
			colon, stage = i, inValue
			i++
		}
	}
}

// park stores where the parser stopped.
func park(p *codec.Progress, scanned, seen, colon int, stage uint8, err error) (lineResult, error) {
	p.Scanned, p.Seen, p.Cut[0], p.Stage = scanned, seen, colon, stage
	return lineUnfinished, err
}

// isOWS reports whether c is a space or a tab.
func isOWS(c byte) bool { return c == ' ' || c == '\t' }

// trimSpan cuts spaces and tabs off both ends of b[from:to].
func trimSpan(b []byte, from, to int) (int, int) {
	for from < to && isOWS(b[from]) {
		from++
	}
	for from < to && isOWS(b[to-1]) {
		to--
	}
	return from, to
}

// unfinished returns why a line whose bytes ran out at end cannot be finished, or nil when more bytes may.
func unfinished(end, limit int) error {
	if end >= limit {
		return ErrFieldsTooLarge
	}
	return nil
}

// endOfFields handles a line that begins with something that begins no name: the empty line, or an error.
func endOfFields(buf []byte, h *codec.Header, p *codec.Progress) (lineResult, error) {
	start := p.Scanned
	switch buf[start] {
	case '\r':
		if len(buf) < start+2 {
			return lineUnfinished, nil
		}
		if buf[start+1] != '\n' {
			return 0, ErrBareCR
		}
		p.Scanned, p.Seen = start+2, start+2
		return lineEnd, nil
	case '\n':
		return 0, ErrBareLF
	case ' ', '\t':
		if h.Len() == 0 {
			return 0, ErrLeadingSpace
		}
		return 0, ErrFold
	case ':':
		return 0, ErrNameEmpty
	}
	return 0, ErrName
}

// nameReject returns why a field name cannot be followed by c.
func nameReject(c byte) error {
	switch c {
	case ' ', '\t':
		return ErrSpaceBeforeColon
	case '\r':
		return ErrNoColon
	case '\n':
		return ErrBareLF
	}
	return ErrName
}

// textReject returns why c may not stand in text: a bare LF, or what the element's own rule is.
func textReject(c byte, rule error) error {
	if c == '\n' {
		return ErrBareLF
	}
	return rule
}

// connection notes the options of a Connection field (RFC 9110 §7.6.1). A message cannot name more fields than it has, so more
// options than it may have fields are refused: "Connection: a,a,a,…" would otherwise make each of them a search.
func connection(value []byte, p *codec.Progress, lim *codec.Limits) error {
	if string(value) == "keep-alive" { // what nearly all send
		p.Options++
		p.Flags |= saysKeepAlive
		return nil
	}
	for more := true; more; {
		var option []byte
		option, value, more = nextItem(value)
		if p.Options++; p.Options > lim.HeaderCount {
			return ErrTooManyOptions
		}
		switch len(option) {
		case len("close"):
			if ascii.EqualFold(option, "close") {
				p.Flags |= saysClose
			}
		case len("upgrade"):
			if ascii.EqualFold(option, "upgrade") {
				p.Flags |= saysUpgrade
			}
		case len("keep-alive"):
			if ascii.EqualFold(option, "keep-alive") {
				p.Flags |= saysKeepAlive
			}
		}
	}
	return nil
}

// keepAlive reports whether the sender will use the connection again (RFC 9112 §9.3): close wins over everything.
func keepAlive(p *codec.Progress, v codec.Version) bool {
	if p.Flags&saysClose != 0 {
		return false
	}
	return v == codec.HTTP11 || p.Flags&saysKeepAlive != 0
}

// nextItem cuts the first element off a list; more tells whether a comma followed it, so that "chunked," has two elements.
func nextItem(list []byte) (item, rest []byte, more bool) {
	for i, c := range list {
		if c == ',' {
			return codec.TrimOWS(list[:i]), list[i+1:], true
		}
	}
	return codec.TrimOWS(list), nil, false
}

func span(from, to int) codec.Span {
	return codec.Span{Off: uint32(from), Len: uint32(to - from)}
}
