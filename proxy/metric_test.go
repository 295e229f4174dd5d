package proxy

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// metric returns what a scrape says of a counter or gauge, such as "sluice_connections{side=downstream}".
func (g *gateway) metric(t testing.TB, series string) float64 {
	t.Helper()
	p := prometheus.NewPedanticRegistry()
	p.MustRegister(g.stats.Collector())
	families, err := p.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := f.GetName()
			if labels != nil {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			if name == series {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() // it is one of them
			}
		}
	}
	return 0
}
