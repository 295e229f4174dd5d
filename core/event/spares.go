package event

import "time"

// Spares are objects of a loop that wait to be used again. How many are kept follows from the load: as many as were out at once wait for the next peak, and
// those that nobody has asked for in trimEvery go to the collector. So a steady load allocates nothing, however many exchanges are under way, and one that is
// over leaves sparesLeast behind. Make one with [NewSpares].
type Spares[T any] struct {
	loop *Loop
	list []T // used last, taken first: it is still in a cache
	idle int // the fewest that have waited at once since the last trim
}

const (
	// sparesLeast are kept for good: what the events of one batch take.
	sparesLeast = batchSize

	// trimEvery is far longer than the lull between two bursts that belong together, and short beside the minutes for which a process is looked at.
	trimEvery = 5 * time.Second
)

// NewSpares returns a list for what one loop uses again.
func NewSpares[T any](l *Loop) *Spares[T] {
	s := &Spares[T]{}
	s.join(l)
	return s
}

func (s *Spares[T]) join(l *Loop) {
	s.loop = l
	l.trimmed = append(l.trimmed, s)
}

// Take returns one that waits, and false where there is none.
func (s *Spares[T]) Take() (v T, ok bool) {
	last := len(s.list) - 1
	if last < 0 {
		return v, false
	}
	var none T
	v, s.list[last] = s.list[last], none
	s.list = s.list[:last]
	s.idle = min(s.idle, last)
	return v, true
}

// Put takes one back that nobody uses any more.
func (s *Spares[T]) Put(v T) {
	s.list = append(s.list, v)
	if len(s.list) > sparesLeast && !s.loop.trimming.Armed() {
		s.loop.SetTimer(&s.loop.trimming, trimEvery)
	}
}

// Len returns how many wait.
func (s *Spares[T]) Len() int { return len(s.list) }

// trim gives up those that nobody has asked for since the last time, and reports whether there may be more to give up later.
func (s *Spares[T]) trim() bool {
	if n := min(s.idle, len(s.list)-sparesLeast); n > 0 {
		s.list = append(make([]T, 0, len(s.list)-n), s.list[n:]...) // the memory of a long list goes with it
	}
	s.idle = len(s.list)
	return s.idle > sparesLeast
}

// trimmer is the timer of a loop that trims its lists. It does not run while they are short, so that a loop at rest is not woken.
type trimmer Loop

// Expired implements [Expirer].
func (t *trimmer) Expired(*Timer) {
	more := false
	for _, s := range t.trimmed {
		more = s.trim() || more
	}
	if more {
		(*Loop)(t).SetTimer(&t.trimming, trimEvery)
	}
}
