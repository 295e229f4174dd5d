package control

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// rebuilds returns what the metric counts.
func (b *bench) rebuilds() (same, different float64) {
	b.t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(b.options.Stats.Collector())
	families, err := registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "sluice_config_rebuilds_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == "same" {
				same = m.GetCounter().GetValue()
			} else {
				different = m.GetCounter().GetValue()
			}
		}
	}
	return same, different
}

func TestATableMadeByChangesIsTheOneMadeAnew(t *testing.T) {
	b := newBench(t)
	b.Rebuild() // before there is anything
	for i := range 300 {
		b.apply(put(fmt.Sprint("routes/r", i%90), route(fmt.Sprintf("/a%d/:x/b%d/*", i%7, i), "s")))
		if i%3 == 0 {
			b.apply(del(fmt.Sprint("routes/r", i%50)))
		}
	}
	snapshots := b.times
	b.Rebuild()
	b.Rebuild() // nothing has changed: nothing to do
	if same, different := b.rebuilds(); same != 1 || different != 0 || b.times != snapshots {
		t.Errorf("%v the same, %v different, %d snapshots more", same, different, b.times-snapshots)
	}
	b.apply(put("routes/new", route("/new", "s")))
	b.Rebuild()
	if same, _ := b.rebuilds(); same != 2 {
		t.Errorf("%v the same after another change", same)
	}
}

// The table in force lacks a route, as a bug in the one or the other way to make it would have it: it is told of, and the one made anew is used.
func TestATableThatIsNotWhatItsRoutesMakeIsReplaced(t *testing.T) {
	b := newBench(t)
	var told strings.Builder
	b.options.Log = slog.New(slog.NewTextHandler(&told, nil))
	b.apply(put("routes/a", route("/a", "s")), put("routes/b", route("/b", "s")))
	right := buildRoutes
	b.build = func(rules []rule) (routes, error) {
		one := *b.table.Get("a")
		value := *one.Value
		value.ID = "c"
		one.ID, one.Paths, one.Value = "c", []string{"/c"}, &value // what the table lacks
		return right(append(rules, one))
	}
	b.Rebuild()
	if b.match("/c") != "c" || b.match("/a") != "a" || b.Status().Routes != 3 {
		t.Errorf("the new table is not in force: %+v", b.Status())
	}
	if _, different := b.rebuilds(); different != 1 || !strings.Contains(told.String(), "BUG: ") {
		t.Errorf("%v counted; the log: %s", different, told.String())
	}
	b.build = right
	b.apply(put("routes/d", route("/d", "s")))
	b.Rebuild()
	if b.match("/c") != "c" || b.match("/d") != "d" {
		t.Error("changes after it are made to another table")
	}
}

// It runs beside changes, on another goroutine; -race looks on.
func TestARebuildGoesOnBesideChanges(t *testing.T) {
	b := newBench(t)
	b.apply(put("routes/a", route("/a", "s")))
	var rebuilding sync.WaitGroup
	stop := make(chan struct{})
	rebuilding.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				b.Rebuild()
			}
		}
	})
	for i := range 500 {
		b.apply(put(fmt.Sprint("routes/r", i%40), route(fmt.Sprintf("/%d/*", i), "s")))
	}
	close(stop)
	rebuilding.Wait()
	b.Rebuild()
	if _, different := b.rebuilds(); different != 0 {
		t.Errorf("%v tables differ", different)
	}
}
