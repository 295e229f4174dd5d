package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// record is one scenario's raw result, as it is kept in a run's folder. All tables and plots are made of it alone (scenario.present), so that a report can be made again from
// its folder.
type record struct {
	Scenario string                                `json:"scenario"`
	Started  time.Time                             `json:"started"`
	Seconds  float64                               `json:"seconds"`
	Variants []string                              `json:"variants"` // in the order of the table
	Rivals   []string                              `json:"rivals"`   // the same
	Result   map[string]map[string]json.RawMessage `json:"result"`   // by variant and rival; its form is the scenario's
	Failures []string                              `json:"failures,omitempty"`

	took   []*rival  // all that took part, of whatever setup
	rows   []summary // of a load, once it is presented
	tables []*table  // what a reader sees, once it is presented
}

func newRecord(name string) *record {
	return &record{Scenario: name, Started: time.Now().UTC(), Result: map[string]map[string]json.RawMessage{}}
}

// add keeps the raw result of one rival at one variant.
func (rec *record) add(rival, variant string, result any) error {
	raw, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", rec.Scenario, rival, err)
	}
	if rec.Result[variant] == nil {
		rec.Result[variant] = map[string]json.RawMessage{}
		rec.Variants = append(rec.Variants, variant)
	}
	if !slices.Contains(rec.Rivals, rival) {
		rec.Rivals = append(rec.Rivals, rival)
	}
	rec.Result[variant][rival] = raw
	return nil
}

// resultsOf returns the results of one variant by rival; who has none is left out.
func resultsOf[T any](rec *record, variant string) (map[string]*T, error) {
	list := map[string]*T{}
	for rival, raw := range rec.Result[variant] {
		one := new(T)
		if err := json.Unmarshal(raw, one); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", rec.Scenario, rival, err)
		}
		list[rival] = one
	}
	return list, nil
}

// addRivals notes who takes part.
func (rec *record) addRivals(rivals []*rival) { rec.took = append(rec.took, rivals...) }

// fail notes why this result does not count.
func (rec *record) fail(format string, args ...any) {
	rec.Failures = append(rec.Failures, fmt.Sprintf(format, args...))
}

// err returns the failures as one error, nil when there are none.
func (rec *record) err() error {
	if len(rec.Failures) == 0 {
		return nil
	}
	return fmt.Errorf("%w:\n  %s", errResult, strings.Join(rec.Failures, "\n  "))
}
