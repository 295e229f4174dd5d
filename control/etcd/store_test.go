package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"sluice/control"
)

func storeTest(t *testing.T) *Store {
	t.Helper()
	return NewStore(clientTest(t, Config{Endpoints: []string{startTest(t, t.TempDir(), nil).Endpoint()}}))
}

// RFC 9110 §13.1.1: If-Match lets the second of two who read the same state know that he is late.
func TestWritesAreGuardedByTheirPrecondition(t *testing.T) {
	store := storeTest(t)
	put := func(cond control.Precondition) (int64, error) {
		return store.Put(t.Context(), "routes/a", []byte("x"), cond)
	}
	remove := func(cond control.Precondition) error {
		_, err := store.Delete(t.Context(), "routes/a", cond)
		return err
	}
	want := func(step string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", step, err, want)
		}
	}
	_, err := put(control.Precondition{Revision: 7})
	want("change what does not exist", err, control.ErrConflict)
	want("remove what does not exist", remove(control.Precondition{}), control.ErrNotFound)
	want("remove a version of what does not exist", remove(control.Precondition{Revision: 7}), control.ErrNotFound)
	first, err := put(control.Precondition{Absent: true})
	want("create", err, nil)
	_, err = put(control.Precondition{Absent: true})
	want("create once more", err, control.ErrConflict)
	second, err := put(control.Precondition{Revision: first})
	want("change", err, nil)
	_, err = put(control.Precondition{Revision: first})
	want("change what has changed", err, control.ErrConflict)
	want("remove what has changed", remove(control.Precondition{Revision: first}), control.ErrConflict)
	if entry, err := store.Get(t.Context(), "routes/a"); err != nil || entry.ModRevision != second || entry.Key != "routes/a" {
		t.Errorf("got %+v, %v; want revision %d", entry, err, second)
	}
	want("remove", remove(control.Precondition{Revision: second}), nil)
	_, err = store.Get(t.Context(), "routes/a")
	want("get what was removed", err, control.ErrNotFound)
	_, err = store.Get(t.Context(), "")
	want("get nothing", err, errNoKey)
	_, err = store.Put(t.Context(), "", nil, control.Precondition{})
	want("put nothing", err, errNoKey)
	_, err = store.Delete(t.Context(), "", control.Precondition{})
	want("remove nothing", err, errNoKey)
}

// A node that is drained by an edit still goes when its lease ends.
func TestAnEditOfALeasedKeyKeepsItsLease(t *testing.T) {
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
	key := store.client.cfg.Prefix + "discovery/a"
	if _, err := conn.Put(t.Context(), key, "1", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), "discovery/a", []byte("2"), control.Precondition{}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Revoke(t.Context(), lease.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), "discovery/a"); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("after the end of its lease: %v, want %v", err, control.ErrNotFound)
	}
}

// Of many that hold the same revision, one wins.
func TestOfConcurrentGuardedWritesOneWins(t *testing.T) {
	store := storeTest(t)
	revision := put(t, store, "routes/a", "0")
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 8 {
		wg.Go(func() {
			_, err := store.Put(t.Context(), "routes/a", []byte(fmt.Sprint(i)), control.Precondition{Revision: revision})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, control.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

// A write without a condition has no reason to fail because another one creates or removes the key in the same moment.
func TestAnUnconditionalWriteNeverConflicts(t *testing.T) {
	store := storeTest(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				if _, err := store.Put(t.Context(), "routes/a", []byte("x"), control.Precondition{}); err != nil {
					t.Error(err)
				}
				if _, err := store.Delete(t.Context(), "routes/a", control.Precondition{}); err != nil && !errors.Is(err, control.ErrNotFound) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestListIsOrderedPagedAndBounded(t *testing.T) {
	store := storeTest(t)
	for _, key := range []string{"routes/c", "routes/a", "routes/b", "routes/b/x", "services/a", "route"} {
		put(t, store, key, "v")
	}
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          string
	}{
		{"routes/", "", 0, "[routes/a routes/b routes/b/x routes/c]"},
		{"routes/", "", 2, "[routes/a routes/b]"},
		{"routes/", "routes/b", 2, "[routes/b/x routes/c]"},
		{"routes/", "routes/c", 2, "[]"},
		{"routes/", "a", 1, "[routes/a]"}, // after a key that sorts before all
		{"routes/", "z", 1, "[]"},         // after a key that sorts behind all
		{"", "", 0, "[route routes/a routes/b routes/b/x routes/c services/a]"},
	} {
		entries, revision, err := store.List(t.Context(), c.prefix, c.after, c.limit)
		keys := []string{}
		for _, e := range entries {
			keys = append(keys, e.Key)
		}
		if got := fmt.Sprint(keys); got != c.want || err != nil || revision < 7 {
			t.Errorf("List(%q, %q, %d) = %v at %d, %v; want %v", c.prefix, c.after, c.limit, got, revision, err, c.want)
		}
	}
}

// Two keys are always written together. A list that read its pages at different revisions would see them differ.
func TestAListOfManyPagesIsOfOneRevision(t *testing.T) {
	store := storeTest(t)
	write := func(value string) error {
		return store.client.do(context.Background(), "txn", requestTimeout, func(ctx context.Context, conn *connection) error {
			_, err := conn.Txn(ctx).Then(clientv3.OpPut("/sluice/routes/a", value), clientv3.OpPut("/sluice/routes/b", value)).Commit()
			return err
		})
	}
	if err := write("0"); err != nil {
		t.Fatal(err)
	}
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(failed)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := write(fmt.Sprint(i)); err != nil {
				failed <- err
				return
			}
		}
	}()
	for range 100 {
		err := store.client.do(t.Context(), "scan", requestTimeout, func(ctx context.Context, conn *connection) error {
			kvs, header, err := scan(ctx, conn, under("/sluice/routes/"), 0, 1)
			if err == nil && (len(kvs) != 2 || string(kvs[0].Value) != string(kvs[1].Value) || kvs[0].ModRevision > header.Revision) {
				t.Errorf("got %v at revision %d", kvs, header.Revision)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

// Enough values of every size that pages grow, stay and shrink on the way: nothing is left out and nothing comes twice.
func TestPagesOfAnySizeMakeOneWholeList(t *testing.T) {
	store := storeTest(t)
	want := 0
	for _, size := range []int{10, 1400 << 10, 10} {
		for range 24 {
			put(t, store, fmt.Sprintf("routes/%03d", want), string(make([]byte, size)))
			want++
		}
	}
	entries, _, err := store.List(t.Context(), "routes/", "", 0)
	if err != nil || len(entries) != want {
		t.Fatalf("%d entries, %v; want %d", len(entries), err, want)
	}
	err = store.client.do(t.Context(), "scan", requestTimeout, func(ctx context.Context, conn *connection) error {
		kvs, _, err := scan(ctx, conn, under("/sluice/routes/"), 0, 3)
		for i, kv := range kvs {
			if got, want := string(kv.Key), fmt.Sprintf("/sluice/routes/%03d", i); got != want {
				t.Fatalf("entry %d is %s, want %s", i, got, want)
			}
		}
		if len(kvs) != want {
			t.Errorf("%d entries, want %d", len(kvs), want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPagesGrowWhileTheyAreLightAndShrinkWhenTheyAreHeavy(t *testing.T) {
	for _, c := range []struct{ page, bytes, want int }{
		{512, 1000, 1024}, {pageMost, 1000, pageMost}, {2 * pageMost, 0, 2 * pageMost}, {512, pageBytes, 512}, {512, pageHeavy + 1, 256}, {1, pageHeavy + 1, 1},
	} {
		if got := nextPage(c.page, c.bytes); got != c.want {
			t.Errorf("nextPage(%d, %d) = %d, want %d", c.page, c.bytes, got, c.want)
		}
	}
}

func TestAStoreThatCannotBeReachedIsUnavailable(t *testing.T) {
	store := NewStore(clientTest(t, Config{Endpoints: []string{"unix://" + t.TempDir() + "/none"}}))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := store.Get(ctx, "routes/a"); !errors.Is(err, control.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := store.Get(ended, "routes/a"); !errors.Is(err, context.Canceled) || errors.Is(err, control.ErrUnavailable) {
		t.Errorf("a caller who gave up gets %v", err)
	}
	store.client.Close()
	if _, err := store.Get(t.Context(), "routes/a"); !errors.Is(err, control.ErrUnavailable) {
		t.Errorf("a closed client says %v", err)
	}
}

// Whoever writes waits for a connection, but not for as long as for an answer; and not at all where it is known that there is none.
func TestAWriteToAStoreThatIsGoneIsRefusedSoon(t *testing.T) {
	t.Parallel()
	server := startTest(t, t.TempDir(), nil)
	w := newWire(t, server.socket)
	store := NewStore(clientTest(t, Config{Endpoints: []string{w.endpoint()}}))
	put(t, store, "routes/a", "1")
	w.cut()
	write := func() time.Duration {
		begin := time.Now()
		_, err := store.Put(t.Context(), "routes/a", []byte("2"), control.Precondition{})
		if !errors.Is(err, control.ErrUnavailable) || errors.Is(err, context.Canceled) {
			t.Fatalf("without a connection a write says %v", err)
		}
		return time.Since(begin)
	}
	if took := write(); took >= requestTimeout {
		t.Errorf("the first write waited for %v, as for an answer", took)
	}
	eventually(t, "a write that does not wait", func() bool { return write() < linkPatience/2 })
	tried := w.refused.Load()
	eventually(t, "two more attempts to connect", func() bool { // each is taken and closed, as by a balancer with nothing behind it
		if took := write(); took >= linkPatience/2 {
			t.Errorf("a write waited for %v where it is known that there is no connection", took)
		}
		return w.refused.Load() >= tried+2
	})
	w.mend()
	eventually(t, "a write once etcd is back", func() bool {
		_, err := store.Put(t.Context(), "routes/a", []byte("3"), control.Precondition{})
		return err == nil
	})
}

// A server that is connected and says nothing costs one write the whole time that an answer may take; those behind it know.
func TestAStoreThatSaysNothingIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	server := startTest(t, t.TempDir(), nil)
	w := newWire(t, server.socket)
	store := NewStore(clientTest(t, Config{Endpoints: []string{w.endpoint()}}))
	put(t, store, "routes/a", "1")
	w.stall()
	write := func() time.Duration {
		begin := time.Now()
		if _, err := store.Put(t.Context(), "routes/a", []byte("2"), control.Precondition{}); !errors.Is(err, control.ErrUnavailable) {
			t.Fatalf("a store that says nothing: %v", err)
		}
		return time.Since(begin)
	}
	if took := write(); took < requestTimeout {
		t.Errorf("a slow store has no more than %v", took)
	}
	if took := write(); took >= requestTimeout/2 {
		t.Errorf("the second write waited for %v", took)
	}
	eventually(t, "a write on a new connection", func() bool { // gRPC has given the stalled one up by then
		_, err := store.Put(t.Context(), "routes/a", []byte("3"), control.Precondition{})
		return err == nil
	})
}

// Of those who come while a store is known to say nothing one finds out whether it still does, also where several come at once; an answer to any lets all wait in full.
func TestOneCallFindsOutWhetherAStoreStillSaysNothing(t *testing.T) {
	t.Parallel()
	const callers = 8
	server := startTest(t, t.TempDir(), nil)
	client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
	put(t, NewStore(client), "routes/a", "1")
	inFull := func(err error) (n int) { // of so many at once, all of which end with err
		limits := make(chan bool, callers)
		var begun, ended sync.WaitGroup
		begun.Add(callers)
		for range callers {
			ended.Go(func() {
				_ = client.patiently(t.Context(), "test", func(ctx context.Context, _ clientv3.KV) error {
					limit, _ := ctx.Deadline()
					limits <- time.Until(limit) > silentTimeout
					begun.Done()
					begun.Wait() // none ends before all have begun
					return err
				})
			})
		}
		ended.Wait()
		for range callers {
			if <-limits {
				n++
			}
		}
		return n
	}
	failed := errors.New("failed")
	if n := inFull(failed); n != callers {
		t.Errorf("%d of %d wait in full for a store that answers", n, callers)
	}
	client.silent.Store(clock() + int64(time.Hour))
	if n := inFull(failed); n != 0 {
		t.Errorf("%d wait in full for a store that is silent", n)
	}
	client.silent.Store(clock())
	if n := inFull(failed); n != 1 {
		t.Errorf("%d wait in full to find out whether a store is still silent, want one", n)
	}
	client.silent.Store(clock())
	if n := inFull(nil); n != 1 {
		t.Errorf("%d wait in full to find out whether a store is still silent, want one", n)
	}
	if n := inFull(failed); n != callers {
		t.Errorf("%d of %d wait in full for a store that has answered", n, callers)
	}
}

// 1.5 MiB is etcd's limit; trying again would not help, so this is not "unavailable".
func TestAValueThatIsTooLargeIsRefused(t *testing.T) {
	store := storeTest(t)
	for _, size := range []int{1700 << 10, 3 << 20} { // more than another server would take, and more than its library would send
		_, err := store.Put(t.Context(), "routes/a", make([]byte, size), control.Precondition{})
		if err == nil || errors.Is(err, control.ErrUnavailable) {
			t.Errorf("%d bytes: got %v", size, err)
		}
	}
}
