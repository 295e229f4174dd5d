package acme

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"
	"testing/synctest"

	"sluice/control"
)

func TestStorageKeepsWhatCertmagicAsks(t *testing.T) {
	s, ctx := newStorage(&shared{entries: map[string]control.Entry{}}, defaultLockTimes), t.Context()
	if _, err := s.Load(ctx, "a/b"); !errors.Is(err, fs.ErrNotExist) || s.Exists(ctx, "a/b") {
		t.Errorf("%v", err)
	}
	for _, key := range []string{"a/b", "a/c/d", "a/c/e"} {
		if err := s.Store(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := s.Load(ctx, "a/c/d"); err != nil || string(b) != "a/c/d" {
		t.Errorf("%q, %v", b, err)
	}
	for _, c := range []struct {
		recursive bool
		want      []string
	}{{false, []string{"a/b", "a/c"}}, {true, []string{"a/b", "a/c/d", "a/c/e"}}} {
		got, err := s.List(ctx, "a", c.recursive)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v, %v", got, err)
		}
	}
	if info, err := s.Stat(ctx, "a/b"); err != nil || !info.IsTerminal || info.Size != 3 || info.Modified.IsZero() {
		t.Errorf("%+v, %v", info, err)
	}
	if info, err := s.Stat(ctx, "a"); err != nil || info.IsTerminal {
		t.Errorf("%+v, %v", info, err)
	}
	if err := s.Delete(ctx, "a/c"); err != nil || s.Exists(ctx, "a/c/d") || !s.Exists(ctx, "a/b") {
		t.Errorf("%v", err)
	}
}

// One holds a lock at a time; one whose holder has died is taken over; and a holder that lives keeps it for as long as it wants.
func TestALockHasOneHolderAndOutlivesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in time of its own, in which no holder is late
		store := &shared{entries: map[string]control.Entry{}}
		a, b := newStorage(store, defaultLockTimes), newStorage(store, defaultLockTimes)
		if err := a.Lock(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		soon, cancel := context.WithTimeout(t.Context(), 3*defaultLockTimes.life)
		defer cancel()
		if err := b.Lock(soon, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a lock that is held was given: %v", err)
		}
		got := make(chan error, 1)
		go func() { got <- b.Lock(t.Context(), "x") }()
		if err := a.Unlock(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		if err := b.Unlock(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Put(t.Context(), lockFolder+"x", []byte("{}"), control.Precondition{}); err != nil { // of a process that is gone
			t.Fatal(err)
		}
		if err := a.Lock(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if err := a.Unlock(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if err := a.Unlock(t.Context(), "x"); err == nil {
			t.Error("a lock that is not held was given back")
		}
	})
}
