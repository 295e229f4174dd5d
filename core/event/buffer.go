package event

import "math/bits"

// Read buffers are borrowed: a connection has one only from the arrival of bytes until they are consumed. The largest is what one read
// can bring, and since it goes back at once it is nearly always the same one, warm in the cache; what an event leaves over is copied to the smallest
// class that holds it twice.
const (
	readSize = 64 << 10 // one read: four times nginx's proxy_buffers page, few enough calls for large bodies, and inside L2
	smallest = 10       // 1 KiB: most heads
	largest  = 16       // 64 KiB
)

// buffers are those of a loop that are free, a list for each class. At rest they hold sparesLeast of each: 2 MiB.
type buffers struct {
	free [largest - smallest + 1]Spares[[]byte]
	lent int // slices that are out
}

func (b *buffers) join(l *Loop) {
	for i := range b.free {
		b.free[i].join(l)
	}
}

// get returns a slice of length at least n, of a class when n is at most the largest.
func (b *buffers) get(n int) []byte {
	b.lent++
	class := max(bits.Len(uint(n-1)), smallest)
	if class > largest {
		return make([]byte, n)
	}
	if buf, ok := b.free[class-smallest].Take(); ok {
		return buf
	}
	return make([]byte, 1<<class)
}

// put takes a slice back; one that is of no class goes to the collector.
func (b *buffers) put(buf []byte) {
	size := cap(buf)
	if size == 0 {
		return
	}
	b.lent--
	if size < 1<<smallest || size > 1<<largest || size&(size-1) != 0 {
		return
	}
	b.free[bits.Len(uint(size))-1-smallest].Put(buf[:size])
}
