package admin

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sluice/core/observe"
)

// maxScrapes is how many scrapes are answered at once. /metrics is open to anyone, and a scrape of MaxRoutes routes takes 20 MB; a pair
// of Prometheus servers and a curious person fit.
const maxScrapes = 3

// registerMetrics serves what the workers count, and what Go and the kernel say of the process.
func registerMetrics(api huma.API, mux *http.ServeMux, stats *observe.Registry) {
	// Not the library's default registry: any imported package may put something into that.
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		stats.Collector(),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		Registry:            registry,
		MaxRequestsInFlight: maxScrapes,
		ErrorHandling:       promhttp.ContinueOnError, // nine metrics of ten are better than none
	}))
	api.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "metrics", Method: http.MethodGet, Path: "/metrics", Tags: []string{"probes"}, Security: anyone,
		Summary: "Scrape the metrics",
		Responses: map[string]*huma.Response{"200": {
			Description: "Prometheus text format, or what else the scraper accepts",
			Content:     map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	})
}
