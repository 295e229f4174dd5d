package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
)

// patternPeriod is a prime near 64 KiB: no buffer, chunk or page is a multiple of it, so that bytes which are lost, doubled or moved by any of these do not fit.
const patternPeriod = 65_521

// patternBytes is the pattern twice, so that a run from any place of the first is contiguous.
var patternBytes = func() []byte {
	rng := rand.New(rand.NewPCG(patternPeriod, 1))
	b := make([]byte, patternPeriod, 2*patternPeriod)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return append(b, b...)
}()

// patternAt returns n bytes, at most patternPeriod, of the endless pattern from an offset on. They must not be written to.
func patternAt(offset int64, n int) []byte {
	from := int(offset % patternPeriod)
	return patternBytes[from : from+n]
}

var errPattern = errors.New("the body is not what was sent")

// patternReader checks bytes that come in order.
type patternReader struct{ offset int64 }

// take checks the next bytes.
func (p *patternReader) take(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), patternPeriod)
		if !bytes.Equal(b[:n], patternAt(p.offset, n)) {
			return fmt.Errorf("%w: within %d bytes from byte %d", errPattern, n, p.offset)
		}
		p.offset += int64(n)
		b = b[n:]
	}
	return nil
}
