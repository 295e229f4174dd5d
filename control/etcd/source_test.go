package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"sluice/control"
	"sluice/internal/testnet"
)

// The write happens after the list and before the watch begins, on the goroutine that does both.
func TestAnUpdateBetweenTheListAndTheWatchIsNotLost(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
	store := NewStore(client)
	put(t, store, "routes/a", "1")
	sink := newRecorder()
	sink.onApply = func(b control.Batch) {
		if b.Full {
			put(t, store, "routes/a", "2")
		}
	}
	run(t, client, Options{}, sink)
	sink.await(t, "routes/a", "2")
	first := sink.batches[0]
	if !first.Full || len(first.Changes) != 1 || string(first.Changes[0].Value) != "1" {
		t.Errorf("the first batch is %+v, want it full, with the value that was there", first)
	}
}

func TestAnEmptyStoreGivesAnEmptyFullBatch(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	sink := newRecorder()
	run(t, clientTest(t, Config{Endpoints: []string{server.Endpoint()}}), Options{}, sink)
	if b := sink.last(); !b.Full || len(b.Changes) != 0 || b.Revision < 1 {
		t.Errorf("got %+v", b)
	}
}

// A watch response holds whole revisions (etcd: "atomic"), so what one transaction wrote is never seen in part.
func TestWhatOneTransactionWroteIsOneBatch(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
	put(t, NewStore(client), "routes/old", "x")
	sink := newRecorder()
	run(t, client, Options{}, sink)
	var revision int64
	err := client.do(t.Context(), "txn", requestTimeout, func(ctx context.Context, conn *connection) error {
		answer, err := conn.Txn(ctx).Then(clientv3.OpPut("/sluice/routes/a", "1"), clientv3.OpPut("/sluice/services/b", "2"),
			clientv3.OpDelete("/sluice/routes/old")).Commit()
		revision = answer.Header.Revision
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sink.await(t, "routes/a", "1")
	b := sink.last()
	if b.Full || b.Revision != revision || len(b.Changes) != 3 {
		t.Fatalf("got %+v, want three changes at revision %d", b, revision)
	}
	for _, c := range b.Changes {
		if c.ModRevision != revision || c.Deleted != (c.Key == "routes/old") {
			t.Errorf("got %+v", c)
		}
	}
}

// Keys are reported below the prefix; a ws-cloud-gateway store has more below its own than resources. Of what ACME keeps, certificates and challenges are served by
// every gateway, so they are reported too.
func TestOnlyWhatIsServedBelowThePrefixIsReported(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	outside := NewStore(clientTest(t, Config{Endpoints: []string{server.Endpoint()}, Prefix: "/my/"}))
	client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}, Prefix: "/my/cloud/"})
	store := NewStore(client)
	keys := []string{"routes/a", "services/b", "discovery/c.d/e", "consumers/f", "certificates/g", "users/h", "settings/i", "acme/issued/j.test", "acme/challenge/k"}
	foreign := []string{"acme/storage/x", "acme/lock/x", "history/x", "routes", "routes/", "other"}
	for _, key := range append(foreign, keys...) {
		put(t, store, key, "before")
	}
	put(t, outside, "cloudy/routes/a", "no")
	sink := newRecorder()
	source, _ := run(t, client, Options{ProgressPeriod: 50 * time.Millisecond}, sink)
	if got := len(sink.last().Changes); got != len(keys) {
		t.Errorf("the full batch has %d changes, want %d", got, len(keys))
	}
	var revision int64
	for _, key := range foreign {
		revision = put(t, store, key, "after")
	}
	put(t, outside, "cloudy/routes/a", "no")
	eventually(t, "the source passes the foreign keys", func() bool { return source.Status().Revision > revision })
	if n := sink.count(); n != 1 {
		t.Errorf("%d batches, want no more than the first", n)
	}
	for _, key := range keys {
		put(t, store, key, "after")
		sink.await(t, key, "after")
	}
}

func TestARemovedKeyIsReportedWithItsRevision(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
	store := NewStore(client)
	put(t, store, "routes/a", "1")
	sink := newRecorder()
	run(t, client, Options{}, sink)
	revision, err := store.Delete(t.Context(), "routes/a", control.Precondition{})
	if err != nil {
		t.Fatal(err)
	}
	sink.await(t, "routes/a", "")
	want := []control.Change{{Entry: control.Entry{Key: "routes/a", ModRevision: revision}, Deleted: true}}
	if b := sink.last(); b.Revision != revision || !slices.EqualFunc(b.Changes, want, func(a, b control.Change) bool {
		return a.Key == b.Key && a.ModRevision == b.ModRevision && a.Deleted == b.Deleted
	}) {
		t.Errorf("got %+v, want %+v", b, want)
	}
}

// A thousand writes in a row must not make a thousand snapshots, and a single one must not wait.
func TestABurstIsAppliedInFewBatchesAndASingleChangeAtOnce(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
	store := NewStore(client)
	arrived := make(chan time.Time, 2000)
	sink := newRecorder()
	sink.onApply = func(control.Batch) { arrived <- time.Now() }
	run(t, client, Options{}, sink)
	<-arrived

	var worst, sum time.Duration
	const singles = 20
	for i := range singles {
		<-time.After(2 * calm) // the quiet that makes it a single change is what is tested
		put(t, store, "routes/single", fmt.Sprint(i))
		done := time.Now() // the watch event may even come before the answer
		took := (<-arrived).Sub(done)
		worst, sum = max(worst, took), sum+took
	}
	t.Logf("from the answer of a put to Apply: mean %v, worst %v", sum/singles, worst)
	if worst > time.Second {
		t.Errorf("a single change was applied %v after its put", worst)
	}

	const writers, each = 10, 100
	before, begin := sink.count(), time.Now()
	failed := make(chan error, writers)
	for w := range writers {
		go func() {
			var err error
			for i := range each {
				if _, err = store.Put(context.Background(), fmt.Sprintf("routes/burst-%d-%d", w, i), []byte("x"), control.Precondition{}); err != nil {
					break
				}
			}
			failed <- err
		}()
	}
	for range writers {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	for w := range writers {
		for i := range each {
			sink.await(t, fmt.Sprintf("routes/burst-%d-%d", w, i), "x")
		}
	}
	n := sink.count() - before
	took := time.Since(begin)
	t.Logf("%d writes in %d batches, in %v", writers*each, n, took)
	if most := int(took/burstIdle) + 2; n > most { // in a burst no two batches are closer than that
		t.Errorf("%d writes made %d batches in %v, want at most %d", writers*each, n, took, most)
	}
	last := int64(0)
	for _, b := range sink.batches {
		if b.Revision <= last {
			t.Fatalf("revision %d after %d", b.Revision, last)
		}
		last = b.Revision
	}
}

func TestRunEndsWithItsContextAlsoWhenNoServerIsThere(t *testing.T) {
	client := clientTest(t, Config{Endpoints: []string{"unix://" + t.TempDir() + "/none"}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	source := NewSource(client, Options{Log: quiet()})
	ended := make(chan error, 1)
	go func() { ended <- source.Run(ctx, newRecorder()) }()
	if err := testnet.Receive(t, "the end", ended); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if s := source.Status(); s.Connected || !s.LastContact.IsZero() || s.Revision != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestASourceStartedBeforeItsServerFindsIt(t *testing.T) {
	dir := t.TempDir()
	client := clientTest(t, Config{Endpoints: []string{"unix://" + dir + "/" + socketName}})
	source := NewSource(client, Options{Log: quiet()})
	sink := newRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- source.Run(ctx, sink) }()
	server := startTest(t, dir, nil)
	put(t, NewStore(clientTest(t, Config{Endpoints: []string{server.Endpoint()}})), "routes/a", "1")
	sink.await(t, "routes/a", "1")
	fullRead(t, source, ReasonStart)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if source.Status().Connected {
		t.Error("still connected after the end")
	}
}
