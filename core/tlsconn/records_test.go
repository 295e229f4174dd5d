package tlsconn

import "testing"

// However the bytes are cut, records are counted by their headers, and only one that was alone and has passed whole leaves nothing behind.
func TestRecordsAreFollowedUnderEverySplit(t *testing.T) {
	stream := "\x17\x03\x03\x01\x02" + string(make([]byte, 0x102)) + "\x17\x03\x03\x00\x00" + "\x15\x03\x03\x00\x01x"
	ends := map[int]int{5 + 0x102: 1, 5 + 0x102 + 5: 2, len(stream): 3} // after so many bytes so many records are whole
	for cut := range len(stream) + 1 {
		var r records
		r.pass([]byte(stream[:cut]))
		n, whole := ends[cut]
		if cut > 0 && r.whole() != whole || whole && r.inside != n {
			t.Fatalf("after %d bytes: whole %v, %d inside; want %v, %d", cut, r.whole(), r.inside, whole, n)
		}
		taken := r
		if taken.taken(); taken.inside == 0 && cut > 0 && n != 1 {
			t.Fatalf("after %d bytes: nothing is said to be inside behind one record", cut)
		}
		if r.exhausted(); whole && r.inside != 0 {
			t.Fatalf("after %d bytes: %d inside when it wants more", cut, r.inside)
		}
		r.pass([]byte(stream[cut:]))
		if !r.whole() {
			t.Fatalf("cut at %d: the last record is not seen to end", cut)
		}
	}
	var r records
	for i := range stream { // byte by byte
		r.pass([]byte(stream[i : i+1]))
	}
	if !r.whole() || r.inside != 3 {
		t.Errorf("byte by byte: whole %v, %d inside", r.whole(), r.inside)
	}
}
