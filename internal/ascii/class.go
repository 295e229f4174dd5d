package ascii

// What a byte may be part of; bits of [Class].
const (
	Token   uint8 = 1 << iota // tchar, RFC 9110 §5.6.2
	RegName                   // unreserved and sub-delims, RFC 3986 §2.2 and §2.3
	Digit                     // 0 to 9
	Hex                       // 0 to 9, a to f, A to F
	Quoted                    // qdtext, RFC 9110 §5.6.4
	Text                      // what field values, reason phrases and escapes in quoted strings have: no control but the tab, no DEL
	Target                    // what request targets have: no control, space, DEL or "#"
)

// Class has the bits above for every byte.
var Class = buildClass()

func buildClass() (t [256]uint8) {
	set := func(bit uint8, chars string) {
		for i := range len(chars) {
			t[chars[i]] |= bit
		}
	}
	const digits = "0123456789"
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	set(Token, digits+letters+"!#$%&'*+-.^_`|~")
	set(RegName, digits+letters+"-._~"+"!$&'()*+,;=")
	set(Digit, digits)
	set(Hex, digits+"abcdefABCDEF")
	for c := range t {
		text := c == '\t' || c >= ' ' && c != 0x7f
		if text {
			t[c] |= Text
		}
		if c > ' ' && c != 0x7f && c != '#' {
			t[c] |= Target
		}
		if text && c != '"' && c != '\\' {
			t[c] |= Quoted
		}
	}
	return t
}
