package main

import (
	"slices"
	"testing"
)

// idleOf is a rival that holds connections up to most: 50 MiB, and some bytes for each; the first step is free.
func idleOf(most, asked int, each int64) *idleResult {
	r := &idleResult{Asked: asked}
	for _, n := range idleSteps(most) {
		live := float64(10<<20) + float64(n)*512
		r.Steps = append(r.Steps, idleStep{n, memory{RSS: 50<<20 + int64(max(0, n-firstIdle))*each, Anon: int64(n) * each / 2}, &live})
	}
	return r
}

// What the first thousand fill is room that was free: the line goes through the steps from there.
func TestIdleConnectionsCostTheSlopeOfALine(t *testing.T) {
	l := idleOf(20_000, 20_000, 1024).fit(rssOf)
	if l.slope < 1023.9 || l.slope > 1024.1 || l.off > 1 {
		t.Errorf("%+v, want 1024 a connection", l)
	}
	bent := idleOf(20_000, 20_000, 1024)
	bent.Steps[3].Memory.RSS += 3 << 20
	if l := bent.fit(rssOf); l.off < 2<<20 || l.off > 3<<20 {
		t.Errorf("one step is 3 MiB off, and the line says %v", l.off)
	}
}

// What is closed again leaves its memory behind, so no step has fewer connections than the one before, however few are asked for.
func TestStepsOfIdleConnectionsOnlyGrow(t *testing.T) {
	for most, want := range map[int][]int{
		2 * firstIdle: {0, firstIdle, 1500, 2000}, 4 * firstIdle: {0, firstIdle, 2000, 3000, 4000}, 20_000: {0, firstIdle, 5000, 10_000, 15_000, 20_000},
	} {
		if got := idleSteps(most); !slices.Equal(got, want) {
			t.Errorf("up to %d: %v, want %v", most, got, want)
		}
	}
}

// A figure for connections that were not there says that it is none of a measurement.
func TestWhatWasNotHeldIsSaidToBeByTheLine(t *testing.T) {
	for most, want := range map[int]string{20_000: "68.6", 19_000: "68.6 by the line, for 20,000"} {
		rec := newRecord("idle")
		if err := rec.add("sluice", "", idleOf(most, 20_000, 1024)); err != nil {
			t.Fatal(err)
		}
		if err := presentIdle(rec); err != nil {
			t.Fatal(err)
		}
		row := rec.tables[0].rows[1]
		if row[2] != "1.00" || row[4] != "0.50" || row[7] != want || row[1] != thousands(float64(most)) {
			t.Errorf("%d held: %q", most, row)
		}
		if len(rec.tables[1].rows) != 1+len(idleSteps(most)) {
			t.Errorf("%d rows of steps", len(rec.tables[1].rows))
		}
	}
}

func TestTheLimitOfDescriptorsIsRead(t *testing.T) {
	const text = "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            20000                40000                files     \n"
	if n, err := parseLimit(text); n != 20000 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, bad := range []string{"", "Max open files", "Max open files many"} {
		if _, err := parseLimit(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
