package main

import (
	"fmt"
	"strings"
	"time"
)

// record is one scenario's raw result, as it is kept in a run's folder.
type record struct {
	Scenario string                    `json:"scenario"`
	Started  time.Time                 `json:"started"`
	Seconds  float64                   `json:"seconds"`
	Result   map[string]map[string]any `json:"result"` // by variant and rival; its form is the scenario's
	Failures []string                  `json:"failures,omitempty"`

	rivals []*rival  // all that took part, of whatever setup
	rows   []summary // of a load
	table  *table    // of another scenario, or what is made of rows beside their own
}

func newRecord(name string) *record {
	return &record{Scenario: name, Started: time.Now().UTC(), Result: map[string]map[string]any{}}
}

// add keeps the raw result of one rival at one variant.
func (rec *record) add(rival, variant string, result any) {
	if rec.Result[variant] == nil {
		rec.Result[variant] = map[string]any{}
	}
	rec.Result[variant][rival] = result
}

// addRivals notes who takes part.
func (rec *record) addRivals(rivals []*rival) { rec.rivals = append(rec.rivals, rivals...) }

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
