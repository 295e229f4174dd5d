package upstream_test

import (
	"bytes"
	"testing"
	"time"

	"sluice/upstream/simulate"
)

// simulated is every strategy in every scenario, by their names, over a short time.
func simulated(t *testing.T) map[string]map[string]*simulate.Result {
	t.Helper()
	all := map[string]map[string]*simulate.Result{}
	var table []*simulate.Result
	for _, scenario := range simulate.Scenarios() {
		all[scenario.Name] = map[string]*simulate.Result{}
		for _, strategy := range simulate.Strategies() {
			r := simulate.Run(scenario, strategy, 15*time.Second, 16, 1)
			all[scenario.Name][strategy.Name] = r
			table = append(table, r)
		}
	}
	var text bytes.Buffer
	if err := simulate.Report(&text, table); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &text)
	return all
}

// What each balancer promises, against nodes of different speeds, failures, flapping and outages, beside plain round robin.
func TestTheBalancersKeepTheirPromises(t *testing.T) {
	all := simulated(t)
	for name, strategies := range all {
		for _, r := range strategies {
			// One of five dead, frozen or flapping, or two: clients do not notice, once in a thousand at most.
			// Errors that a node answers are passed on, five before it is out.
			least := map[string]float64{"outage": 0, "failing": 0.995}[name]
			if least == 0 && name != "outage" {
				least = 0.999
			}
			if r.Strategy != "plain" && r.Success() < least {
				t.Errorf("%s, %s: success %.5f", name, r.Strategy, r.Success())
			}
			if name == "outage" && float64(r.OutageTries) > 1.2*float64(r.OutageRequests) {
				t.Errorf("%s, %s: %d tries for %d requests while all nodes were dead", name, r.Strategy, r.OutageTries, r.OutageRequests)
			}
		}
	}
	for _, by := range []string{"roundrobin", "random"} {
		for _, share := range all["alike"][by].Shares {
			if share > 1.02*0.2 {
				t.Errorf("%s: a node of five has %.4f of the requests", by, share)
			}
		}
	}
	// Balancers that look at the nodes keep slow ones from being what clients wait for.
	for _, scenario := range []string{"speeds", "slowed"} {
		for _, by := range []string{"least_conn", "ewma"} {
			plain, ours := all[scenario]["plain"].Percentile(99), all[scenario][by].Percentile(99)
			if ours > plain/5 {
				t.Errorf("%s, %s: p99 %v, plain round robin %v", scenario, by, ours, plain)
			}
		}
	}
	if slow := all["speeds"]["ewma"].Shares[4]; slow > 0.12 {
		t.Errorf("ewma gives the node that is three times slower %.3f of the requests", slow)
	}
	hedged, alone := all["alike"]["ewma+hedge"], all["alike"]["ewma"]
	if hedged.Percentile(99.9) > alone.Percentile(99.9) || hedged.Amplification() > 1.1 {
		t.Errorf("hedging: p99.9 %v at %.3f tries for each request, without it %v", hedged.Percentile(99.9), hedged.Amplification(), alone.Percentile(99.9))
	}
}

// The same seed gives the same figures, or a failure could not be looked into.
func TestASimulationCanBeRunAgain(t *testing.T) {
	scenario, strategy := simulate.Scenarios()[7], simulate.Strategies()[3]
	first, second := simulate.Run(scenario, strategy, 5*time.Second, 4, 7), simulate.Run(scenario, strategy, 5*time.Second, 4, 7)
	if first.Requests != second.Requests || first.Tries != second.Tries || first.Percentile(99) != second.Percentile(99) {
		t.Errorf("%d and %d tries for %d and %d requests", first.Tries, second.Tries, first.Requests, second.Requests)
	}
}
