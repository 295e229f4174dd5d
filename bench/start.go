package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

func aboutStart(o *options) string {
	return fmt.Sprintf("from the start of the process to the first right answer, median of %d", o.rounds)
}

// runStart starts every rival anew in each round. What a gateway must be told first, such as Sluice's route through its API, is in the time.
func runStart(ctx context.Context, h *harness, stdout io.Writer) (*record, error) {
	rec := newRecord("start")
	took := map[string][]float64{}
	for range h.opt.rounds {
		h.stopRivals()
		for _, name := range h.opt.rivals {
			run, err := starter(name)
			if err != nil {
				return rec, err
			}
			if name == "sluice" { // or its first start would have the compiler's time in it
				if _, err := h.sluiceBinary(ctx); err != nil {
					return rec, err
				}
			}
			began := time.Now()
			if err := h.add(ctx, name, run, setup{}); err != nil {
				return rec, err
			}
			took[name] = append(took[name], time.Since(began).Seconds()*1e3)
		}
		if len(rec.rivals) == 0 {
			rec.addRivals(h.rivals)
		}
	}
	h.stopRivals()
	t := &table{}
	t.add("", "ms", "lowest–highest")
	for _, name := range h.opt.rivals {
		s := spreadOf(took[name])
		rec.add(name, "", took[name])
		t.add(name, fmt.Sprintf("%.0f", s.Median), fmt.Sprintf("%.0f–%.0f", s.Min, s.Max))
	}
	rec.table = t
	return rec, t.write(stdout)
}
