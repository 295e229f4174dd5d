package observe

import "sync/atomic"

const ms = int64(1e6) // nanoseconds in a millisecond

// bounds are the upper bounds of the buckets, inclusive, in nanoseconds: from the time of a small answer on a local network to that of a
// request which people give up on.
var bounds = [...]int64{
	ms / 2, 1 * ms, 5 * ms / 2, 5 * ms, 10 * ms, 25 * ms, 50 * ms,
	100 * ms, 250 * ms, 500 * ms, 1000 * ms, 2500 * ms, 5000 * ms, 10000 * ms,
}

const buckets = len(bounds) + 1 // the last one is everything above

// histogram counts times in fixed buckets. It has one writer and any number of readers, and no count of its own: that is the sum of
// its buckets, so a reader never sees the two disagree.
type histogram struct {
	counts [buckets]atomic.Uint64 // not cumulative
	sum    atomic.Uint64          // nanoseconds
}

// observe counts one time. What is below zero, which only a clock that was set back can give, counts as zero.
func (h *histogram) observe(nanos int64) {
	nanos = max(nanos, 0)
	i := 0
	for i < len(bounds) && nanos > bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(uint64(nanos))
}

// histogramSum is the sum of several histograms, at one scrape.
type histogramSum struct {
	counts [buckets]uint64
	nanos  uint64
}

func (s *histogramSum) add(h *histogram) {
	for i := range s.counts {
		s.counts[i] += h.counts[i].Load()
	}
	s.nanos += h.sum.Load()
}

// prometheus returns s as Prometheus has it: the count of all, cumulative counts below each bound, and the sum, in seconds.
func (s *histogramSum) prometheus() (total uint64, cumulative map[float64]uint64, seconds float64) {
	cumulative = make(map[float64]uint64, len(bounds))
	for i, bound := range bounds {
		total += s.counts[i]
		cumulative[float64(bound)/1e9] = total
	}
	return total + s.counts[buckets-1], cumulative, float64(s.nanos) / 1e9
}
