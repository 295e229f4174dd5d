package control

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Whatever happens in whatever order, the engine is where a new one would be that saw only the end: same routes, same nodes, same errors but for
// those whose previous version stays.
func TestIncrementalEqualsFromScratch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := newBench(t)
	b.resync()
	store := map[string]Change{}
	good := map[string]Change{} // the last good value of each key
	for step := range 400 {
		var changes []Change
		for range 1 + r.IntN(4) {
			c := randomChange(r)
			if slices.ContainsFunc(changes, func(o Change) bool { return o.Key == c.Key }) {
				continue
			}
			c.ModRevision = b.revision + 1
			changes = append(changes, c)
			switch {
			case c.Deleted:
				delete(store, c.Key)
				delete(good, c.Key)
			default:
				store[c.Key] = c
				if Check(c.Key, c.Value) == nil {
					good[c.Key] = c
				}
			}
		}
		if step%10 == 9 {
			var all []Change
			for _, c := range store {
				all = append(all, c)
			}
			b.resync(all...)
		} else {
			b.apply(changes...)
		}
		fresh := newBench(t)
		var all []Change
		for _, c := range good {
			all = append(all, c)
		}
		fresh.resync(all...)
		if fresh.now.Routes.Digest() != b.now.Routes.Digest() {
			t.Fatalf("step %d: the tables differ:\n%s\n%s", step, b.now.Routes.Dump(), fresh.now.Routes.Dump())
		}
		for _, s := range []string{"s0", "s1", "s2"} {
			if x, y := b.nodes(s), fresh.nodes(s); !slices.Equal(x, y) {
				t.Fatalf("step %d: nodes of %s: %v, from scratch %v", step, s, x, y)
			}
		}
		if b.Status().Services != fresh.Status().Services || len(b.Status().Errors) != len(store)-len(good)+stale(store, good) {
			t.Fatalf("step %d: %+v, from scratch %+v", step, b.Status(), fresh.Status())
		}
	}
}

// stale counts the keys whose last good value is not their last.
func stale(store, good map[string]Change) (n int) {
	for key, c := range good {
		if string(store[key].Value) != string(c.Value) {
			n++
		}
	}
	return n
}

func randomChange(r *rand.Rand) Change {
	service := fmt.Sprintf("s%d", r.IntN(3))
	var key, value string
	switch r.IntN(3) {
	case 0:
		key, value = fmt.Sprintf("routes/r%d", r.IntN(6)), route(fmt.Sprintf("/p%d", r.IntN(5)), service)
	case 1:
		key, value = fmt.Sprintf("discovery/n%d", r.IntN(6)), nodeAt(service, fmt.Sprintf("10.0.0.%d:80", r.IntN(4)))
	default:
		key, value = "services/"+service, fmt.Sprintf(`{"retry":{"attempts":%d}}`, 1+r.IntN(5))
	}
	switch r.IntN(6) {
	case 0:
		return del(key)
	case 1:
		value = `{"wrong":1}`
	case 2:
		value = strings.Replace(value, "{", `{"status":0,`, 1)
		if strings.HasPrefix(key, "services/") {
			value = `{"desc":"x"}`
		}
	}
	return put(key, value)
}
