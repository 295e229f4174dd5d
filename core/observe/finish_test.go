package observe

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// typical is an exchange as most are: a small answer from a node on a reused connection.
func typical(r *Registry) *Record {
	return &Record{
		Start: 1_770_091_506_789_000_000, Duration: 1_234_567, HeadTime: 1_100_000,
		Method: []byte("GET"), Target: []byte("/openapi/demo1/users/42?fields=name,mail"), Host: []byte("api.example.com"), Protocol: "HTTP/1.1",
		UserAgent: []byte("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
		RequestID: []byte("0af7651916cd43dd8448eb211c80319c"),
		ClientIP:  netip.MustParseAddr("203.0.113.7"), ClientPort: 54321,
		Status: 200, BytesOut: 612, Route: r.Route("demo1", "demo"), Service: r.Service("demo"), Node: "10.1.2.3:8080",
	}
}

// withLog returns a registry of one worker that logs to nowhere in that format.
func withLog(t testing.TB, format string) *Registry {
	t.Helper()
	r := NewRegistry(1)
	if format == "" {
		return r
	}
	log, err := OpenAccessLog(AccessLogConfig{Path: os.DevNull, Format: format}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.SetAccessLog(nil)
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	r.SetAccessLog(log)
	return r
}

func TestFinishDoesNotAllocate(t *testing.T) {
	for _, format := range []string{"", FormatJSON, FormatCombined} {
		t.Run("log "+format, func(t *testing.T) {
			r := withLog(t, format)
			rec, w := typical(r), r.Worker(0)
			hostile := *rec
			hostile.Route, hostile.Flag, hostile.Status = nil, "UF", 502
			hostile.UserAgent = []byte("\x00\"\\\xff\u202e\n")
			hostile.ClientIP = netip.MustParseAddr("fe80::1%eth0")
			n := testing.AllocsPerRun(1000, func() {
				rec.Start += 10 * ms
				w.Finish(rec)
				onStack := hostile // as the proxy does
				w.Finish(&onStack)
				rec.Service.Outcome(0, OutcomeOK)
				w.ConnOpened()
			})
			if n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func BenchmarkFinish(b *testing.B) {
	for name, format := range map[string]string{"no log": "", "json": FormatJSON, "combined": FormatCombined} {
		b.Run(name, func(b *testing.B) {
			r := withLog(b, format)
			rec, w := typical(r), r.Worker(0)
			b.ReportAllocs()
			for b.Loop() {
				rec.Start += 20_000
				w.Finish(rec)
			}
			b.ReportMetric(float64(r.accessLog.Load().Dropped())/float64(b.N), "dropped/op")
		})
	}
}

// The cost of routes that are not in the processor's cache.
func BenchmarkFinishManyRoutes(b *testing.B) {
	r := NewRegistry(1)
	r.maxRoutes = 100_000
	var routes []*Route
	for i := range 100_000 {
		routes = append(routes, r.Route(string(rune(i+1)), "s"))
	}
	rec, w := typical(r), r.Worker(0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		rec.Route = routes[i*7919%len(routes)]
		w.Finish(rec)
	}
}

// A scrape at the limit of the cardinality.
func BenchmarkScrapeAllRoutes(b *testing.B) {
	r := NewRegistry(4)
	for i := range MaxRoutes {
		for w := range 4 {
			r.Worker(w).Finish(&Record{Route: r.Route(string(rune(i+1)), "s"), Status: 200})
		}
	}
	p := prometheus.NewRegistry()
	p.MustRegister(r.Collector())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}

// The formats alone, without counters, ring and file.
func BenchmarkFormat(b *testing.B) {
	r := NewRegistry(1)
	rec := typical(r)
	var clock stamp
	line := make([]byte, 0, 4096)
	b.Run("json", func(b *testing.B) {
		for b.Loop() {
			line = appendJSON(line[:0], rec, &clock)
		}
		b.SetBytes(int64(len(line)))
	})
	var local stamp
	b.Run("combined", func(b *testing.B) {
		for b.Loop() {
			line = appendCombined(line[:0], rec, &local)
		}
		b.SetBytes(int64(len(line)))
	})
}

// The whole way to a file, on as many workers as there are processors.
func BenchmarkFinishToFile(b *testing.B) {
	r := NewRegistry(1)
	log, err := OpenAccessLog(AccessLogConfig{Path: filepath.Join(b.TempDir(), "access.log")}, 1)
	if err != nil {
		b.Fatal(err)
	}
	r.SetAccessLog(log)
	rec, w := typical(r), r.Worker(0)
	b.ReportAllocs()
	for b.Loop() {
		rec.Start += 20_000
		w.Finish(rec)
	}
	b.ReportMetric(float64(log.Dropped())/float64(b.N), "dropped/op")
	if err := log.Close(); err != nil {
		b.Fatal(err)
	}
}
