package etcd

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"sluice/control"
)

// The backup is put in place and written to until it is past the cursor, all before the gateway's connection comes back: cluster and revision look as if
// nothing had happened. One key has another value at the very revision that was seen.
func TestARestoredStoreThatWasWrittenPastTheCursorIsFoundByAnAudit(t *testing.T) {
	t.Parallel()
	etcd := startProcess(t)
	store := NewStore(clientTest(t, Config{Endpoints: []string{etcd.endpoint()}}))
	put(t, store, "routes/stays", "1")
	put(t, store, "routes/deleted", "1")
	etcd.kill()
	backup := t.TempDir()
	copyTree(t, backup+"/member", etcd.dir+"/member")
	etcd.start()

	sink := newRecorder()
	source, _ := run(t, clientTest(t, Config{Endpoints: []string{etcd.endpoint()}}), Options{ProgressPeriod: 200 * time.Millisecond}, sink)
	put(t, store, "routes/lost", "1")
	cursor := put(t, store, "routes/changed", "before")
	if _, err := store.Delete(t.Context(), "routes/deleted", control.Precondition{}); err != nil {
		t.Fatal(err)
	}
	sink.await(t, "routes/deleted", "")

	etcd.kill()
	if err := os.RemoveAll(etcd.dir + "/member"); err != nil {
		t.Fatal(err)
	}
	copyTree(t, etcd.dir+"/member", backup+"/member")
	writeOffline(t, etcd.dir, func(restored *Store) {
		put(t, restored, "users/noise", "1")
		if at := put(t, restored, "routes/changed", "after"); at != cursor {
			t.Fatalf("written at revision %d, the test needs %d", at, cursor)
		}
		for i := range 10 {
			put(t, restored, "users/noise", fmt.Sprint(i))
		}
	})
	etcd.start()
	sink.await(t, "routes/changed", "after")
	same(t, store, sink)
	fullRead(t, source, ReasonAudit)
	put(t, store, "routes/changed", "later")
	sink.await(t, "routes/changed", "later")
}

// What an audit that nobody asked for compares is keys and revisions. The difference is made behind the source's back.
func TestAPeriodicAuditFindsAKeyThatTheWatchDidNotTell(t *testing.T) {
	t.Parallel()
	server := startTest(t, t.TempDir(), nil)
	client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
	store := NewStore(client)
	put(t, store, "routes/a", "1")
	put(t, store, "routes/b", "1")
	source := NewSource(client, Options{Log: quiet(), AuditPeriod: 50 * time.Millisecond, ProgressPeriod: 50 * time.Millisecond})
	sink := newRecorder()
	sink.onApply = func(b control.Batch) {
		if !b.Full {
			return
		}
		go func() { // after Run has noted what it has read
			for source.Status().Audits == 0 {
				<-time.After(time.Millisecond)
			}
			put(t, store, "settings/x", "1")
		}()
	}
	forgotten := false
	forget := sink.onApply
	sink.onApply = func(b control.Batch) {
		forget(b)
		if !b.Full && !forgotten { // on Run's goroutine: it forgets a key that it was told of
			forgotten = true
			source.known.remove("routes/b")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- source.Run(ctx, sink) }()
	eventually(t, "an audit that agrees", func() bool { return source.Status().Audits > 0 })
	eventually(t, "a full read for an audit", func() bool { return source.Status().Resyncs[ReasonAudit] == 1 })
	agreed := source.Status().Audits
	eventually(t, "audits that agree again", func() bool { return source.Status().Audits > agreed+2 })
	if n := source.Status().Resyncs[ReasonAudit]; n != 1 {
		t.Errorf("%d full reads", n)
	}
	cancel()
	<-ended
}

// Audits one after the other while thousands of changes go by never find a difference that is not there.
func TestAuditsDuringChangesRaiseNoFalseAlarm(t *testing.T) {
	t.Parallel()
	server := startTest(t, t.TempDir(), nil)
	client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
	store := NewStore(client)
	for i := range 50 {
		put(t, store, fmt.Sprint("routes/r", i), "0")
	}
	sink := newRecorder()
	source, _ := run(t, client, Options{AuditPeriod: time.Millisecond, PageSize: 4}, sink)
	var writers sync.WaitGroup
	done, stop := context.WithCancel(t.Context())
	for w := range 4 {
		writers.Go(func() {
			for i := 0; done.Err() == nil; i++ {
				key := fmt.Sprintf("routes/r%d", (i*7+w)%60)
				if i%5 == 4 {
					_, _ = store.Delete(context.Background(), key, control.Precondition{}) // it may not be there
				} else {
					tryPut(store, key, fmt.Sprint(w, i))
				}
			}
		})
	}
	eventually(t, "some audits", func() bool { return source.Status().Audits >= 4 })
	stop()
	writers.Wait()
	same(t, store, sink)
	if s := source.Status(); len(s.Resyncs) != 1 {
		t.Errorf("full reads: %v after %d audits, want the first alone", s.Resyncs, s.Audits)
	}
}
