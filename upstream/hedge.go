package upstream

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A service that hedges measures how long the heads of its answers take, in buckets of a quarter of an octave each: what comes out is at most a fifth too much.
const (
	headBuckets = 4 * 32      // up to 2^32 microseconds, over an hour
	headEvery   = time.Second // between two looks
	headFade    = 0.95        // what a second leaves of what was counted before: a mean age of 20 seconds
	headEnough  = 20          // answers that say something
)

// headTimes is what one worker has counted. The worker alone writes.
type headTimes [headBuckets]atomic.Uint64

// heads is what has been made of it. The service's mu guards it.
type heads struct {
	counts []uint64  // up to the latest look
	recent []float64 // what has been counted lately
}

// headBucket returns the bucket of d.
func headBucket(d time.Duration) int {
	us := uint64(max(0, d/time.Microsecond))
	if us < 4 {
		return int(us)
	}
	octave := bits.Len64(us) - 1 // at least 2
	return min(headBuckets-1, 4*(octave-1)+int(us>>(octave-2)&3))
}

// headBound returns the longest time of a bucket.
func headBound(bucket int) time.Duration {
	if bucket < 4 {
		return time.Duration(bucket+1) * time.Microsecond
	}
	octave, quarter := bucket/4+1, bucket%4
	return time.Duration((uint64(4+quarter+1))<<(octave-2)) * time.Microsecond
}

// noteHead counts the head of an answer. Called on the worker's loop; it allocates once for each worker.
func (s *serviceState) noteHead(worker int, d time.Duration) {
	t := s.local[worker].times.Load()
	if t == nil {
		t = new(headTimes)
		s.local[worker].times.Store(t)
	}
	one(&t[headBucket(d)], 1)
}

// measure looks at what has been counted, and sees to the next time. The caller holds s.mu.
func (s *serviceState) measure() {
	c, h := s.view.hedge, &s.heads
	if c == nil {
		*h = heads{}
		s.usually.Store(0)
		return
	}
	s.later(headEvery, s.measure)
	total := 0.0
	for b := range headBuckets {
		n := uint64(0)
		for w := range s.local {
			if t := s.local[w].times.Load(); t != nil {
				n += t[b].Load()
			}
		}
		h.recent[b] = headFade*h.recent[b] + float64(n-h.counts[b])
		h.counts[b] = n
		total += h.recent[b]
	}
	if total < headEnough {
		s.usually.Store(0)
		return
	}
	below := 0.0
	for b := range headBuckets {
		if below += h.recent[b]; 100*below >= float64(c.Percentile)*total {
			s.usually.Store(int64(headBound(b)))
			return
		}
	}
}

// HedgeAfter returns after what time of waiting for a head another node is asked; 0 = none is.
func (s *Service) HedgeAfter() time.Duration {
	d := s.hedge.Delay.Std()
	if d == 0 {
		d = time.Duration(s.state.usually.Load())
	}
	if d == 0 {
		return 0
	}
	return max(d, s.hedge.MinDelay.Std())
}

// Backoff returns how long to wait before one more try after that many; 0 = not at all.
func (s *Service) Backoff(tries int) time.Duration {
	if tries < 2 || s.backoff == 0 {
		return 0
	}
	return min(s.maxBackoff, s.backoff<<min(tries-2, 20))
}
