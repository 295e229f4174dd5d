package upstream

import (
	"testing"
	"time"
)

func TestThreeClosesAlikeAreTheNodesIdleTimeout(t *testing.T) {
	var l closes
	for i, d := range []time.Duration{5 * time.Second, 5100 * time.Millisecond, 4950 * time.Millisecond} {
		if l.limit(0) != 0 {
			t.Errorf("after %d closes: %v", i, l.limit(0))
		}
		l.note(d, 0)
	}
	if got := l.limit(1); got != 4950*time.Millisecond {
		t.Errorf("learned %v", got)
	}
	if got := l.limit(int64(closesKept)); got != 0 {
		t.Errorf("still %v after %v", got, closesKept)
	}
}

// A restart closes connections of every age.
func TestClosesOfEveryAgeTeachNothing(t *testing.T) {
	var l closes
	for _, d := range []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond, 300 * time.Millisecond, 300 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second, 9 * time.Second, 2 * time.Second} {
		l.note(d, 0)
	}
	if got := l.limit(1); got != 0 {
		t.Errorf("learned %v", got)
	}
}

func TestTheMarginLeavesAShortTimeoutUsable(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{
		time.Minute: time.Second, 2 * time.Second: time.Second, time.Second: 500 * time.Millisecond,
	} {
		if got := margin(limit); got != want {
			t.Errorf("margin(%v) = %v, want %v", limit, got, want)
		}
	}
}
