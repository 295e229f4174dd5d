package control

import (
	"fmt"
	"slices"
	"testing"
)

// Bad, disabled, unchanged and removed ones among them: several goroutines make of a batch what one makes of its changes one by one.
func TestALargeBatchBringsWhatItsChangesBringOneByOne(t *testing.T) {
	value := func(i, round int) string {
		switch {
		case i%50 == 0:
			return "{"
		case i%40 == 0:
			return fmt.Sprintf(`{"prefix":"/%d","service_name":"s","status":0}`, i)
		case i%30 == 0:
			return fmt.Sprintf(`{"prefix":"/%d/*","service_name":"s","plugins":{"no-such":{}}}`, i)
		case i%3 == 0:
			return route(fmt.Sprintf("/%d/*", i), "s") // the same in every round
		}
		return route(fmt.Sprintf("/%d/%d/*", i, round), fmt.Sprint("s", i%9))
	}
	large, small := newBench(t), newBench(t)
	for round := range 3 {
		var all []Change
		for i := range aheadAtLeast + 500 {
			c := put(fmt.Sprint("routes/r", i+round*100), value(i, round))
			if i%17 == round {
				c = del(c.Key)
			}
			all = append(all, c)
		}
		large.batch(false, slices.Clone(all))
		for _, c := range all {
			c.ModRevision = large.revision
			small.Apply(Batch{Revision: large.revision, Changes: []Change{c}})
		}
		small.check()
		if a, b := large.now.Routes.Digest(), small.now.Routes.Digest(); a != b {
			t.Fatalf("round %d: digest %x, one by one %x", round, a, b)
		}
		if a, b := large.Status(), small.Status(); len(a.Errors) == 0 || len(a.Errors) != len(b.Errors) || a.Routes != b.Routes {
			t.Fatalf("round %d: %d routes and %d errors, one by one %d and %d", round, a.Routes, len(a.Errors), b.Routes, len(b.Errors))
		}
		for i, e := range large.Status().Errors {
			if other := small.Status().Errors[i]; e.Key != other.Key || e.Previous != other.Previous || e.Problems.Error() != other.Problems.Error() {
				t.Errorf("%+v, one by one %+v", e, other)
			}
		}
	}
}
