package observe

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// Through a small ring, with lines that wrap at every place, everything that was not dropped comes out, whole and in order.
func TestRingKeepsLinesWholeAndInOrder(t *testing.T) {
	r := newRing(256)
	const lines = 20000
	done := make(chan struct{})
	var got []byte
	go func() {
		defer close(done)
		for {
			end := r.head.Load()
			b := r.peek(end)
			if len(b) == 0 {
				runtime.Gosched()
				continue
			}
			got = append(got, b...)
			r.free(len(b))
			if bytes.HasSuffix(got, []byte("end\n")) {
				return
			}
		}
	}()
	var want []byte
	random := rand.New(rand.NewPCG(1, 2))
	put := func(line []byte) bool {
		dropped := r.dropped.Load()
		r.put(line)
		return r.dropped.Load() == dropped
	}
	for i := range lines {
		line := fmt.Appendf(nil, "%d%s\n", i, bytes.Repeat([]byte{'.'}, random.IntN(100)))
		if put(line) {
			want = append(want, line...)
		}
	}
	for !put([]byte("end\n")) {
		runtime.Gosched()
	}
	<-done
	if !bytes.Equal(got, append(want, "end\n"...)) {
		t.Errorf("%d bytes came out that differ from the %d that went in", len(got), len(want))
	}
	if bytes.Count(want, []byte("\n"))+int(r.dropped.Load()) < lines {
		t.Errorf("%d lines went in and %d were dropped, of %d", bytes.Count(want, []byte("\n")), r.dropped.Load(), lines)
	}
}

func TestRingTakesExactlyItsSize(t *testing.T) {
	r := newRing(8)
	if r.put([]byte("abc\n")) {
		t.Error("half full is not more than half")
	}
	if !r.put([]byte("def\n")) {
		t.Error("a full ring does not ask for the writer")
	}
	if r.put([]byte("\n")); r.dropped.Load() != 1 {
		t.Errorf("%d lines dropped, want the one", r.dropped.Load())
	}
	r.free(4)
	if r.put([]byte("ghi\n")); r.dropped.Load() != 1 {
		t.Error("the room that was given back was not used")
	}
	if got := string(r.peek(r.head.Load())); got != "def\n" {
		t.Errorf("%q comes next", got)
	}
	if r.put(make([]byte, 9)); r.dropped.Load() != 2 {
		t.Error("a line larger than the ring was not dropped")
	}
}
