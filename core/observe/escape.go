package observe

import (
	"math/bits"
	"unicode/utf8"
)

// A client chooses most of what is in a line, and would choose it so that a reader sees another line than was written:
//
//	GET /x HTTP/1.1
//	User-Agent: a"} {"status":200,"client":"10.0.0.1     a second record inside the first
//	User-Agent: <ESC>]0;owned<BEL>                       commands to the terminal of whoever reads the log
//
// So every text of a record goes through one of the two functions here. Both leave printable ASCII other than the quotation mark and the
// backslash as it is, and nothing else.

// text is what a record holds texts in.
type text interface{ ~[]byte | ~string }

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns how many bytes from the start of s need no escape. It looks at eight at a time; the last eight may overlap those before.
func plain[T text](s T) int {
	if len(s) < 8 {
		for i := range len(s) {
			if isSpecial(s[i]) {
				return i
			}
		}
		return len(s)
	}
	rest := s
	for ; len(rest) >= 8; rest = rest[8:] {
		if special := specials(load8(rest)); special != 0 {
			return len(s) - len(rest) + bits.TrailingZeros64(special)/8
		}
	}
	if special := specials(load8(s[len(s)-8:])); special != 0 {
		return len(s) - 8 + bits.TrailingZeros64(special)/8
	}
	return len(s)
}

// isSpecial reports whether c is not printable ASCII, or one of the two that need an escape between quotation marks.
func isSpecial(c byte) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }

// specials returns a word whose lowest set bit is in the lowest byte of x that isSpecial, or 0 if there is none. Its terms set the top bit of a
// byte that is above 0x7F, is 0x7F, is below the space, or equals one of the two; on other bytes they do so only by a carry or borrow
// from a special byte below, which is why only the lowest bit means anything.
func specials(x uint64) uint64 {
	return (x | (x + ones) | (x - ones*' ') | ((x ^ ones*'"') - ones) | ((x ^ ones*'\\') - ones)) & highs
}

// load8 returns the first eight bytes of s, the first one lowest. The compiler makes one load of it.
func load8[T text](s T) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

const (
	lowerHex = "0123456789abcdef"
	upperHex = "0123456789ABCDEF"
)

// appendJSONText appends s as the inside of a JSON string (RFC 8259 §7). Bytes that are not UTF-8 become U+FFFD, one each.
func appendJSONText[T text](dst []byte, s T) []byte {
	for len(s) > 0 {
		n := plain(s)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			break
		}
		s = s[n:]
		r, size := decodeRune(s)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case misleads(r):
			dst = append(dst, '\\', 'u', lowerHex[r>>12&15], lowerHex[r>>8&15], lowerHex[r>>4&15], lowerHex[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
		s = s[size:]
	}
	return dst
}

// decodeRune is utf8.DecodeRune for either type of text.
func decodeRune[T text](s T) (rune, int) {
	var b [utf8.UTFMax]byte
	return utf8.DecodeRune(b[:copy(b[:], s)])
}

// misleads reports whether r would act on a terminal or a page instead of being seen there: controls (U+009B begins a terminal's
// command), line ends, marks that turn the direction of writing around, and what was not UTF-8. All are below U+10000.
func misleads(r rune) bool {
	switch {
	case r < ' ', r >= 0x7F && r < 0xA0, r == utf8.RuneError, r == 0xFEFF:
		return true
	case r >= 0x2000 && r < 0x2070:
		return r >= 0x200B && r <= 0x200F || r >= 0x2028 && r <= 0x202E || r >= 0x2060
	}
	return false
}

// appendNginxText appends s as nginx's default escaping does: \xXX for the quotation mark, the backslash and what is not printable ASCII.
func appendNginxText[T text](dst []byte, s T) []byte {
	for len(s) > 0 {
		n := plain(s)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			break
		}
		dst = append(dst, '\\', 'x', upperHex[s[n]>>4], upperHex[s[n]&15])
		s = s[n+1:]
	}
	return dst
}
