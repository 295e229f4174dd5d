package observe

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// scrape collects r through a Prometheus registry, which checks every metric against its description, and returns the values by
// name{label=value,…}; a histogram's count is under its own name.
func scrape(t testing.TB, r *Registry) map[string]float64 {
	t.Helper()
	values := make(map[string]float64)
	for _, family := range gather(t, r) {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			key := family.GetName()
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			switch {
			case m.Counter != nil:
				values[key] = m.Counter.GetValue()
			case m.Gauge != nil:
				values[key] = m.Gauge.GetValue()
			case m.Histogram != nil:
				values[key] = float64(m.Histogram.GetSampleCount())
			}
		}
	}
	return values
}

func gather(t testing.TB, r *Registry) []*dto.MetricFamily {
	t.Helper()
	p := prometheus.NewPedanticRegistry()
	if err := p.Register(r.Collector()); err != nil {
		t.Fatal(err)
	}
	families, err := p.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// wantValues compares the named values of a scrape.
func wantValues(t *testing.T, r *Registry, want map[string]float64) {
	t.Helper()
	got := scrape(t, r)
	for key, v := range want {
		if g, ok := got[key]; !ok || g != v {
			t.Errorf("%s = %v (present: %v), want %v", key, g, ok, v)
		}
	}
}
