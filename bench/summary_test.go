package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func turnOf(cpuNs float64, errs ...string) turn {
	return turn{load: load{Requests: 1000, Rate: 500, P50: time.Millisecond, P99: 2 * time.Millisecond, Errors: errs}, UserNs: cpuNs / 4, SystemNs: cpuNs * 3 / 4, RSS: 10 << 20}
}

func sample(sluice ...turn) ([]string, map[string]*loadResult) {
	return []string{"sluice", "nginx"}, map[string]*loadResult{
		"sluice": {Turns: sluice, Calls: &callCount{PerRequest: 0.25}}, "nginx": {Turns: []turn{turnOf(20000), turnOf(40000)}},
	}
}

func TestSummaryHasMediansAndRatiosByRound(t *testing.T) {
	rows := summarize(sample(turnOf(16000), turnOf(28000)))
	got := rows[0]
	if got.cpu != 22 || got.user != 5.5 || got.sys != 16.5 || got.p50 != 1 || got.p99 != 2 || got.rss != 10 || got.rate != 500 || got.calls != 0.25 {
		t.Errorf("sluice: %+v", got)
	}
	if got.cpuRatio != (spread{0.75, 0.7, 0.8}) {
		t.Errorf("ratio %v", got.cpuRatio)
	}
	if rows[1].cpuRatio != (spread{1, 1, 1}) {
		t.Errorf("nginx to itself: %v", rows[1].cpuRatio)
	}
}

// A row with one wrong answer shows no figure at all.
func TestWrongAnswersMakeTheRowInvalid(t *testing.T) {
	rows := summarize(sample(turnOf(16000), turnOf(28000, "Non-2xx or 3xx responses: 1")))
	var b strings.Builder
	if err := loadTable(rows).write(&b); err != nil {
		t.Fatal(err)
	}
	line := strings.Split(b.String(), "\n")[2]
	if !strings.HasPrefix(line, "sluice") || !strings.Contains(line, "invalid") || strings.ContainsAny(line, "0123456789") {
		t.Errorf("row %q", line)
	}
}

func TestRatioAboveTheBoundIsRefused(t *testing.T) {
	for _, c := range []struct {
		bound float64
		want  bool // refused
	}{{0, false}, {1.5, false}, {0.76, false}, {0.74, true}} {
		rec := &record{}
		judge(rec, summarize(sample(turnOf(16000), turnOf(28000))), c.bound)
		if got := errors.Is(rec.err(), errResult); got != c.want {
			t.Errorf("bound %v: refused = %v", c.bound, got)
		}
	}
}

func TestBoundWithoutNginxIsRefused(t *testing.T) {
	rec := &record{}
	judge(rec, summarize([]string{"sluice"}, map[string]*loadResult{"sluice": {Turns: []turn{turnOf(16000)}}}), 1.5)
	if rec.err() == nil {
		t.Error("judged without anything to judge by")
	}
}
