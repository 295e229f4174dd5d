package h1

// What a byte may be part of.
const (
	isToken   uint8 = 1 << iota // tchar, RFC 9110 §5.6.2
	isRegName                   // unreserved and sub-delims, RFC 3986 §2.2 and §2.3
	isDigit                     // 0 to 9
	isHex                       // 0 to 9, a to f, A to F
	isQuoted                    // qdtext, RFC 9110 §5.6.4
	isText                      // what values, reason phrases and escapes in quoted strings have: no control but the tab, no DEL
	isTarget                    // what request targets have: no control, space, DEL or "#"
)

// class has the bits above for every byte.
var class = buildClass()

func buildClass() (t [256]uint8) {
	set := func(bit uint8, chars string) {
		for i := range len(chars) {
			t[chars[i]] |= bit
		}
	}
	const digits = "0123456789"
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	set(isToken, digits+letters+"!#$%&'*+-.^_`|~")
	set(isRegName, digits+letters+"-._~"+"!$&'()*+,;=")
	set(isDigit, digits)
	set(isHex, digits+"abcdefABCDEF")
	for c := range t {
		text := c == '\t' || c >= ' ' && c != 0x7f
		if text {
			t[c] |= isText
		}
		if c > ' ' && c != 0x7f && c != '#' {
			t[c] |= isTarget
		}
		if text && c != '"' && c != '\\' {
			t[c] |= isQuoted
		}
	}
	return t
}

// hexValue returns the value of a byte that isHex.
func hexValue(c byte) int64 {
	if c <= '9' {
		return int64(c - '0')
	}
	return int64(c|0x20-'a') + 10
}
