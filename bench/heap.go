package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
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

// readLive has the collector run and returns what is left of heap and stacks, nil of a rival that does not tell.
func readLive(ctx context.Context, r *rival) (*float64, error) {
	if r.admin == nil {
		return nil, nil
	}
	text, _, err := get(ctx, r.admin.base+"/debug/pprof/heap?gc=1&debug=1", http.Header{"Authorization": {"Bearer " + r.admin.token}})
	if err != nil {
		return nil, fmt.Errorf("%s: live heap: %w", r.name, err)
	}
	return parseLive(text)
}

// parseLive adds up what stands at the end of a heap profile as text: "# HeapAlloc = 123" and "# Stack = 123 / 456", of which the first is in use.
func parseLive(text string) (*float64, error) {
	var sum float64
	for _, name := range []string{"\n# HeapAlloc = ", "\n# Stack = "} {
		_, rest, ok := strings.Cut(text, name)
		number, _, _ := strings.Cut(rest, "\n")
		number, _, _ = strings.Cut(number, " ")
		n, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("live heap: the profile has no %q with a number", strings.TrimSpace(name))
		}
		sum += n
	}
	return &sum, nil
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
