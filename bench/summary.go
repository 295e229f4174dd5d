package main

import "fmt"

// summary is one rival's row: medians over the rounds.
type summary struct {
	variant        string
	name           string
	invalid        bool    // some answer was wrong, so its figures mean nothing
	rate           float64 // requests per second
	cpu, user, sys float64 // microseconds per request
	p50, p99, p999 float64 // milliseconds
	switches       float64 // context switches per request, of both kinds
	rss            float64 // MiB
	calls          float64 // of the system, per request; 0 = not counted
	heap           bool    // the program tells of its heap
	allocs         float64 // per request
	pauses         float64 // of the collector, a second
	paused         float64 // microseconds of them, a second
	cpuRatio       spread  // to nginx, round by round; zero when nginx is not measured
	hasRatio       bool    // cpuRatio is valid
}

// summarize leaves out who has no result.
func summarize(rivals []string, results map[string]*loadResult) []summary {
	var base []float64
	if nginx := results["nginx"]; nginx != nil {
		base = column(nginx.Turns, turn.cpuNs)
	}
	var rows []summary
	for _, name := range rivals {
		if results[name] == nil {
			continue
		}
		t := results[name].Turns
		s := summary{name: name}
		for i := range t {
			s.invalid = s.invalid || len(t[i].Errors) > 0
		}
		median := func(of func(turn) float64) float64 { return spreadOf(column(t, of)).Median }
		s.rate = median(func(t turn) float64 { return t.Rate })
		s.cpu = median(turn.cpuNs) / 1e3
		s.user = median(func(t turn) float64 { return t.UserNs }) / 1e3
		s.sys = median(func(t turn) float64 { return t.SystemNs }) / 1e3
		s.p50 = median(func(t turn) float64 { return t.P50.Seconds() * 1e3 })
		s.p99 = median(func(t turn) float64 { return t.P99.Seconds() * 1e3 })
		s.p999 = median(func(t turn) float64 { return t.P999.Seconds() * 1e3 })
		s.switches = median(func(t turn) float64 { return t.Voluntary + t.Involuntary })
		s.rss = median(func(t turn) float64 { return float64(t.RSS) / (1 << 20) })
		if calls := results[name].Calls; calls != nil {
			s.calls = calls.PerRequest
		}
		if s.heap = len(t) > 0 && t[0].Heap != nil; s.heap {
			s.allocs = median(func(t turn) float64 { return t.Heap.Allocations })
			s.pauses = median(func(t turn) float64 { return t.Heap.Pauses / t.seconds() })
			s.paused = median(func(t turn) float64 { return t.Heap.PausedUs / t.seconds() })
		}
		if of := ratios(column(t, turn.cpuNs), base); len(of) > 0 {
			s.cpuRatio, s.hasRatio = spreadOf(of), true
		}
		rows = append(rows, s)
	}
	return rows
}

func column(turns []turn, of func(turn) float64) []float64 {
	var v []float64
	for _, t := range turns {
		v = append(v, of(t))
	}
	return v
}

// loadTable has a row for every rival at every variant.
func loadTable(rows []summary) *table {
	t := &table{}
	t.add("", "requests/s", "CPU µs/request", "user", "system", "p50 ms", "p99 ms", "p99.9 ms", "calls/request", "switches/request", "RSS MiB", "allocs/request", "GC/s", "GC µs/s", "CPU to nginx", "lowest–highest")
	for _, s := range rows {
		if s.invalid {
			t.add(s.label(), "invalid: wrong answers")
			continue
		}
		ratio, between := "", ""
		if s.hasRatio {
			ratio = fmt.Sprintf("%.2f", s.cpuRatio.Median)
			between = fmt.Sprintf("%.2f–%.2f", s.cpuRatio.Min, s.cpuRatio.Max)
		}
		t.add(s.label(), thousands(s.rate), fmt.Sprintf("%.1f", s.cpu), fmt.Sprintf("%.1f", s.user), fmt.Sprintf("%.1f", s.sys),
			milliseconds(s.p50), milliseconds(s.p99), milliseconds(s.p999), when(s.calls > 0, fmt.Sprintf("%.2f", s.calls)), fmt.Sprintf("%.2f", s.switches), fmt.Sprintf("%.1f", s.rss),
			when(s.heap, fmt.Sprintf("%.2f", s.allocs)), when(s.heap, fmt.Sprintf("%.1f", s.pauses)), when(s.heap, fmt.Sprintf("%.0f", s.paused)), ratio, between)
	}
	return t
}

// milliseconds is empty for a generator that tells no such time.
func milliseconds(v float64) string { return when(v > 0, fmt.Sprintf("%.2f", v)) }

// workersTable compares each rival's two workers with its one.
func workersTable(rows []summary) *table {
	t := &table{}
	t.add("2 workers to 1", "requests/s", "CPU µs/request")
	for _, one := range rows {
		for _, two := range rows {
			if one.name == two.name && one.variant == oneWorker && two.variant == twoWorkers && !one.invalid && !two.invalid && one.rate > 0 && one.cpu > 0 {
				t.add(one.name, fmt.Sprintf("%.2f", two.rate/one.rate), fmt.Sprintf("%.2f", two.cpu/one.cpu))
			}
		}
	}
	return t
}

// The variants of the scenario workers.
const oneWorker, twoWorkers = "1 worker", "2 workers"

// label is what the row begins with.
func (s *summary) label() string {
	if s.variant == "" {
		return s.name
	}
	return s.variant + ", " + s.name
}

// judge fails the record when sluice costs more than maxRatio of nginx's CPU; 0 means no bound.
func judge(rec *record, rows []summary, maxRatio float64) {
	for _, s := range rows {
		if s.name != "sluice" || maxRatio == 0 {
			continue
		}
		switch {
		case !s.hasRatio:
			rec.fail("sluice has no ratio to nginx to be judged by: measure both")
		case s.cpuRatio.Median > maxRatio:
			rec.fail("sluice takes %.2f of nginx's CPU per request, more than %.2f", s.cpuRatio.Median, maxRatio)
		}
	}
}
