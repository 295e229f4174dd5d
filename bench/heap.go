package main

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
)

// heapCounters are those that Sluice's /metrics has of its heap since the start.
type heapCounters struct {
	mallocs float64
	pauses  float64 // of the collector, counted
	paused  float64 // seconds
}

// heapUse is what one turn did to the heap.
type heapUse struct {
	Allocations float64 `json:"allocations_per_request"` // everything in the process counts, the store and the metrics themselves too
	Pauses      float64 `json:"gc_pauses"`
	PausedUs    float64 `json:"gc_paused_us"`
}

// readHeap returns nil of a rival that does not tell.
func readHeap(ctx context.Context, r *rival) (*heapCounters, error) {
	if r.admin == nil {
		return nil, nil
	}
	text, _, err := get(ctx, r.admin.base+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("%s: heap: %w", r.name, err)
	}
	return parseHeap(text)
}

func parseHeap(text string) (*heapCounters, error) {
	var c heapCounters
	want := map[string]*float64{
		"go_memstats_mallocs_total":    &c.mallocs,
		"go_gc_duration_seconds_count": &c.pauses,
		"go_gc_duration_seconds_sum":   &c.paused,
	}
	scanner := bufio.NewScanner(strings.NewReader(text))
	for scanner.Scan() {
		name, value, _ := strings.Cut(scanner.Text(), " ")
		into, ok := want[name]
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("heap: %s: %w", name, err)
		}
		*into = n
		delete(want, name)
	}
	for name := range want {
		return nil, fmt.Errorf("heap: the metrics have no %s", name)
	}
	return &c, scanner.Err()
}

// since returns what has happened since an earlier reading, in n requests; nil where there is none.
func (c *heapCounters) since(before *heapCounters, n float64) *heapUse {
	if c == nil || before == nil {
		return nil
	}
	return &heapUse{(c.mallocs - before.mallocs) / n, c.pauses - before.pauses, (c.paused - before.paused) * 1e6}
}
