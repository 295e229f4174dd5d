package main

import (
	"os"
	"testing"
)

// A leak shows in the last third; what is allocated once, in the first, does not count.
func TestDriftIsTheLastThirdAgainstTheMiddleThird(t *testing.T) {
	rss := func(s *sample) int64 { return s.process.rss }
	of := func(values ...int64) []sample {
		list := make([]sample, len(values))
		for i, v := range values {
			list[i].process.rss = v
		}
		return list
	}
	if before, after := drift(of(1, 5, 9, 10, 10, 10, 10, 10, 10), rss); before != 10 || after != 10 {
		t.Errorf("%d → %d, want 10 → 10", before, after)
	}
	if before, after := drift(of(1, 2, 3, 4, 5, 6, 7, 8, 9), rss); before != 5 || after != 8 {
		t.Errorf("%d → %d, want 5 → 8", before, after)
	}
	// One odd look is no drift.
	if before, after := drift(of(1, 1, 1, 1, 1, 1, 1, 99, 1), rss); before != 1 || after != 1 {
		t.Errorf("%d → %d, want 1 → 1", before, after)
	}
}

func TestStatusOfAProcessIsRead(t *testing.T) {
	p, err := parseStatus("Name:\tsluice\nVmHWM:\t    2000 kB\nVmRSS:\t    1000 kB\nVmData:\t   30000 kB\n")
	if err != nil || p.rss != 1000<<10 || p.peak != 2000<<10 || p.data != 30000<<10 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := parseStatus("VmRSS: 1 kB\n"); err == nil {
		t.Error("half a status was taken for one")
	}
}

func TestThisProcessCanBeLookedAt(t *testing.T) {
	p, err := readProcess(os.Getpid())
	if err != nil || p.rss <= 0 || p.peak < p.rss || p.data <= 0 || p.fds < 3 {
		t.Errorf("%+v, %v", p, err)
	}
	k, err := readKernelMemory()
	if err != nil || k.slab <= 0 || k.buffers < 0 {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestTCPMemoryIsReadInPages(t *testing.T) {
	n, err := tcpPages("sockets: used 544\nTCP: inuse 521 orphan 0 tw 42870 alloc 521 mem 123\nUDP: inuse 0 mem 7\n")
	if err != nil || n != 123 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := tcpPages("UDP: inuse 0 mem 7\n"); err == nil {
		t.Error("no error without a line of TCP")
	}
}

func TestMetricsAreReadBySeries(t *testing.T) {
	m, err := parseMetrics("# HELP a b\n# TYPE a counter\n" + upstreamOpen + " 3\nsluice_panics_total 0\ngo_goroutines 54\nbig 1.5e+06\n")
	if err != nil || m[upstreamOpen] != 3 || m["go_goroutines"] != 54 || m["big"] != 1.5e6 || len(m) != 4 {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := parseMetrics("a b c\n"); err == nil {
		t.Error("no error for a line without a number")
	}
}

func TestAlarmsAreFoundInALog(t *testing.T) {
	g := &gateway{log: t.TempDir() + "/log"}
	const text = "level=INFO msg=serving\nlevel=WARN msg=\"a node is gone\"\nlevel=ERROR msg=\"BUG: a handler panicked\"\npanic: runtime error\n"
	if err := os.WriteFile(g.log, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if lines, err := g.alarms(); err != nil || len(lines) != 2 {
		t.Errorf("%q, %v; want the last two lines", lines, err)
	}
}
