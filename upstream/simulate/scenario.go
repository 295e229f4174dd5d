package simulate

import "time"

// Scenario is nodes and what happens to them.
type Scenario struct {
	Name   string
	Nodes  int
	Speeds []float64 // by node, how much slower than the fastest it is; 1 where there is none
	Load   float64   // part of what all nodes together can do that clients ask for

	happens []happening
}

// happening is a change of a node's condition.
type happening struct {
	at       float64 // part of the simulated time
	node     int
	is       condition
	slowness float64 // 0 = as it is
}

// Scenarios are what every balancer is tried against.
func Scenarios() []Scenario {
	flapping := []happening{}
	for i := range 10 {
		flapping = append(flapping, happening{at: 0.1 + 0.08*float64(i), node: 1, is: dead}, happening{at: 0.14 + 0.08*float64(i), node: 1, is: well})
	}
	outage := []happening{}
	for n := range 5 {
		outage = append(outage, happening{at: 0.3, node: n, is: dead}, happening{at: 0.6, node: n, is: well})
	}
	return []Scenario{
		{Name: "alike", Nodes: 5, Load: 0.6},
		{Name: "speeds", Nodes: 5, Speeds: []float64{1, 1, 1, 2, 3}, Load: 0.55},
		{Name: "slowed", Nodes: 5, Load: 0.4, happens: []happening{{at: 0.3, node: 2, slowness: 10}, {at: 0.7, node: 2, slowness: 1}}},
		{Name: "dead", Nodes: 5, Load: 0.5, happens: []happening{{at: 0.2, node: 0, is: dead}, {at: 0.5, node: 0, is: well}, {at: 0.6, node: 3, is: dead}, {at: 0.9, node: 3, is: well}}},
		{Name: "frozen", Nodes: 5, Load: 0.5, happens: []happening{{at: 0.2, node: 0, is: frozen}, {at: 0.7, node: 0, is: well}}},
		{Name: "flapping", Nodes: 5, Load: 0.5, happens: flapping},
		{Name: "failing", Nodes: 5, Load: 0.5, happens: []happening{{at: 0.2, node: 4, is: failing}, {at: 0.8, node: 4, is: well}}},
		{Name: "correlated", Nodes: 5, Load: 0.35, happens: []happening{{at: 0.3, node: 0, is: dead}, {at: 0.3, node: 1, is: frozen}, {at: 0.6, node: 0, is: well}, {at: 0.6, node: 1, is: well}}},
		{Name: "outage", Nodes: 5, Load: 0.5, happens: outage},
	}
}

// serviceTime is what a request takes at the fastest node, of servers that each has so many of.
const (
	serviceTime = 10 * time.Millisecond
	servers     = 2
)
