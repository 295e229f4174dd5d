package h1

import "sluice/internal/ascii"

// What a byte may be part of.
const (
	isToken  = ascii.Token
	isDigit  = ascii.Digit
	isHex    = ascii.Hex
	isQuoted = ascii.Quoted
	isText   = ascii.Text
	isTarget = ascii.Target
)

// class has the bits above for every byte. It is a copy, so that the scanners find it beside what else they read.
var class = ascii.Class

// hexValue returns the value of a byte that isHex.
func hexValue(c byte) int64 {
	if c <= '9' {
		return int64(c - '0')
	}
	return int64(c|0x20-'a') + 10
}
