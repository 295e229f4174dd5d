package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"sluice/control"
)

func commit(store *Store, ops ...control.Op) (int64, error) {
	return store.Commit(context.Background(), ops)
}

func create(key, value string) control.Op {
	return control.Op{Key: key, Value: []byte(value), If: control.Precondition{Absent: true}}
}

// FIELD: a change of several resources is one transaction, so that no gateway ever sees a part of it.
func TestATransactionIsAtOneRevisionAllOrNothing(t *testing.T) {
	store := storeTest(t)
	old := put(t, store, "routes/old", "1")
	changed := put(t, store, "routes/changed", "1")
	at, err := commit(store, create("routes/new", "1"),
		control.Op{Key: "routes/old", If: control.Precondition{Revision: old}},
		control.Op{Key: "routes/changed", Value: []byte("2"), If: control.Precondition{Revision: changed}})
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := store.List(t.Context(), "routes/", "", 0)
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, e := range list {
		if e.ModRevision != at {
			t.Errorf("%s is of revision %d, not %d", e.Key, e.ModRevision, at)
		}
	}
	if _, err := commit(store, create("routes/other", "1"), create("routes/new", "2")); !errors.Is(err, control.ErrConflict) {
		t.Errorf("a transaction with one false precondition: %v", err)
	}
	if _, err := store.Get(t.Context(), "routes/other"); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("a part of it was done: %v", err)
	}
	for _, bad := range []control.Op{{Key: "routes/x", Value: []byte("1")}, {If: control.Precondition{Absent: true}}} {
		if _, err := commit(store, bad); err == nil || errors.Is(err, control.ErrConflict) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// A directory that is made the whole of a folder must not leave out what somebody put there meanwhile.
func TestAGuardSeesWhatWasWrittenBelowItsPrefix(t *testing.T) {
	store := storeTest(t)
	seen := put(t, store, "routes/a", "1")
	put(t, store, "services/a", "1")
	if _, err := store.Commit(t.Context(), []control.Op{create("routes/b", "1")}, control.Guard{Prefix: "routes/", Revision: seen}); err != nil {
		t.Errorf("nothing was written below routes/: %v", err)
	}
	if _, err := store.Commit(t.Context(), []control.Op{create("routes/c", "1")}, control.Guard{Prefix: "routes/", Revision: seen}); !errors.Is(err, control.ErrConflict) {
		t.Errorf("routes/b was written: %v", err)
	}
	if _, err := store.Commit(t.Context(), []control.Op{create("consumers/c", "1")}, control.Guard{Prefix: "consumers/", Revision: seen}); err != nil {
		t.Errorf("a prefix that is empty: %v", err)
	}
}

func TestATransactionKeepsLeasesAndReadsTellThem(t *testing.T) {
	store := storeTest(t)
	conn, err := store.client.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.release()
	lease, err := conn.Grant(t.Context(), 60)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Put(t.Context(), store.client.cfg.Prefix+"discovery/a", "1", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	before, err := store.Get(t.Context(), "discovery/a")
	if err != nil || !before.Leased {
		t.Fatalf("%+v, %v", before, err)
	}
	if _, err := commit(store, control.Op{Key: "discovery/a", Value: []byte("2"), If: control.Precondition{Revision: before.ModRevision}}); err != nil {
		t.Fatal(err)
	}
	if after, err := store.Get(t.Context(), "discovery/a"); err != nil || !after.Leased || string(after.Value) != "2" {
		t.Errorf("%+v, %v", after, err)
	}
}

// FIELD: etcd takes 128 operations and 1.5 MiB at once unless told otherwise. The embedded server is told; another one's refusal has a name.
func TestATransactionThatIsTooLargeSaysSoAndWritesNothing(t *testing.T) {
	many := func(n, size int) (ops []control.Op) {
		for i := range n {
			ops = append(ops, create(fmt.Sprintf("routes/%d-%d", size, i), strings.Repeat("x", size)))
		}
		return ops
	}
	embedded := storeTest(t)
	if _, err := embedded.Commit(t.Context(), many(2000, 1000)); err != nil {
		t.Errorf("2,000 routes to the embedded server: %v", err)
	}
	if _, err := embedded.Commit(t.Context(), many(12, 1<<20)); !errors.Is(err, control.ErrTooLarge) {
		t.Errorf("12 MiB to the embedded server: %v", err)
	}
	plain := func(cfg *embed.Config) {
		cfg.MaxTxnOps, cfg.MaxRequestBytes = embed.DefaultMaxTxnOps, embed.DefaultMaxRequestBytes
	}
	store := NewStore(clientTest(t, Config{Endpoints: []string{startTest(t, t.TempDir(), plain).Endpoint()}}))
	for _, ops := range [][]control.Op{many(129, 1), many(4, 1<<19)} {
		if _, err := store.Commit(t.Context(), ops); !errors.Is(err, control.ErrTooLarge) {
			t.Errorf("%d operations: %v", len(ops), err)
		}
	}
	if list, _, err := store.List(t.Context(), "", "", 0); err != nil || len(list) > 0 {
		t.Errorf("%d were written, %v", len(list), err)
	}
}

func TestTheLatestAreListedByRevision(t *testing.T) {
	store := storeTest(t)
	var revisions []int64
	for _, key := range []string{"history/b", "history/c", "history/a", "routes/x"} {
		revisions = append(revisions, put(t, store, key, "v"))
	}
	for _, c := range []struct {
		before int64
		limit  int
		want   string
	}{
		{0, 0, "[history/a history/c history/b]"},
		{0, 2, "[history/a history/c]"},
		{revisions[2], 2, "[history/c history/b]"},
		{revisions[0], 2, "[]"},
	} {
		list, _, err := store.Latest(t.Context(), "history/", c.before, c.limit)
		keys := []string{}
		for _, e := range list {
			keys = append(keys, e.Key)
		}
		if got := fmt.Sprint(keys); err != nil || got != c.want {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
}
