package bulk

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"

	"sluice/control"
)

// fake keeps what is committed, and refuses what is there already, as etcd does.
type fake struct {
	control.Store
	mu      sync.Mutex // guards the rest
	stands  map[string]string
	largest int
}

func (f *fake) Commit(ctx context.Context, ops []control.Op, _ ...control.Guard) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.largest = max(f.largest, len(ops))
	for _, op := range ops {
		if _, there := f.stands[op.Key]; there && op.If.Absent {
			return 0, control.ErrConflict
		}
	}
	for _, op := range ops {
		f.stands[op.Key] = string(op.Value)
	}
	return 1, ctx.Err()
}

func entries(n int) iter.Seq[control.Entry] {
	return func(yield func(control.Entry) bool) {
		for i := range n {
			if !yield(control.Entry{Key: control.Routes.Key(fmt.Sprint(i)), Value: fmt.Append(nil, "value ", i)}) {
				return
			}
		}
	}
}

// However the number falls into transactions, each entry is written once, and none of the transactions is larger than any etcd takes.
func TestEveryEntryIsWritten(t *testing.T) {
	for _, n := range []int{0, 1, perTransaction - 1, perTransaction, perTransaction + 1, 20*perTransaction + 7} {
		f := &fake{stands: make(map[string]string)}
		if err := Write(t.Context(), f, entries(n)); err != nil {
			t.Fatal(err)
		}
		if len(f.stands) != n || f.largest > perTransaction {
			t.Errorf("%d entries: %d are there, %d at once", n, len(f.stands), f.largest)
		}
		for e := range entries(n) {
			if f.stands[e.Key] != string(e.Value) {
				t.Fatalf("%s is %q", e.Key, f.stands[e.Key])
			}
		}
	}
}

// The first failure ends it, and is told.
func TestAFailureEndsTheWriting(t *testing.T) {
	f := &fake{stands: map[string]string{control.Routes.Key("250"): "mine"}}
	if err := Write(t.Context(), f, entries(1_000_000)); !errors.Is(err, control.ErrConflict) {
		t.Errorf("it returns %v", err)
	}
	if f.stands[control.Routes.Key("250")] != "mine" || len(f.stands) > 100_000 {
		t.Errorf("%d entries were written, and routes/250 is %q", len(f.stands), f.stands[control.Routes.Key("250")])
	}
}
