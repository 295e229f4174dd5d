package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// variant is one load in one setup: a group of rows in a scenario's table.
type variant struct {
	name  string // such as "64 connections"; "" in a scenario that has one variant
	setup setup
	job   job
	rate  rate // nil = closed loop: the next request is sent when the last has been answered
}

// loadScenario returns a scenario in which every rival has a turn at every variant, in interleaved rounds.
func loadScenario(name, about string, variants func(*options) []variant) scenario {
	return scenario{
		name:     name,
		about:    func(o *options) string { return fmt.Sprintf("%s; %d rounds of %s each", about, o.rounds, o.duration) },
		variants: variants,
		run: func(ctx context.Context, h *harness) (*record, error) {
			return runLoads(ctx, h, name, variants(h.opt))
		},
		present: presentLoad,
	}
}

// The sizes of bodies that are measured.
var bodySizes = []int64{1 << 10, 16 << 10, 128 << 10, 1 << 20, 10 << 20}

// The loads. What they have in common is in README.md.
var loadScenarios = []scenario{
	loadScenario("small", "a small GET over kept connections", func(o *options) []variant {
		return []variant{{job: smallJob(o.connections)}}
	}),
	loadScenario("connections", "the same over few and over many connections", func(*options) []variant {
		var list []variant
		for _, n := range []int{1, 16, 64, 512, 4096} {
			list = append(list, variant{name: fmt.Sprintf("%d connection%s", n, when(n > 1, "s")), job: smallJob(n)})
		}
		return list
	}),
	loadScenario("fresh", "a small GET, each over a new connection to the gateway", func(o *options) []variant {
		j := smallJob(o.connections)
		j.fresh = true
		return []variant{{job: j}}
	}),
	loadScenario("pipeline", "small GETs, sixteen sent at once", func(o *options) []variant {
		j := smallJob(o.connections)
		j.pipeline = 16
		return []variant{{job: j}}
	}),
	loadScenario("http2", "a small GET over HTTP/2 from clients, 16 connections", func(*options) []variant {
		return byStreams(setup{}, smallJob(16))
	}),
	loadScenario("tls-http2", "the same over TLS", func(*options) []variant {
		return byStreams(setup{tls: true}, smallJob(16))
	}),
	loadScenario("grpc", "unary calls of gRPC by grpc-go's client, HTTP/2 on both sides, 16 connections", func(*options) []variant {
		return byStreams(setup{grpc: true}, callJob())
	}),
	loadScenario("grpc-h2load", "the same by h2load, which leaves the gateway more of the processors", func(*options) []variant {
		j := callJob()
		j.h2load = true
		return byStreams(setup{grpc: true}, j)
	}),
	loadScenario("download", "answers with a body, over 16 connections", func(*options) []variant {
		var list []variant
		for _, n := range bodySizes {
			list = append(list, variant{name: sizeName(n), job: job{path: bodyPath(n), size: n, connections: 16}})
		}
		return list
	}),
	loadScenario("upload", "requests with a body, over 16 connections", func(*options) []variant {
		var list []variant
		for _, n := range bodySizes {
			list = append(list, variant{name: sizeName(n), job: job{path: sinkPath, upload: n, connections: 16}})
		}
		return list
	}),
	loadScenario("log", "a small GET with the access log on, as JSON into a file", func(o *options) []variant {
		return []variant{{setup: setup{accessLog: true}, job: smallJob(o.connections)}}
	}),
	loadScenario("features", "a small GET with an access log, a request id and a rewritten target", func(o *options) []variant {
		return []variant{{setup: setup{accessLog: true, rewrite: true}, job: smallJob(o.connections)}}
	}),
	loadScenario("plugins", "a small GET with five plugins: request id, rewritten target, clients by address, a field for the answer, a page of another origin", func(o *options) []variant {
		j := smallJob(o.connections)
		j.page = pluginsOrigin
		return []variant{{setup: setup{rewrite: true, plugins: true}, job: j}}
	}),
	loadScenario("routes", "a small GET beside other routes", func(o *options) []variant {
		var list []variant
		for _, n := range o.routes {
			list = append(list, variant{name: thousands(float64(n)) + " routes", setup: setup{routes: n - 1}, job: smallJob(o.connections)})
		}
		return list
	}),
	loadScenario("workers", "a small GET with one and with two workers", func(o *options) []variant {
		return []variant{
			{name: oneWorker, setup: setup{workers: 1}, job: smallJob(o.connections)},
			{name: twoWorkers, setup: setup{workers: 2}, job: smallJob(o.connections)},
		}
	}).comparing(workersTable),
	loadScenario("seed", "ws-cloud-gateway's own benchmark: a rewriting route, 2 workers, wrk -t2 -c16", func(*options) []variant {
		j := smallJob(16)
		j.threads = 2
		return []variant{{setup: setup{workers: 2, rewrite: true}, job: j}}
	}),
	loadScenario("tls", "a small GET over kept TLS connections, and bodies over sixteen of them", func(o *options) []variant {
		list := []variant{{name: "small", setup: setup{tls: true}, job: smallJob(o.connections)}}
		for _, n := range []int64{16 << 10, 1 << 20} {
			list = append(list, variant{name: sizeName(n), setup: setup{tls: true}, job: job{path: bodyPath(n), size: n, connections: 16}})
		}
		return list
	}),
	loadScenario("tls-small", "a small GET over kept TLS connections", func(o *options) []variant {
		return []variant{{name: "TLS", setup: setup{tls: true}, job: smallJob(o.connections)}}
	}),
	loadScenario("handshakes", "a new TLS connection for every small GET, with a P-256 certificate", func(*options) []variant {
		full, nist, resumed := smallJob(16), smallJob(16), smallJob(16)
		full.handshake, nist.handshake, resumed.handshake = handshakeFull, handshakeP256, handshakeResumed
		return []variant{
			{name: "full", setup: setup{tls: true}, job: full},
			{name: "full, key exchange P-256", setup: setup{tls: true}, job: nist},
			{name: "resumed", setup: setup{tls: true}, job: resumed},
		}
	}),
	loadScenario("tail", "a small GET at a fixed rate, half of what nginx does at most, whether answers come or not", func(o *options) []variant {
		return []variant{{job: smallJob(o.connections), rate: halfOfNginx}}
	}),
	loadScenario("churn", "the same while other routes change; nginx and HAProxy, which would have to reload, change nothing", churnVariants),
}

// comparing adds a second table, made of a load's rows.
func (s scenario) comparing(compare func(rows []summary) *table) scenario {
	load := s.present
	s.present = func(rec *record) error {
		if err := load(rec); err != nil {
			return err
		}
		rec.tables = append(rec.tables, compare(rec.rows))
		return nil
	}
	return s
}

// presentLoad makes the rows of a load, and their table.
func presentLoad(rec *record) error {
	rec.rows = nil
	for _, variant := range rec.Variants {
		results, err := resultsOf[loadResult](rec, variant)
		if err != nil {
			return err
		}
		group := summarize(rec.Rivals, results)
		for i := range group {
			group[i].variant = variant
		}
		rec.rows = append(rec.rows, group...)
	}
	rec.tables = []*table{loadTable(rec.rows)}
	return nil
}

// byStreams is one load over HTTP/2 with few and with many requests at once on each connection.
func byStreams(s setup, j job) []variant {
	var list []variant
	for _, n := range []int{1, 10, 100} {
		j.streams = n
		list = append(list, variant{name: fmt.Sprintf("%d stream%s", n, when(n > 1, "s")), setup: s, job: j})
	}
	return list
}

func sizeName(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// runLoads measures all variants. Rounds are interleaved, and start with another rival each time, so that nobody always has the turn after
// somebody else's.
func runLoads(ctx context.Context, h *harness, name string, variants []variant) (*record, error) {
	rec := newRecord(name)
	for _, v := range variants {
		if err := h.use(ctx, v.setup); err != nil {
			return rec, err
		}
		rec.addRivals(h.rivals)
		results, err := measure(ctx, h, v, rec)
		if err != nil {
			return rec, err
		}
		for _, r := range h.rivals {
			if err := rec.add(r.name, v.name, results[r.name]); err != nil {
				return rec, err
			}
		}
	}
	return rec, nil
}

// loadResult is what one rival did at one variant.
type loadResult struct {
	Turns []turn     `json:"turns"`
	Calls *callCount `json:"system_calls,omitempty"`
}

// measure gives every rival its turns at one variant, and one more in which system calls are counted.
func measure(ctx context.Context, h *harness, v variant, rec *record) (map[string]*loadResult, error) {
	for _, r := range h.rivals {
		if _, err := takeTurn(ctx, h, r, v.job, 0, time.Second); err != nil { // warms up pools, caches and heaps
			return nil, err
		}
	}
	perSecond, err := v.rate.find(ctx, h, v.job)
	if err != nil {
		return nil, err
	}
	results := map[string]*loadResult{}
	for _, r := range h.rivals {
		results[r.name] = &loadResult{}
	}
	for round := range h.opt.rounds {
		for i := range h.rivals {
			r := h.rivals[(round+i)%len(h.rivals)]
			fmt.Fprintln(h.log, strings.Join(strings.Fields(fmt.Sprintf("round %d of %d: %s %s", round+1, h.opt.rounds, v.name, r.name)), " "))
			t, err := takeTurn(ctx, h, r, v.job, perSecond, h.opt.duration)
			if err != nil {
				return nil, err
			}
			for _, e := range t.Errors {
				rec.fail("%s, %s round %d: %s", r.name, v.name, round+1, e)
			}
			results[r.name].Turns = append(results[r.name].Turns, *t)
		}
	}
	for _, r := range h.rivals {
		if results[r.name].Calls, err = countCalls(ctx, h, r, v.job, perSecond); err != nil { // one column less, of rounds that are good
			fmt.Fprintf(h.log, "%s: system calls are not counted: %v\n", r.name, err)
		}
	}
	return results, nil
}
