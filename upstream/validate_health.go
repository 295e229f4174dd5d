package upstream

import (
	"slices"
	"time"

	"sluice/internal/problem"
	"sluice/internal/unit"
)

// StandardHealth returns what is done about the health of nodes where nobody says anything.
func StandardHealth() *HealthConfig {
	h := &HealthConfig{Active: new(ActiveHealth), Passive: new(PassiveHealth)}
	h.SetDefaults()
	return h
}

// SetDefaults fills in what is not given in the halves that are there.
func (h *HealthConfig) SetDefaults() {
	if a := h.Active; a != nil {
		a.setDefaults()
	}
	if p := h.Passive; p != nil {
		or(&p.ConsecutiveFailures, 5)
		or(&p.Ejection, unit.Duration(30*time.Second))
		or(&p.MaxEjection, max(p.Ejection, min(10*p.Ejection, unit.Duration(longest))))
		orPointer(&p.MaxEjectedPercent, 50)
		or(&p.Interval, unit.Duration(10*time.Second))
		or(&p.MinRequests, 20)
	}
}

func (a *ActiveHealth) setDefaults() {
	or(&a.Type, "tcp")
	if a.Type == "http" {
		or(&a.Method, "GET")
		or(&a.Path, "/")
	}
	or(&a.Interval, unit.Duration(3*time.Second))
	or(&a.EdgeInterval, max(unit.Duration(shortestProbe), a.Interval/3))
	or(&a.Timeout, unit.Duration(time.Second))
	or(&a.Healthy.Successes, 1)
	or(&a.Unhealthy.Failures, 2)
}

// shortestProbe bounds the load that probing may be: ten a second and node.
const shortestProbe = 100 * time.Millisecond

// Validate reports everything that is wrong, with paths below "health", after SetDefaults.
func (h *HealthConfig) Validate() error {
	var p problem.Problems
	if a := h.Active; a != nil {
		p.Under("active", a.validate())
	}
	if v := h.Passive; v != nil {
		within(&p, "passive.consecutive_failures", v.ConsecutiveFailures, 1, 1<<20)
		lasts(&p, "passive.ejection", v.Ejection, time.Millisecond)
		if v.MaxEjection != v.Ejection { // which has been looked at
			lasts(&p, "passive.max_ejection", v.MaxEjection, v.Ejection.Std())
		}
		within(&p, "passive.max_ejected_percent", *v.MaxEjectedPercent, 0, 100)
		lasts(&p, "passive.interval", v.Interval, 100*time.Millisecond)
		within(&p, "passive.min_requests", v.MinRequests, 1, 1<<30)
		within(&p, "passive.success_percent", v.SuccessPercent, 0, 100)
		within(&p, "passive.latency_factor", v.LatencyFactor, 0, 1000)
	}
	return p.Err()
}

func (a *ActiveHealth) validate() error {
	var p problem.Problems
	oneOf(&p, "type", a.Type, probes)
	only := func(path, set string, types ...string) {
		if set == "" || slices.Contains(types, a.Type) || !slices.Contains(probes, a.Type) {
			return
		}
		p.Add(path, "is for the type %s only", types[0])
	}
	only("method", a.Method, "http")
	only("host", a.Host, "http", "grpc")
	only("body", a.Body, "http")
	only("service", a.Service, "grpc")
	if a.Method != "" && !validToken(a.Method) {
		p.Add("method", "%q is not a method, such as \"GET\"", a.Method)
	}
	if a.Path != "" && !validPath(a.Path) {
		p.Add("path", "%q is not a path: begin with \"/\", without white space", a.Path)
	}
	if a.Host != "" && !validAuthority(a.Host) {
		p.Add("host", "%q is not a host, such as \"health.example.com\"", a.Host)
	}
	if len(a.Statuses) > 0 {
		only("statuses", "set", "http")
	}
	for i, status := range a.Statuses {
		within(&p, problem.Index("statuses", i), status, 200, 599)
	}
	if len(a.Body) > maxProbeBody {
		p.Add("body", "is longer than the %d bytes that are looked at", maxProbeBody)
	}
	lasts(&p, "interval", a.Interval, shortestProbe)
	lasts(&p, "edge_interval", a.EdgeInterval, shortestProbe)
	lasts(&p, "timeout", a.Timeout, 10*time.Millisecond)
	within(&p, "healthy.successes", a.Healthy.Successes, 1, 254)
	within(&p, "unhealthy.failures", a.Unhealthy.Failures, 1, 254)
	return p.Err()
}

// validAuthority reports whether s may stand in a Host field: an address or a name, with or without a port.
func validAuthority(s string) bool { return addressProblem(s) == "" || addressProblem(s+":80") == "" }
