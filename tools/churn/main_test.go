package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice/control"
)

// Each change is valid and differs from what stands at its key, also where a run before has left it there; otherwise the gateway would have nothing to do for it.
func TestEveryChangeIsValidAndDiffers(t *testing.T) {
	for _, node := range []string{"", "127.0.0.1:80"} {
		o := options{routes: 2000, service: "s", node: node}
		stands, kinds := make(map[string]string), make(map[control.Kind]int)
		for i := range 2000 {
			n := i % 1000
			o.run = int64(i / 1000)
			key, value := o.change(n)
			if err := control.Check(key, value); err != nil {
				t.Fatalf("%s: %v: %s", key, err, value)
			}
			if stands[key] == string(value) {
				t.Fatalf("change %d of %s changes nothing", n, key)
			}
			stands[key] = string(value)
			kind, _, _ := control.SplitKey(key)
			kinds[kind]++
		}
		if want := map[bool]int{false: 2000, true: 1000}[node != ""]; kinds[control.Routes] != want {
			t.Errorf("%d of 2,000 changes are of routes, want %d", kinds[control.Routes], want)
		}
	}
}

type fake struct {
	mu     sync.Mutex // guards count
	count  int
	failAt int
}

func (f *fake) put(context.Context, string, []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count++; f.count == f.failAt {
		return errors.New("refused")
	}
	return nil
}

// The rate is what was asked for, and the first failure ends it all and is told.
func TestChangesComeAtTheRateAndEndWithTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options{routes: 10, rate: 100, writers: 4, service: "s"}
		ctx, cancel := context.WithTimeout(t.Context(), 995*time.Millisecond)
		defer cancel()
		if r := run(ctx, &o, &fake{}); r.Changes != 100 {
			t.Errorf("%+v", r)
		}
		if r := run(t.Context(), &o, &fake{failAt: 30}); r.Changes != 29 || r.Error != "refused" {
			t.Errorf("%+v", r)
		}
	})
}
