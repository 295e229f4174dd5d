package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// metrics are the values of one scrape, by series: `sluice_connections{side="upstream"}`.
type metrics map[string]float64

const (
	downstreamOpen = `sluice_connections{side="downstream"}`
	upstreamOpen   = `sluice_connections{side="upstream"}`
	acceptErrors   = "sluice_accept_errors_total"
)

// scrape reads /metrics.
func (g *gateway) scrape(ctx context.Context) (metrics, error) {
	text, err := g.call(ctx, http.MethodGet, "/metrics", "")
	if err != nil {
		return nil, err
	}
	return parseMetrics(string(text))
}

// liveHeap returns what the gateway's heap holds when all garbage is gone. Nothing outside can make the collector run, but scrapes leave garbage behind: they are
// made until it has run three times. The first run may have begun before the call; what the second found is swept little by little behind it, so that the least
// until the third is the figure.
func (g *gateway) liveHeap(ctx context.Context) (int64, error) {
	const runs, heap, mostScrapes = "go_gc_duration_seconds_count", "go_memstats_heap_alloc_bytes", 10_000
	first, err := g.scrape(ctx)
	if err != nil {
		return 0, err
	}
	least := math.Inf(1)
	for range mostScrapes {
		m, err := g.scrape(ctx)
		if err != nil {
			return 0, err
		}
		if m[runs] >= first[runs]+2 {
			least = min(least, m[heap])
		}
		if m[runs] >= first[runs]+3 {
			return int64(least), nil
		}
	}
	return 0, fmt.Errorf("metrics: the collector has not run three times within %d scrapes", mostScrapes)
}

// parseMetrics reads Prometheus' text format as the gateway writes it, without timestamps.
func parseMetrics(text string) (metrics, error) {
	m := make(metrics)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		space := strings.LastIndexByte(line, ' ')
		if space < 0 {
			return nil, fmt.Errorf("metrics: no value in %q", line)
		}
		v, err := strconv.ParseFloat(line[space+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("metrics: %q: %w", line, err)
		}
		m[line[:space]] = v
	}
	return m, nil
}
