package when

import "bytes"

// QueryValue returns the first value of a name in a raw query, with escapes and plus signs decoded, and nil where there is none. Names are compared
// decoded. It allocates only where something is to be decoded.
func QueryValue(query []byte, name string) []byte {
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte{'&'})
		key, value, _ := bytes.Cut(pair, []byte{'='})
		if len(key) < len(name) {
			continue // decoding only makes it shorter
		}
		if string(unescape(key)) == name {
			if value == nil {
				return []byte{}
			}
			return unescape(value)
		}
	}
	return nil
}

// unescape decodes a part of a query; what is not a valid escape stays as it is.
func unescape(b []byte) []byte {
	if bytes.IndexByte(b, '%') < 0 && bytes.IndexByte(b, '+') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '+':
			out = append(out, ' ')
		case c == '%' && i+2 < len(b) && digit(b[i+1]) >= 0 && digit(b[i+2]) >= 0:
			out = append(out, byte(digit(b[i+1])<<4|digit(b[i+2])))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out
}

func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// CookieValue returns the first value of a name in the value of a Cookie field, without quotes around it, and nil where there is none
// (RFC 6265 §4.2.1). It allocates nothing.
func CookieValue(cookies []byte, name string) []byte {
	for len(cookies) > 0 {
		var pair []byte
		pair, cookies, _ = bytes.Cut(cookies, []byte{';'})
		key, value, ok := bytes.Cut(pair, []byte{'='})
		if !ok || string(bytes.TrimSpace(key)) != name {
			continue
		}
		value = bytes.TrimSpace(value)
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			value = value[1 : n-1]
		}
		return value
	}
	return nil
}
