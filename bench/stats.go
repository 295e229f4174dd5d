package main

import "slices"

// spread is the middle and the ends of the values of all rounds. The zero value stands for no values.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spreadOf does not change values.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	mid := v[len(v)/2]
	if len(v)%2 == 0 {
		mid = (v[len(v)/2-1] + v[len(v)/2]) / 2
	}
	return spread{Median: mid, Min: v[0], Max: v[len(v)-1]}
}

// ratios divides value by value: round by round, so that a moment in which the machine was slow for everybody cancels out. Rounds in which either
// side has no positive value are left out.
func ratios(values, base []float64) []float64 {
	var out []float64
	for i := range min(len(values), len(base)) {
		if values[i] > 0 && base[i] > 0 {
			out = append(out, values[i]/base[i])
		}
	}
	return out
}
