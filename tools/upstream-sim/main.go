// Command upstream-sim runs every balancer against nodes of different speeds, failures, flapping and outages, in a time that is made up, and prints what came of it beside plain
// round robin: success, tries for each request, latencies, and which node got how much.
//
//	go run ./tools/upstream-sim
//	go run ./tools/upstream-sim -scenario frozen -time 10m -workers 16
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"sluice/upstream/simulate"
)

func main() {
	only := flag.String("scenario", "", "run this one alone")
	length := flag.Duration("time", time.Minute, "simulated time of each run")
	workers := flag.Int("workers", 4, "event loops of the simulated gateway")
	seed := flag.Uint64("seed", 1, "of the random numbers")
	flag.Parse()
	var results []*simulate.Result
	for _, scenario := range simulate.Scenarios() {
		if *only != "" && scenario.Name != *only {
			continue
		}
		for _, strategy := range simulate.Strategies() {
			results = append(results, simulate.Run(scenario, strategy, *length, *workers, *seed))
		}
	}
	if len(results) == 0 {
		fmt.Fprintf(os.Stderr, "upstream-sim: there is no scenario %q\n", *only)
		os.Exit(2)
	}
	if err := simulate.Report(os.Stdout, results); err != nil {
		fmt.Fprintln(os.Stderr, "upstream-sim:", err)
		os.Exit(1)
	}
}
