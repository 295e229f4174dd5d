package upstream

import (
	"math"
	"sync/atomic"
	"time"
)

// latencyFade is the time in which what was measured loses all but 1/e of its weight: ten seconds, so that a node which was slow is asked again soon after.
const latencyFade = 10 * time.Second

// latency is how long a node has taken lately to begin its answers: a mean that follows a rise at once and a fall slowly (peak-sensitive), so that a node that
// stalls is left alone after its first slow answer. While nobody measures it fades to nothing, or a node that was slow once would never be asked again.
//
// All workers write it. Value and time are one word, and an update that meets another is dropped: it is one sample of many.
type latency struct {
	word atomic.Uint64 // float32 of microseconds << 32 | loop time in milliseconds
}

// at returns the mean at loop time now in microseconds; 0 where nothing was measured or all has faded.
func (l *latency) at(now int64) float64 {
	w := l.word.Load()
	if w == 0 {
		return 0
	}
	v, age := l.split(w, now)
	if age <= 0 {
		return v
	}
	return v * math.Exp(-float64(age)/float64(latencyFade.Milliseconds()))
}

// split returns the value and its age in milliseconds. The workers' clocks begin some milliseconds apart, so that it may be below zero.
func (l *latency) split(w uint64, now int64) (v float64, age int32) {
	return float64(math.Float32frombits(uint32(w >> 32))), int32(uint32(now/int64(time.Millisecond)) - uint32(w))
}

// forget is for a node that comes in: what failed while it was ill would keep it from being asked for a minute.
func (l *latency) forget() { l.word.Store(0) }

// atLeast takes in that an answer that nobody waits for any more would have taken longer than d.
func (l *latency) atLeast(d time.Duration, now int64) {
	if float64(d)/float64(time.Microsecond) > l.at(now) {
		l.sample(d, now)
	}
}

// sample takes in that an answer took d.
func (l *latency) sample(d time.Duration, now int64) {
	old := l.word.Load()
	v := max(1, float64(d)/float64(time.Microsecond))
	if old != 0 {
		before, age := l.split(old, now)
		keep := math.Exp(-float64(max(0, age)) / float64(latencyFade.Milliseconds()))
		if faded := before * keep; v < faded {
			// Samples that come close together move it little, however many there are.
			v = before*keep + v*(1-keep)
		}
	}
	word := uint64(math.Float32bits(float32(v)))<<32 | uint64(uint32(now/int64(time.Millisecond)))
	l.word.CompareAndSwap(old, word)
}
