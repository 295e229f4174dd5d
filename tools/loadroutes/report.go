package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Bounds that -check holds the figures to, on an idle machine.
const (
	mostLoad     = 3 * time.Second // for 100,000 routes; more take more
	mostPerRoute = 2048            // bytes
	mostChange   = 5 * time.Millisecond
	mostCPURatio = 1.2 // of a request with many routes to one with few: the tree is deeper and colder, and no more than that
)

// report prints the figures.
func report(w io.Writer, o *options, few, many figures) error {
	perRoute := (many.rss - few.rss) / int64(o.routes-fewRoutes)
	slices.Sort(many.changes)
	quantile := func(q float64) time.Duration { return many.changes[int(q*float64(len(many.changes)-1))] }
	ratio := float64(many.cpu) / float64(max(1, few.cpu))
	fmt.Fprintf(w, "start until it serves          %v, with %d routes %v\n", many.start.Round(time.Millisecond), fewRoutes, few.start.Round(time.Millisecond))
	fmt.Fprintf(w, "list read from etcd in         %v\n", many.read)
	fmt.Fprintf(w, "loaded, after it was read, in  %v\n", many.load)
	fmt.Fprintf(w, "memory                         %.1f MiB, with %d routes %.1f MiB: %d bytes for each route, its share of services and all else that is kept\n",
		float64(many.rss)/(1<<20), fewRoutes, float64(few.rss)/(1<<20), perRoute)
	fmt.Fprintf(w, "a change, from its event to in force on all of %d connections to %d workers: median %v, p90 %v, p99 %v, most %v\n",
		o.connections, o.workers, quantile(0.5), quantile(0.9), quantile(0.99), quantile(1))
	fmt.Fprintf(w, "CPU for a request              %v, with %d routes %v: ratio %.2f\n", many.cpu, fewRoutes, few.cpu, ratio)
	fmt.Fprintf(w, "%.0f changes a second           requests p50 %v, p99 %v, gateway %.2f CPUs; without: p50 %v, p99 %v, %.2f CPUs\n", many.busy.changes,
		many.busy.p50.Round(time.Microsecond), many.busy.p99.Round(time.Microsecond), many.busy.cpu,
		many.still.p50.Round(time.Microsecond), many.still.p99.Round(time.Microsecond), many.still.cpu)
	if !o.check {
		return nil
	}
	var over []string
	bound := func(what string, above bool) {
		if above {
			over = append(over, what)
		}
	}
	bound("load", many.load > mostLoad*time.Duration(max(o.routes, 100_000))/100_000)
	bound("memory", perRoute > mostPerRoute)
	bound("median of the changes", quantile(0.5) > mostChange)
	bound("CPU ratio", ratio > mostCPURatio)
	if len(over) > 0 {
		return fmt.Errorf("above the bound: %s", strings.Join(over, ", "))
	}
	return nil
}
