package observe

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unsafe"

	dto "github.com/prometheus/client_model/go"
)

// What the workers have counted is there to the last one when they have stopped, with scrapes going on all the while.
func TestScrapeAddsUpAllWorkersExactly(t *testing.T) {
	const workers, each = 17, 3000 // more workers than one block has slots
	r := NewRegistry(workers)
	routes := []*Route{r.Route("a", "sa"), r.Route("b", "sb"), nil}
	service := r.Service("sa")

	stop := make(chan struct{})
	var scraper sync.WaitGroup
	scraper.Go(func() {
		for last := 0.0; ; {
			select {
			case <-stop:
				return
			default:
			}
			got := scrape(t, r)
			n := got[`sluice_http_request_duration_seconds{route=a}`]
			if n < last {
				t.Errorf("a counter went back from %v to %v", last, n)
			}
			if got["sluice_connections{side=downstream}"] < 0 {
				t.Error("fewer than no connections are open")
			}
			last = n
		}
	})
	var loops sync.WaitGroup
	for i := range workers {
		loops.Go(func() {
			w := r.Worker(i)
			for n := range each {
				w.ConnOpened()
				w.Finish(&Record{Route: routes[n%3], Status: 100 * (1 + n%5), Duration: ms, BytesIn: 2, BytesOut: 3, Flag: []string{"", "UF", "UC"}[n%3]})
				service.Outcome(i, Outcome(n%outcomes))
				w.ConnClosed()
			}
		})
	}
	loops.Wait()
	close(stop)
	scraper.Wait()

	const all = workers * each
	wantValues(t, r, map[string]float64{
		"sluice_http_requests_total{class=2xx,route=a,service=sa}": all / 15,
		"sluice_http_requests_total{class=5xx,route=,service=}":    all / 15,
		"sluice_http_request_duration_seconds{route=a}":            all / 3,
		"sluice_http_request_duration_seconds{route=b}":            all / 3,
		"sluice_http_request_duration_seconds{route=}":             all / 3,
		"sluice_http_request_body_bytes_total":                     all * 2,
		"sluice_http_response_body_bytes_total":                    all * 3,
		"sluice_responses_by_reason_total{flag=UF}":                all / 3,
		"sluice_responses_by_reason_total{flag=UC}":                all / 3,
		"sluice_upstream_outcomes_total{outcome=reset,service=sa}": all / outcomes,
		"sluice_upstream_outcomes_total{outcome=5xx,service=sa}":   all / outcomes,
		"sluice_connections{side=downstream}":                      0,
		"sluice_connections_total{side=downstream}":                all,
	})
}

func TestEveryEventHasItsOwnCounter(t *testing.T) {
	r := NewRegistry(1)
	w := r.Worker(0)
	for n, event := range []func(){
		w.UpstreamReused, w.Retry, w.AcceptError, w.Panic, func() { w.ConnRefused(RefusedConnections) }, w.ConnOpened, w.ConnClosed,
		w.UpstreamOpened, w.UpstreamClosed, w.TunnelOpened, w.TunnelClosed, func() { w.ConnRefused(RefusedPerClient) },
		func() { w.ConnRefused(RefusedMemory) }, func() { w.ConnShed(ShedDescriptors) }, func() { w.ConnShed(ShedMemory) },
		w.NoPort,
	} {
		for range 100 - n {
			event()
		}
	}
	wantValues(t, r, map[string]float64{
		"sluice_upstream_connections_reused_total":                       100,
		"sluice_retries_total":                                           99,
		"sluice_accept_errors_total":                                     98,
		"sluice_panics_total":                                            97,
		"sluice_connections_refused_total{limit=connections}":            96,
		"sluice_connections_refused_total{limit=connections_per_client}": 89,
		"sluice_connections_refused_total{limit=memory}":                 88,
		"sluice_connections_shed_total{reason=descriptors}":              87,
		"sluice_connections_shed_total{reason=memory}":                   86,
		"sluice_upstream_no_port_total":                                  85,
		"sluice_connections_total{side=downstream}":                      95,
		"sluice_connections{side=downstream}":                            1,
		"sluice_connections_total{side=upstream}":                        93,
		"sluice_connections{side=upstream}":                              1,
		"sluice_tunnels_total":                                           91,
		"sluice_tunnels":                                                 1,
	})
}

func TestControlPlaneStateIsPublished(t *testing.T) {
	r := NewRegistry(3)
	r.SetVersion("1.2.3")
	r.SetRevision(41)
	r.SetRevision(42)
	r.SetResourcesInError(2)
	r.SetMemory(7, 9)
	wantValues(t, r, map[string]float64{
		"sluice_memory_used_bytes":         7,
		"sluice_memory_limit_bytes":        9,
		"sluice_workers":                   3,
		"sluice_config_revision":           42,
		"sluice_config_snapshots_total":    2,
		"sluice_config_resources_in_error": 2,
		"sluice_build_info{version=1.2.3}": 1,
		"sluice_access_log_dropped_total":  0,
	})
	got := scrape(t, r)
	if at, start := got["sluice_config_applied_time_seconds"], got["sluice_start_time_seconds"]; start < 1.7e9 || at < start {
		t.Errorf("started at %v, applied at %v", start, at)
	}
}

// Bounds are inclusive, as Prometheus's le is.
func TestHistogramPutsTimesBelowTheirBounds(t *testing.T) {
	r := NewRegistry(1)
	rt := r.Route("a", "s")
	for i, b := range bounds {
		for range i + 1 {
			r.Worker(0).Finish(&Record{Route: rt, Status: 200, Duration: b})
		}
	}
	r.Worker(0).Finish(&Record{Route: rt, Status: 200, Duration: bounds[len(bounds)-1] + 1})
	r.Worker(0).Finish(&Record{Route: rt, Status: 200, Duration: -5})

	h := histogramOf(t, r, "a")
	want := uint64(1) // the negative one
	sum := float64(bounds[len(bounds)-1]+1) / 1e9
	for i, b := range h.GetBucket() {
		want += uint64(i + 1)
		if b.GetCumulativeCount() != want || b.GetUpperBound() != float64(bounds[i])/1e9 {
			t.Errorf("bucket %d: %v below %v, want %v below %v", i, b.GetCumulativeCount(), b.GetUpperBound(), want, float64(bounds[i])/1e9)
		}
		sum += float64(i+1) * float64(bounds[i]) / 1e9
	}
	if len(h.GetBucket()) != len(bounds) || h.GetSampleCount() != want+1 {
		t.Errorf("%d buckets, %d samples, want %d and %d", len(h.GetBucket()), h.GetSampleCount(), len(bounds), want+1)
	}
	if d := h.GetSampleSum() - sum; d > 1e-6 || d < -1e-6 {
		t.Errorf("sum %v, want %v", h.GetSampleSum(), sum)
	}
}

func histogramOf(t *testing.T, r *Registry, route string) *dto.Histogram {
	t.Helper()
	for _, family := range gather(t, r) {
		for _, m := range family.GetMetric() {
			if m.Histogram != nil && m.GetLabel()[0].GetValue() == route {
				return m.Histogram
			}
		}
	}
	t.Fatalf("no histogram for the route %q", route)
	return nil
}

func TestStatusOutsideTheClassesCountsAsNone(t *testing.T) {
	r := NewRegistry(1)
	for _, status := range []int{0, 99, 600, -1} {
		r.Worker(0).Finish(&Record{Status: status})
	}
	wantValues(t, r, map[string]float64{"sluice_http_requests_total{class=none,route=,service=}": 4})
}

func TestRouteIsTheSameUntilItIsForgottenOrMoved(t *testing.T) {
	r := NewRegistry(1)
	first := r.Route("a", "s")
	r.Worker(0).Finish(&Record{Route: first, Status: 200})
	if r.Route("a", "s") != first {
		t.Error("a second snapshot got other counters for the same route")
	}
	moved := r.Route("a", "t")
	if moved == first {
		t.Error("a route that changed its service kept its label")
	}
	r.Worker(0).Finish(&Record{Route: moved, Status: 200})
	got := scrape(t, r)
	if _, ok := got["sluice_http_requests_total{class=2xx,route=a,service=s}"]; ok {
		t.Error("the series of the old service is still there")
	}
	r.ForgetRoute("a")
	r.ForgetRoute("never there")
	r.Worker(0).Finish(&Record{Route: moved, Status: 200}) // an exchange that was in flight
	for key := range scrape(t, r) {
		if strings.Contains(key, "route=a") {
			t.Errorf("%s is still there", key)
		}
	}
	if n := r.ownRoutes.Load(); n != 0 {
		t.Errorf("%d places are taken by routes that are gone", n)
	}
}

func TestServiceIsTheSameUntilItIsForgotten(t *testing.T) {
	r := NewRegistry(1)
	s := r.Service("s")
	s.Outcome(0, OutcomeOK)
	if r.Service("s") != s {
		t.Error("a second snapshot got other counters for the same service")
	}
	r.ForgetService("s")
	if _, ok := scrape(t, r)["sluice_upstream_outcomes_total{outcome=ok,service=s}"]; ok {
		t.Error("its series is still there")
	}
}

// Names that are stored as such must not take a scrape down by a second series with the same labels.
func TestRouteWithAReservedOrInvalidNameDoesNotBreakAScrape(t *testing.T) {
	r := NewRegistry(1)
	for _, id := range []string{"", "(other)", "a\xff", "a\xfe", "a\uFFFD", "\"}\n\\", "ünï"} {
		r.Worker(0).Finish(&Record{Route: r.Route(id, id), Status: 200})
		r.Service(id).Outcome(0, OutcomeOK)
	}
	for _, id := range []string{"", "(other)"} {
		r.ForgetRoute(id)
	}
	wantValues(t, r, map[string]float64{
		"sluice_http_requests_total{class=2xx,route=,service=}":               1,
		"sluice_http_requests_total{class=2xx,route=(other),service=}":        1,
		"sluice_http_requests_total{class=2xx,route=a\uFFFD,service=a\uFFFD}": 3,
		"sluice_http_requests_total{class=2xx,route=\"}\n\\,service=\"}\n\\}": 1,
		"sluice_http_requests_total{class=2xx,route=ünï,service=ünï}":         1,
	})
}

// The scrape stays bounded however many routes are used, no request goes uncounted, and places come back.
func TestRoutesBeyondTheLimitAreCountedTogether(t *testing.T) {
	r := NewRegistry(2)
	r.maxRoutes = 3
	unused := r.Route("unused", "s")
	for i := range 10 {
		rt := r.Route(fmt.Sprint(i), "s")
		for w := range 2 {
			r.Worker(w).Finish(&Record{Route: rt, Status: 200})
		}
	}
	wantValues(t, r, map[string]float64{
		"sluice_http_requests_total{class=2xx,route=2,service=s}":      2,
		"sluice_http_requests_total{class=2xx,route=(other),service=}": 14,
	})
	if _, ok := scrape(t, r)["sluice_http_requests_total{class=2xx,route=3,service=s}"]; ok {
		t.Error("a fourth route has series")
	}
	r.ForgetRoute("9")
	r.ForgetRoute("unused")
	r.Worker(0).Finish(&Record{Route: unused, Status: 200}) // in flight when it was deleted
	r.ForgetRoute("0")
	r.Worker(0).Finish(&Record{Route: r.Route("late", "s"), Status: 200})
	r.Worker(0).Finish(&Record{Route: r.Route("later", "s"), Status: 200})
	wantValues(t, r, map[string]float64{
		"sluice_http_requests_total{class=2xx,route=late,service=s}":   1,
		"sluice_http_requests_total{class=2xx,route=(other),service=}": 16,
	})
}

// Workers that come to new routes at the same moment, while routes are deleted, leave the count of places right.
func TestPlacesAreCountedRightUnderContention(t *testing.T) {
	const workers = 8
	r := NewRegistry(workers)
	r.maxRoutes = 50
	for range 20 {
		var routes []*Route
		for i := range 100 {
			routes = append(routes, r.Route(fmt.Sprint(i), "s"))
		}
		var loops sync.WaitGroup
		for i := range workers {
			loops.Go(func() {
				for _, rt := range routes {
					r.Worker(i).Finish(&Record{Route: rt, Status: 200})
				}
			})
		}
		for i := range 100 {
			r.ForgetRoute(fmt.Sprint(i))
		}
		loops.Wait()
	}
	if n := r.ownRoutes.Load(); n != 0 {
		t.Errorf("%d places are taken, and no route is left", n)
	}
}

func TestReasonsBeyondTheLimitAreCountedTogether(t *testing.T) {
	r := NewRegistry(1)
	for i := range maxFlags + 3 {
		r.Worker(0).Finish(&Record{Flag: fmt.Sprint("F", i)})
	}
	wantValues(t, r, map[string]float64{
		"sluice_responses_by_reason_total{flag=F0}":    1,
		"sluice_responses_by_reason_total{flag=other}": 3,
	})
}

var onHeap *routeStats // keeps the compiler from putting it on the stack

// 100,000 routes must cost little before they are used, and two workers must not share a line after.
func TestSizesAreWhatTheDocsSay(t *testing.T) {
	if n := unsafe.Sizeof(Route{}); n != 40 {
		t.Errorf("a Route has %d bytes", n)
	}
	if n := unsafe.Sizeof(routeStats{}); n != 192 {
		t.Errorf("routeStats has %d bytes, want three cache lines", n)
	}
	if n := unsafe.Sizeof(serviceStats{}); n != 64 {
		t.Errorf("serviceStats has %d bytes, want one cache line", n)
	}
	if n := unsafe.Sizeof(block[routeStats]{}); n != 128 {
		t.Errorf("a block has %d bytes, want two cache lines", n)
	}
	for range 100 {
		onHeap = new(routeStats)
		if at := uintptr(unsafe.Pointer(onHeap)); at%64 != 0 {
			t.Fatalf("routeStats at %#x does not begin on a cache line", at)
		}
	}
	r := NewRegistry(2)
	const lines = 64
	end := uintptr(unsafe.Pointer(&r.workers[0].counts)) / lines
	if start := uintptr(unsafe.Pointer(&r.workers[1].counts)) / lines; start == end {
		t.Error("two workers share a cache line")
	}
}
