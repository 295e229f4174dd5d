package control

import (
	"fmt"
	"slices"
	"testing"
)

// kept runs what Options.Keep hears, as keys with "-" for what is gone.
func kept(b *bench) *[]string {
	var got []string
	b.options.Keep = func(changes []Change, revision int64) {
		if revision != b.revision {
			b.t.Errorf("at revision %d, want %d", revision, b.revision)
		}
		for _, c := range changes {
			word := c.Key + "=" + string(c.Value)
			if c.Deleted {
				word = "-" + c.Key
			}
			got = append(got, word)
		}
		slices.Sort(got)
	}
	return &got
}

// The last good version of each resource is what must survive a restart, so a refused value is never handed on, and one that is
// accepted in the end is.
func TestOnlyWhatComesIntoForceIsKept(t *testing.T) {
	b := newBench(t)
	got := kept(b)
	want := func(step string, words ...string) {
		t.Helper()
		if !slices.Equal(*got, words) {
			t.Errorf("%s: got %v, want %v", step, *got, words)
		}
		*got = nil
	}
	good := route("/a", "s")
	b.resync(put("routes/a", good), put("routes/bad", "{"), put("users/u", "{}"), put("services/s", `{}`))
	want("the first", "routes/a="+good, "services/s={}")
	b.apply(put("routes/a", "{"), put("routes/bad", good))
	want("good turns bad and bad good", "routes/bad="+good)
	b.apply(put("routes/a", good))
	want("good again", "routes/a="+good)
	b.apply(del("routes/bad"), del("routes/never"))
	want("gone", "-routes/bad")
	b.resync(put("routes/a", good))
	want("a full batch without the service", "-services/s", "routes/a="+good)
}

// A route that is refused for its neighbours comes into force when they go, without being written again.
func TestARouteThatFitsLaterIsKeptThen(t *testing.T) {
	b := newBench(t)
	var all []Change
	for bits := range 513 { // one more than router.MaxBranches
		p := ""
		for i := range 10 {
			if bits>>i&1 == 0 {
				p += "/a"
			} else {
				p += fmt.Sprintf("/:p%d", i)
			}
		}
		all = append(all, put(fmt.Sprintf("routes/r%03d", bits), route(p, "s")))
	}
	got := kept(b)
	b.resync(all...)
	errors := b.Status().Errors
	if len(errors) == 0 || len(*got)+len(errors) != len(all) {
		t.Fatalf("%d kept and %d refused of %d", len(*got), len(errors), len(all))
	}
	waiting := errors[0].Key
	*got = nil
	var gone []Change
	for _, c := range all {
		if c.Key != waiting {
			gone = append(gone, del(c.Key))
		}
	}
	b.apply(gone...)
	if !slices.ContainsFunc(*got, func(word string) bool { return len(word) > len(waiting) && word[:len(waiting)] == waiting }) {
		t.Errorf("%s is in force and not kept: %v", waiting, b.Status().Errors)
	}
}
