package event

import "math/bits"

// Read buffers are borrowed: a connection has one only from the arrival of bytes until they are consumed. The largest is what one read
// can bring, and since it goes back at once it is nearly always the same one, warm in the cache; what an event leaves over is copied to the smallest
// class that holds it twice.
const (
	readSize  = 64 << 10 // one read: four times nginx's proxy_buffers page, few enough calls for large bodies, and inside L2
	smallest  = 10       // 1 KiB: most heads
	largest   = 16       // 64 KiB
	keepLeast = 64       // buffers of a class that are kept for reuse,
	keepBytes = 1 << 20  // or as many as fill this: heads for a thousand streams. At most 5 + 2 + 4 = 11 MiB a loop,
	keepOuts  = 256      // and 3 more for what is written: one event of HTTP/2 may write to a hundred nodes, and a batch has 16
)

// buffers are the free lists of a loop, one a class.
type buffers struct {
	free [largest - smallest + 1][][]byte
	lent int // slices that are out
}

// get returns a slice of length at least n, of a class when n is at most the largest.
func (b *buffers) get(n int) []byte {
	b.lent++
	class := max(bits.Len(uint(n-1)), smallest)
	if class > largest {
		return make([]byte, n)
	}
	list := &b.free[class-smallest]
	if last := len(*list) - 1; last >= 0 {
		buf := (*list)[last]
		(*list)[last] = nil
		*list = (*list)[:last]
		return buf
	}
	return make([]byte, 1<<class)
}

// put takes a slice back; one that is of no class, or beyond what is kept, goes to the collector.
func (b *buffers) put(buf []byte) {
	size := cap(buf)
	if size == 0 {
		return
	}
	b.lent--
	if size < 1<<smallest || size > 1<<largest || size&(size-1) != 0 {
		return
	}
	list := &b.free[bits.Len(uint(size))-1-smallest]
	keep := max(keepLeast, keepBytes/size)
	if size == outSize {
		keep = keepOuts
	}
	if len(*list) < keep {
		*list = append(*list, buf[:size])
	}
}
