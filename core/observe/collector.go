package observe

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// collector adds the workers up when it is asked to. Every name below is documented by its help text.
type collector struct{ registry *Registry }

// Collector returns what a Prometheus registry takes. Its scrape reads with atomic loads and holds only the lock that the control plane's
// calls hold, for as long as it takes to list the routes; a worker never notices it.
func (r *Registry) Collector() prometheus.Collector { return collector{r} }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sluice_"+name, help, labels, nil)
}

var (
	requestsDesc = desc("http_requests_total",
		"Finished exchanges by route, the route's service, and class of the status; class none is a client that left before the answer. "+
			"Route \"\" is no route, route \"(other)\" all routes beyond the first 10,000 that were used.", "route", "service", "class")
	durationDesc = desc("http_request_duration_seconds", "Time from the first byte of the request to the last byte of the answer, by route.", "route")
	outcomeDesc  = desc("upstream_outcomes_total", "Attempts to send a request to a node, by how they ended.", "service", "outcome")
	nodesDesc    = desc("upstream_nodes", "Nodes that have a weight, by whether they may be asked (in) or not (out); of services whose health is looked after.", "service", "state")
	flipsDesc    = desc("upstream_flips_total", "Times that a node went out or came in again.", "service", "to")
	probesDesc   = desc("upstream_probes_total", "Probes of nodes, by result.", "service", "result")
	ejectedDesc  = desc("upstream_ejections_total", "Nodes that were taken out for what they answered to requests.", "service")
	reasonDesc   = desc("responses_by_reason_total", "Exchanges in which something went wrong, by the flag of the access log.", "flag")

	connectionsDesc = desc("connections", "Open connections, to clients (downstream) and to nodes (upstream).", "side")
	openedDesc      = desc("connections_total", "Connections that were opened, from clients (downstream) and to nodes (upstream).", "side")
	handshakesDesc  = desc("tls_handshakes_total",
		"TLS handshakes with clients by result: done, failed, timeout, gone (the client gave up), refused (too many were under way), no_certificate (for the name that "+
			"the client asked for), client_certificate (the client's is missing or not trusted), not_tls or stopped (by the end of the process). Those that are done also by version and by whether a session was resumed.",
		"result", "version", "resumed")
	refusedDesc = desc("connections_refused_total", "Connections of clients that were closed at once, by the setting that asked for it.", "limit")
	shedDesc    = desc("connections_shed_total", "Idle connections of clients that were closed before their time, by what was wanting.", "reason")
	usedDesc    = desc("memory_used_bytes", "Memory in use that the collector could not free, as limits.memory counts it.")
	limitDesc   = desc("memory_limit_bytes", "What limits.memory comes to; 0 = no limit.")
	tunnelsDesc = desc("tunnels", "Open tunnels.")

	droppedDesc  = desc("access_log_dropped_total", "Lines of the access log that were not written, since the file was too slow or refused them.")
	failuresDesc = desc("access_log_write_errors_total", "Writes to the access log that failed.")

	workersDesc   = desc("workers", "Event loops.")
	startedDesc   = desc("start_time_seconds", "When the gateway started, in seconds since 1970.")
	revisionDesc  = desc("config_revision", "Revision of the store that is in force.")
	inErrorDesc   = desc("config_resources_in_error", "Resources of the store that do not parse or validate; their last good version stays in force.")
	snapshotsDesc = desc("config_snapshots_total", "Snapshots that came into force.")
	appliedDesc   = desc("config_applied_time_seconds", "When the last snapshot came into force, in seconds since 1970; 0 = none yet.")
	buildDesc     = desc("build_info", "1, with the version of the program.", "version")
)

// plainCounters are the counters of a worker that are published as they are.
var plainCounters = [...]struct {
	desc *prometheus.Desc
	of   func(*workerCounts) *atomic.Uint64
}{
	{desc("http_request_body_bytes_total", "Bytes of request bodies that clients sent."),
		func(c *workerCounts) *atomic.Uint64 { return &c.bytesIn }},
	{desc("http_response_body_bytes_total", "Bytes of response bodies sent to clients."),
		func(c *workerCounts) *atomic.Uint64 { return &c.bytesOut }},
	{desc("upstream_connections_reused_total", "Exchanges that were given a connection to a node which had served before."),
		func(c *workerCounts) *atomic.Uint64 { return &c.upReused }},
	{desc("upstream_no_port_total", "Connections to nodes that were not made, since every local port to their address was in use."),
		func(c *workerCounts) *atomic.Uint64 { return &c.noPort }},
	{desc("retries_total", "Attempts beyond the first of an exchange."),
		func(c *workerCounts) *atomic.Uint64 { return &c.retries }},
	{desc("hedges_total", "Second tries made while the first was still waited for; they are retries too."),
		func(c *workerCounts) *atomic.Uint64 { return &c.hedges }},
	{desc("accept_errors_total", "Accepts that failed, such as for want of descriptors."),
		func(c *workerCounts) *atomic.Uint64 { return &c.acceptErrors }},
	{desc("proxy_headers_refused_total", "Connections that did not begin with a PROXY header of a peer that may send one, though they had to."),
		func(c *workerCounts) *atomic.Uint64 { return &c.proxyRefused }},
	{desc("tunnels_total", "Exchanges that became tunnels."),
		func(c *workerCounts) *atomic.Uint64 { return &c.tunnelsOpened }},
	{desc("panics_total", "Panics that a loop survived; each is a bug."),
		func(c *workerCounts) *atomic.Uint64 { return &c.panics }},
}

// Describe sends every description.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		requestsDesc, durationDesc, outcomeDesc, reasonDesc, connectionsDesc, openedDesc, refusedDesc, shedDesc, usedDesc, limitDesc, handshakesDesc, tunnelsDesc, droppedDesc, failuresDesc,
		nodesDesc, flipsDesc, probesDesc, ejectedDesc,
		workersDesc, startedDesc, revisionDesc, inErrorDesc, snapshotsDesc, appliedDesc, buildDesc,
	} {
		ch <- d
	}
	for _, p := range plainCounters {
		ch <- p.desc
	}
	for _, d := range storeDescs {
		ch <- d
	}
	ch <- loginsDesc
	ch <- heldDesc
	ch <- holdsDesc
}

// Collect sends the present sums.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := sink{ch}
	routes, services := c.registry.inUse()
	for _, rt := range routes {
		rt.collect(s)
	}
	for _, svc := range services {
		svc.collect(s)
	}
	c.registry.collectWorkers(s)
	c.registry.collectConfig(s)
	c.registry.collectStore(s)
}

// sink sends metrics in fewer words. Its calls panic only where a description and its labels do not fit each other, a bug here.
type sink struct{ ch chan<- prometheus.Metric }

func (s sink) counter(d *prometheus.Desc, n uint64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func (s sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// inUse returns the routes and services that have counted something, each with counters of its own.
func (r *Registry) inUse() (routes []*Route, services []*Service) {
	overflow := r.overflow.stats.first.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rt := range r.routes {
		if first := rt.stats.first.Load(); first != nil && (first != overflow || rt == r.overflow) {
			routes = append(routes, rt)
		}
	}
	for _, svc := range r.services {
		if svc.stats.first.Load() != nil || svc.health.used.Load() {
			services = append(services, svc)
		}
	}
	return routes, services
}

func (rt *Route) collect(s sink) {
	var byClass [len(classes)]uint64
	var times histogramSum
	rt.stats.each(func(st *routeStats) {
		for i := range byClass {
			byClass[i] += st.classes[i].Load()
		}
		times.add(&st.times)
	})
	for i, n := range byClass {
		if n > 0 {
			s.counter(requestsDesc, n, rt.id, rt.service, classes[i])
		}
	}
	if total, cumulative, seconds := times.prometheus(); total > 0 {
		s.ch <- prometheus.MustNewConstHistogram(durationDesc, total, seconds, cumulative, rt.id)
	}
}

func (svc *Service) collect(s sink) {
	var sum [outcomes]uint64
	svc.stats.each(func(st *serviceStats) {
		for i := range sum {
			sum[i] += st.outcomes[i].Load()
		}
	})
	for i, n := range sum {
		if n > 0 {
			s.counter(outcomeDesc, n, svc.name, Outcome(i).String())
		}
	}
	if h := &svc.health; h.used.Load() {
		for i := range 2 {
			s.gauge(nodesDesc, float64(h.nodes[i].Load()), svc.name, flipNames[i])
			s.counter(flipsDesc, h.flips[i].Load(), svc.name, flipNames[i])
			s.counter(probesDesc, h.probes[i].Load(), svc.name, probeNames[i])
		}
		s.counter(ejectedDesc, h.ejections.Load(), svc.name)
	}
}

func (r *Registry) collectWorkers(s sink) {
	sum := func(of func(*workerCounts) *atomic.Uint64) (n uint64) {
		for _, w := range r.workers {
			n += of(&w.counts).Load()
		}
		return n
	}
	for _, p := range plainCounters {
		s.counter(p.desc, sum(p.of))
	}
	// What was closed is read first: it was opened before, so that the difference is never below zero.
	downClosed := sum(func(c *workerCounts) *atomic.Uint64 { return &c.connClosed })
	upClosed := sum(func(c *workerCounts) *atomic.Uint64 { return &c.upClosed })
	tunClosed := sum(func(c *workerCounts) *atomic.Uint64 { return &c.tunnelsClosed })
	downOpened := sum(func(c *workerCounts) *atomic.Uint64 { return &c.connOpened })
	upOpened := sum(func(c *workerCounts) *atomic.Uint64 { return &c.upOpened })
	tunOpened := sum(func(c *workerCounts) *atomic.Uint64 { return &c.tunnelsOpened })
	s.counter(openedDesc, downOpened, "downstream")
	s.counter(openedDesc, upOpened, "upstream")
	s.gauge(connectionsDesc, float64(downOpened-downClosed), "downstream")
	s.gauge(connectionsDesc, float64(upOpened-upClosed), "upstream")
	s.gauge(tunnelsDesc, float64(tunOpened-tunClosed))

	for i := range handshakes {
		n := sum(func(c *workerCounts) *atomic.Uint64 { return &c.handshakes[i] })
		if n > 0 {
			s.counter(handshakesDesc, n, i.labels()...)
		}
	}
	for why := range Refusal(refusals) {
		s.counter(refusedDesc, sum(func(c *workerCounts) *atomic.Uint64 { return &c.connsRefused[why] }), why.String())
	}

	for why := range Shed(sheds) {
		s.counter(shedDesc, sum(func(c *workerCounts) *atomic.Uint64 { return &c.connsShed[why] }), why.String())
	}

	flags := make(map[string]uint64)
	for _, w := range r.workers {
		w.flags.each(func(flag string, n uint64) { flags[flag] += n })
	}
	for flag, n := range flags {
		s.counter(reasonDesc, n, label(flag))
	}
}

func (r *Registry) collectConfig(s sink) {
	log := r.accessLog.Load()
	s.counter(droppedDesc, log.Dropped())
	s.counter(failuresDesc, log.writeErrors())
	s.gauge(usedDesc, float64(r.memoryUsed.Load()))
	s.gauge(limitDesc, float64(r.memoryLimit.Load()))
	s.gauge(workersDesc, float64(len(r.workers)))
	s.gauge(startedDesc, float64(r.started.UnixMilli())/1e3)
	s.gauge(revisionDesc, float64(r.revision.Load()))
	s.gauge(inErrorDesc, float64(r.inError.Load()))
	s.counter(snapshotsDesc, r.snapshots.Load())
	s.gauge(appliedDesc, float64(r.applied.Load())/1e3)
	r.collectLogins(s)
	r.collectHolds(s)
	if v := r.version.Load(); v != nil {
		s.gauge(buildDesc, 1, *v)
	}
}
