package h2

import (
	"strings"

	"golang.org/x/net/http2/hpack"
)

// Huffman strings (RFC 7541 §5.2) are decoded by a machine that takes four bits at a time. The shortest code has five, so that a step yields one byte at most.
// A state is a node of the code's tree; there are 256 of them, as of any tree with 257 leaves.

// huffmanStep is what four bits lead to.
type huffmanStep struct {
	next  uint8 // state
	yield uint8 // the byte that is complete now, where emits is set
	flags uint8
}

const (
	huffmanEmits uint8 = 1 << iota
	huffmanFails       // the bits of the end-of-string symbol, which must not be coded
	huffmanEnds        // the string may end in the next state: what is left is padding, fewer than eight ones
)

var huffmanSteps = buildHuffman()

// huffmanTree is a code's tree while it is built: child[state][bit] is a state, or ^symbol for a leaf. 0, the root, is nobody's child.
type huffmanTree struct {
	child [256][2]int
	used  int
}

const endOfString = 256 // the symbol whose code is thirty ones

func buildHuffman() *[256][16]huffmanStep {
	t := huffmanTree{used: 1}
	for c := range 256 {
		// Eight times a code of n bits are n bytes.
		n := int(hpack.HuffmanEncodeLength(strings.Repeat(string([]byte{byte(c)}), 8)))
		code := hpack.AppendHuffmanString(nil, string([]byte{byte(c)}))
		t.add(c, n, func(i int) byte { return code[i/8] >> (7 - i%8) & 1 })
	}
	t.add(endOfString, 30, func(int) byte { return 1 })
	steps := new([256][16]huffmanStep)
	for state := range steps {
		for bits := range steps[state] {
			steps[state][bits] = t.step(state, byte(bits))
		}
	}
	return steps
}

func (t *huffmanTree) add(symbol, n int, bit func(i int) byte) {
	state := 0
	for i := range n - 1 {
		next := &t.child[state][bit(i)]
		if *next == 0 {
			*next = t.used
			t.used++
		}
		state = *next
	}
	t.child[state][bit(n-1)] = ^symbol
}

func (t *huffmanTree) step(state int, bits byte) (s huffmanStep) {
	for i := 3; i >= 0; i-- {
		state = t.child[state][bits>>i&1]
		if state < 0 {
			if ^state == endOfString {
				return huffmanStep{flags: huffmanFails}
			}
			s.yield, s.flags = byte(^state), s.flags|huffmanEmits
			state = 0
		}
	}
	s.next = uint8(state)
	for ones, at := 0, 0; ones < 8; ones++ {
		if at == state {
			s.flags |= huffmanEnds
		}
		at = t.child[at][1]
	}
	return s
}

// appendHuffman appends what b codes, and reports false where it codes nothing.
func appendHuffman(dst, b []byte) ([]byte, bool) {
	var state uint8
	flags := huffmanEnds
	for _, c := range b {
		s := &huffmanSteps[state][c>>4]
		if s.flags&huffmanEmits != 0 {
			dst = append(dst, s.yield)
		}
		failed := s.flags & huffmanFails
		s = &huffmanSteps[s.next][c&15]
		if s.flags&huffmanEmits != 0 {
			dst = append(dst, s.yield)
		}
		if failed|s.flags&huffmanFails != 0 {
			return dst, false
		}
		state, flags = s.next, s.flags
	}
	return dst, flags&huffmanEnds != 0
}
