package event

import (
	"testing"
	"time"
)

// take takes n from s, making those that are not there, and returns how many it made.
func take(s *Spares[*int], n int) (out []*int, made int) {
	for range n {
		v, ok := s.Take()
		if !ok {
			v = new(int)
			made++
		}
		out = append(out, v)
	}
	return out, made
}

func putAll(s *Spares[*int], all []*int) {
	for _, v := range all {
		s.Put(v)
	}
}

// As many as were out at once are kept while they are asked for now and then, and given up down to the least once nobody does. Then the timer rests.
func TestSparesAreKeptForThePeakAndGivenUpBehindIt(t *testing.T) {
	now := int64(time.Second)
	l, err := NewLoop(Options{Now: func() int64 { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.closeAll()
	s := NewSpares[*int](l)
	pass := func() {
		now += int64(trimEvery) + 2*tick
		l.now = now
		l.runTimers()
	}
	const peak = 5000
	out, made := take(s, peak)
	if made != peak {
		t.Fatalf("%d were made for the first peak, want %d", made, peak)
	}
	putAll(s, out)
	for range 5 { // a peak in every interval
		pass()
		if out, made = take(s, peak); made != 0 {
			t.Errorf("%d were made for a peak as before", made)
		}
		putAll(s, out)
	}
	pass()
	out, made = take(s, 100) // a smaller one
	putAll(s, out)
	pass()
	if s.Len() != 100 || made != 0 || cap(s.list) >= peak {
		t.Errorf("%d wait in a list for %d, and %d were made; want 100 and 0", s.Len(), cap(s.list), made)
	}
	for range 2 {
		pass()
	}
	if s.Len() != sparesLeast || l.trimming.Armed() {
		t.Errorf("%d wait, the timer runs: %v; want %d and a timer that rests", s.Len(), l.trimming.Armed(), sparesLeast)
	}
}

// Few of them never set the timer: a loop with little to do is not woken on their account.
func TestFewSparesSetNoTimer(t *testing.T) {
	l, err := NewLoop(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.closeAll()
	s := NewSpares[*int](l)
	for range 3 {
		out, _ := take(s, sparesLeast)
		putAll(s, out)
	}
	if l.trimming.Armed() {
		t.Error("the timer runs")
	}
}

// A buffer of each class is a spare like any other.
func TestBuffersOfAPeakAreGivenUp(t *testing.T) {
	now := int64(time.Second)
	l, err := NewLoop(Options{Now: func() int64 { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.closeAll()
	var out [][]byte
	for range 1000 {
		out = append(out, l.Borrow(1000), l.Borrow(outSize), append(l.Borrow(1<<11), 0)) // the last has outgrown its class
	}
	for _, b := range out {
		l.Return(b)
	}
	free := func() (n int) {
		for i := range l.buffers.free {
			n += l.buffers.free[i].Len()
		}
		return n
	}
	if n := free(); n < 2000 || l.Lent() != 0 {
		t.Errorf("%d are free and %d are out behind the peak", n, l.Lent())
	}
	for range 3 {
		now += int64(trimEvery) + 2*tick
		l.now = now
		l.runTimers()
	}
	if n := free(); n > 3*sparesLeast {
		t.Errorf("%d are free long after the peak", n)
	}
}
