package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// seen is what one lane of a load generator of ours saw: a connection, or one call after the other on a shared one.
type seen struct {
	latencies []time.Duration
	err       error // why it ended early
}

// gather makes one load of what all lanes saw. Every latency is kept until then, so that a percentile is a value and no class of a histogram.
func gather(generator string, lanes []*seen, took time.Duration) (*load, error) {
	var all []time.Duration
	result, failed := &load{}, 0
	for i, l := range lanes {
		all = append(all, l.latencies...)
		if l.err == nil {
			continue
		}
		if failed++; failed <= 3 {
			result.Errors = append(result.Errors, fmt.Sprintf("lane %d: %v", i, l.err))
		}
	}
	if failed > 3 {
		result.Errors = append(result.Errors, fmt.Sprintf("%d more lanes with an error", failed-3))
	}
	if len(all) == 0 {
		return nil, errors.Join(fmt.Errorf("%s: no request was answered", generator), lanes[0].err)
	}
	result.Requests = int64(len(all))
	result.Rate = float64(len(all)) / took.Seconds()
	result.tell(all)
	return result, nil
}

// tell sets the percentiles. It sorts the latencies, of which there must be one.
func (l *load) tell(latencies []time.Duration) {
	slices.Sort(latencies)
	l.P50, l.P99, l.P999 = percentile(latencies, 50), percentile(latencies, 99), percentile(latencies, 99.9)
}

// percentile returns the smallest value that p percent of all are not above; sorted must not be empty.
func percentile(sorted []time.Duration, p float64) time.Duration {
	i := int(math.Ceil(p*float64(len(sorted))/100-1e-9)) - 1 // 99.9 is a little more than 999 thousandths
	return sorted[min(max(i, 0), len(sorted)-1)]
}
