package main

import (
	"reflect"
	"testing"
)

func TestSpreadIsMedianAndEnds(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{4, 1}, spread{2.5, 1, 4}},
		{[]float64{9, 1, 2}, spread{2, 1, 9}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: got %v, want %v", c.values, got, c.want)
		}
	}
}

func TestSpreadLeavesItsInputAsItWas(t *testing.T) {
	v := []float64{3, 1, 2}
	spreadOf(v)
	if !reflect.DeepEqual(v, []float64{3, 1, 2}) {
		t.Errorf("now %v", v)
	}
}

// A round in which everybody was slow must not move the ratio: values are divided within their round.
func TestRatiosAreTakenRoundByRound(t *testing.T) {
	got := ratios([]float64{8, 80, 9}, []float64{10, 100, 0})
	if want := []float64{0.8, 0.8}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
