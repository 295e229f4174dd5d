package simulate

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"text/tabwriter"
	"time"

	"sluice/internal/unit"
	"sluice/upstream"
)

// Strategy is a configuration that is tried.
type Strategy struct {
	Name   string
	config upstream.Config
}

// Strategies are plain round robin, which nothing looks after, and every balancer with health checks, retries and a time for each try.
func Strategies() []Strategy {
	one, zero := 1, 0
	plain := Strategy{Name: "plain"}
	plain.config.Retry.Attempts, plain.config.Balancer.PanicPercent = &one, &zero
	all := []Strategy{plain}
	for _, by := range []string{"roundrobin", "least_conn", "ewma", "random", "chash"} {
		all = append(all, Strategy{Name: by, config: careful(by)})
	}
	hedged := Strategy{Name: "ewma+hedge", config: careful("ewma")}
	hedged.config.Retry.Hedge = &upstream.HedgeConfig{}
	return append(all, hedged)
}

func careful(balancer string) upstream.Config {
	c := upstream.Config{Balancer: upstream.BalancerConfig{Type: balancer}}
	if balancer == "chash" {
		c.Balancer.HashBalanceFactor = 150
	}
	c.Health = &upstream.HealthConfig{
		Active:  &upstream.ActiveHealth{Type: "http", Interval: unit.Duration(time.Second), Timeout: unit.Duration(500 * time.Millisecond)},
		Passive: &upstream.PassiveHealth{Ejection: unit.Duration(2 * time.Second)},
	}
	c.Timeout.PerTry = unit.Duration(250 * time.Millisecond)
	return c
}

// Result is what came of one strategy in one scenario.
type Result struct {
	Scenario, Strategy string

	Requests   int // of clients
	Tries      int // at nodes
	Failed     int // requests without an answer
	Overloaded int // requests that were refused
	Shares     []float64

	// While no node was well.
	OutageRequests int
	OutageTries    int

	latencies []time.Duration
}

// Success returns the part of the requests that had an answer.
func (r *Result) Success() float64 { return float64(len(r.latencies)) / float64(r.Requests) }

// Amplification returns how many tries there were for each request.
func (r *Result) Amplification() float64 { return float64(r.Tries) / float64(r.Requests) }

// Percentile returns the time within which that many in a hundred of the answers came.
func (r *Result) Percentile(p float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(r.latencies))
	return sorted[min(len(sorted)-1, int(p/100*float64(len(sorted))))]
}

// Run tries a strategy in a scenario for a time, over that many workers.
func Run(scenario Scenario, strategy Strategy, length time.Duration, workers int, seed uint64) *Result {
	l := &loop{seed: seed}
	start := time.Unix(1_000_000_000, 0)
	g := &gateway{loop: l, workers: workers, nodes: map[string]*node{}, result: &Result{Scenario: scenario.Name, Strategy: strategy.Name}}
	registry := upstream.NewSimulated(workers, upstream.Clock{Now: func() time.Time { return start.Add(l.now) }, After: l.after}, seed,
		func(at netip.AddrPort) error {
			if n := g.nodes[at.String()]; n.condition == dead || n.condition == frozen {
				return errSick
			}
			return nil
		})
	defer registry.Close()
	config := strategy.config
	nodes, capacity := scenario.nodes(l)
	for i, n := range nodes {
		address := fmt.Sprintf("10.0.0.%d:80", i+1)
		g.nodes[address] = n
		config.Nodes = append(config.Nodes, upstream.NodeConfig{Upstream: address})
	}
	config.SetDefaults()
	g.service = registry.Update("s", &config, nil)
	g.perTry = config.Timeout.PerTry.Std()
	scenario.schedule(l, nodes, length)
	between := time.Duration(float64(time.Second) / (capacity * scenario.Load))
	var arrive func()
	arrive = func() {
		if l.now < length {
			g.arrive()
			l.after(l.exponential(between), arrive)
		}
	}
	l.after(0, arrive)
	l.runUntil(length + drainTime)
	for _, n := range nodes {
		g.result.Shares = append(g.result.Shares, float64(n.asked)/float64(max(1, g.result.Tries)))
	}
	return g.result
}

// nodes makes the nodes of a scenario, and tells how many requests a second they can answer together.
func (s *Scenario) nodes(l *loop) (nodes []*node, capacity float64) {
	for i := range s.Nodes {
		n := &node{loop: l, mean: serviceTime, slowness: 1, servers: servers}
		if s.Speeds != nil {
			n.mean = time.Duration(float64(serviceTime) * s.Speeds[i])
		}
		capacity += servers / n.mean.Seconds()
		nodes = append(nodes, n)
	}
	return nodes, capacity
}

// schedule lets happen what happens to the nodes in that time.
func (s *Scenario) schedule(l *loop, nodes []*node, length time.Duration) {
	for _, h := range s.happens {
		l.after(time.Duration(h.at*float64(length)), func() {
			if h.slowness > 0 {
				nodes[h.node].slowness = h.slowness
				return
			}
			nodes[h.node].become(h.is)
		})
	}
}

// drainTime is how long the answers to the last requests may take.
const drainTime = 30 * time.Second

var errSick = errors.New("no answer")

// Report writes a table of results.
func Report(w io.Writer, results []*Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "scenario\tstrategy\tsuccess %\ttries/request\tp50 ms\tp99 ms\tp99.9 ms\tshares %\t")
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	last := ""
	for _, r := range results {
		if last != "" && r.Scenario != last {
			fmt.Fprintln(t, "\t\t\t\t\t\t\t\t")
		}
		last = r.Scenario
		shares := ""
		for _, s := range r.Shares {
			shares += fmt.Sprintf(" %.1f", 100*s)
		}
		if r.OutageRequests > 0 {
			shares += fmt.Sprintf("  (%.3f tries/request in the outage)", float64(r.OutageTries)/float64(r.OutageRequests))
		}
		fmt.Fprintf(t, "%s\t%s\t%.3f\t%.3f\t%.1f\t%.1f\t%.1f\t%s\t\n", r.Scenario, r.Strategy, 100*r.Success(), r.Amplification(),
			ms(r.Percentile(50)), ms(r.Percentile(99)), ms(r.Percentile(99.9)), shares)
	}
	return t.Flush()
}
