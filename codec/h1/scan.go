package h1

import (
	"encoding/binary"
	"math/bits"
)

// The scanners below look at eight bytes at a time. A mask has the top bit of each byte that is meant, and sometimes of a byte above one that is
// meant (a borrow) or above 0xFF (a carry). So the lowest bit of a mask is only where a byte is looked at one by one, and when it is none that is
// meant the scan goes on behind it. Bytes from 0x80 on are never marked.
const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// controls marks the bytes of x below n, which is at most 0x80, and DEL.
func controls(x uint64, n uint64) uint64 { return ((x - ones*n) | (x + ones)) &^ x & tops }

// notName marks the bytes of x that are neither a letter nor "-", which is what names and methods are made of.
func notName(x uint64) uint64 {
	low := x &^ tops
	letters := low | ones*0x20
	letters = (letters + ones*(0x80-'a')) &^ (letters + ones*(0x80-'z'-1))
	dash := low ^ ones*'-'
	dash = tops - dash // the top bit stays where dash is 0
	return (^(letters | dash) | x) & tops
}

// lowest returns which byte of a mask that is not 0 is marked first.
func lowest(mask uint64) int { return bits.TrailingZeros64(mask) >> 3 }

// scanText returns the position, from i on, of the first byte of b that no field value or reason phrase has: a control other than the
// tab, or DEL. It returns len(b) when there is none.
func scanText(b []byte, i int) int {
	for i >= 0 && i+8 <= len(b) {
		m := controls(binary.LittleEndian.Uint64(b[i:i+8]), ' ')
		if m == 0 {
			i += 8
			continue
		}
		i += lowest(m)
		if class[b[i]]&isText == 0 {
			return i
		}
		i++
	}
	for ; i < len(b); i++ {
		if class[b[i]]&isText == 0 {
			break
		}
	}
	return i
}

// scanTarget returns the position, from i on, of the first byte of b that no request target has: a control, space, DEL or "#". It
// returns len(b) when there is none.
func scanTarget(b []byte, i int) int {
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i : i+8])
		hash := x ^ ones*'#'
		m := controls(x, ' '+1) | (hash-ones)&^hash&tops
		if m == 0 {
			i += 8
			continue
		}
		i += lowest(m)
		if class[b[i]]&isTarget == 0 {
			return i
		}
		i++
	}
	for ; i < len(b); i++ {
		if class[b[i]]&isTarget == 0 {
			break
		}
	}
	return i
}

// scanToken returns the position, from i on, of the first byte of b that no token has, or len(b).
func scanToken(b []byte, i int) int {
	for i+8 <= len(b) {
		m := notName(binary.LittleEndian.Uint64(b[i : i+8]))
		if m == 0 {
			i += 8
			continue
		}
		i += lowest(m)
		if class[b[i]]&isToken == 0 {
			return i
		}
		i++
	}
	for ; i < len(b); i++ {
		if class[b[i]]&isToken == 0 {
			break
		}
	}
	return i
}
