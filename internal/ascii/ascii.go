// Package ascii compares and converts the bytes of protocol elements, which are ASCII whatever the locale.
package ascii

// Lower returns c in lower case.
func Lower(c byte) byte {
	if c-'A' < 26 {
		return c | 0x20
	}
	return c
}

// EqualFold reports whether b and s are the same but for the case of ASCII letters.
func EqualFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if b[i] != s[i] && Lower(b[i]) != Lower(s[i]) {
			return false
		}
	}
	return true
}
