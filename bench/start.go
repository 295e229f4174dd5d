package main

import (
	"context"
	"fmt"
	"time"
)

func aboutStart(o *options) string {
	return fmt.Sprintf("from the start of the process to the first right answer, median of %d", o.rounds)
}

// runStart starts every rival anew in each round. What a gateway must be told first, such as Sluice's route through its API, is in the time; what a compiler needs, and the look at
// whether the rest of its job is right, are not.
func runStart(ctx context.Context, h *harness) (*record, error) {
	rec := newRecord("start")
	took := map[string][]float64{}
	for range h.opt.rounds {
		h.stopRivals()
		for _, name := range h.opt.rivals {
			run, err := starter(name)
			if err != nil {
				return rec, err
			}
			if err := h.build(ctx, name); err != nil {
				return rec, err
			}
			began := time.Now()
			r, err := h.begin(ctx, name, run, setup{})
			if err == nil {
				err = expectAnswer(ctx, r, smallJob(1))
			}
			if err != nil {
				return rec, err
			}
			took[name] = append(took[name], time.Since(began).Seconds()*1e3)
			if err := checkJob(ctx, r); err != nil {
				return rec, err
			}
		}
		if len(rec.took) == 0 {
			rec.addRivals(h.rivals)
		}
	}
	h.stopRivals()
	for _, name := range h.opt.rivals {
		if err := rec.add(name, "", took[name]); err != nil {
			return rec, err
		}
	}
	return rec, nil
}

// build has the compiler's work for a rival done.
func (h *harness) build(ctx context.Context, name string) (err error) {
	switch name {
	case "sluice":
		_, err = h.sluiceBinary(ctx)
	case "caddy", "fasthttp", "reverseproxy", "netpoll":
		_, err = h.builtBinary(ctx, name)
	}
	return err
}

func presentStart(rec *record) error {
	results, err := resultsOf[[]float64](rec, "")
	if err != nil {
		return err
	}
	t := &table{}
	t.add("", "ms", "lowest–highest")
	for _, name := range rec.Rivals {
		s := spreadOf(*results[name])
		t.add(name, fmt.Sprintf("%.0f", s.Median), fmt.Sprintf("%.0f–%.0f", s.Min, s.Max))
	}
	rec.tables = []*table{t}
	return nil
}
