package etcd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"sluice/control"
)

// bench is a server, a way to write to it directly, and a source that reaches it by a wire that can be cut.
type bench struct {
	server *Server
	direct *Client
	store  *Store
	wire   *wire
	source *Source
	sink   *recorder
	log    *logged
}

func newBench(t *testing.T, dir string, seed map[string]string) *bench {
	t.Helper()
	b := &bench{server: startTest(t, dir, nil), sink: newRecorder(), log: new(logged)}
	b.direct = clientTest(t, Config{Endpoints: []string{b.server.Endpoint()}})
	b.store = NewStore(b.direct)
	for _, key := range []string{"routes/a", "routes/b", "routes/c"} {
		if seed[key] != "" {
			put(t, b.store, key, seed[key])
		}
	}
	b.wire = newWire(t, b.server.socket)
	b.source, _ = run(t, clientTest(t, Config{Endpoints: []string{b.wire.endpoint()}}), Options{
		ProgressPeriod: 100 * time.Millisecond, PageSize: 2, Log: slog.New(slog.NewTextHandler(io.MultiWriter(b.log, t.Output()), nil)),
	}, b.sink)
	eventually(t, "the watch is up", func() bool { return b.source.Status().Connected })
	return b
}

// compact throws away all history up to now.
func (b *bench) compact(t *testing.T) {
	t.Helper()
	err := b.direct.do(t.Context(), "compact", requestTimeout, func(ctx context.Context, conn *connection) error {
		answer, err := conn.Get(ctx, "x")
		if err == nil {
			_, err = conn.Compact(ctx, answer.Header.Revision)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// resyncs waits for a full read for a reason.
func (b *bench) resyncs(t *testing.T, reason string) {
	t.Helper()
	eventually(t, "a full read, "+reason, func() bool { return b.source.Status().Resyncs[reason] > 0 })
}

// The sink gets the difference, in one batch, not everything again: what did not change is not compiled again.
func TestAfterACompactionOnlyTheDifferenceIsHandedOn(t *testing.T) {
	b := newBench(t, t.TempDir(), map[string]string{"routes/a": "1", "routes/b": "2", "routes/c": "3"})
	b.wire.cut()
	put(t, b.store, "routes/b", "two")
	put(t, b.store, "routes/d", "4")
	revision, err := b.store.Delete(t.Context(), "routes/c", control.Precondition{})
	if err != nil {
		t.Fatal(err)
	}
	b.compact(t)
	b.wire.mend()
	b.resyncs(t, ReasonCompacted)
	batch := b.sink.last()
	if b.sink.count() != 2 || batch.Full || batch.Revision != revision {
		t.Fatalf("%d batches, the last is %+v; want 2, and the difference at revision %d", b.sink.count(), batch, revision)
	}
	got := ""
	for _, c := range batch.Changes {
		got += fmt.Sprintf("%s=%s %v\n", c.Key, c.Value, c.Deleted)
	}
	if want := "routes/c= true\nroutes/b=two false\nroutes/d=4 false\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	put(t, b.store, "routes/a", "later")
	b.sink.await(t, "routes/a", "later")
}

// A compaction with no change below it costs nothing in the data plane.
func TestAfterACompactionWithoutChangesNothingIsApplied(t *testing.T) {
	b := newBench(t, t.TempDir(), map[string]string{"routes/a": "1"})
	b.wire.cut()
	revision := int64(0)
	for range 5 {
		revision = put(t, b.store, "history/x", "noise")
	}
	b.compact(t)
	b.wire.mend()
	b.resyncs(t, ReasonCompacted)
	if n := b.sink.count(); n != 1 {
		t.Errorf("%d batches, want only the first", n)
	}
	if got := b.source.Status().Revision; got != revision {
		t.Errorf("the status says revision %d, want %d", got, revision)
	}
}

// A restart of etcd is no reason to read everything again: the watch goes on where it was.
func TestTheWatchResumesWhenTheServerIsBack(t *testing.T) {
	dir := t.TempDir()
	b := newBench(t, dir, map[string]string{"routes/a": "1"})
	b.wire.cut()
	put(t, b.store, "routes/a", "2")
	stopTest(t, b.server)
	eventually(t, "the source notices", func() bool { return !b.source.Status().Connected })
	startTest(t, dir, nil)
	put(t, b.store, "routes/b", "3")
	b.wire.mend()
	b.sink.await(t, "routes/b", "3")
	b.sink.await(t, "routes/a", "2")
	status := b.source.Status()
	if len(status.Resyncs) != 1 || status.Resyncs[ReasonStart] != 1 {
		t.Errorf("full reads: %v, want the first alone", status.Resyncs)
	}
	eventually(t, "connected again", func() bool { return b.source.Status().Connected })
}

// A restored store counts revisions again that were used before: the same key at the same revision can have another value.
func TestARestoredStoreIsComparedByValue(t *testing.T) {
	dir, backup := t.TempDir(), t.TempDir()
	first := startTest(t, dir, nil)
	client := clientTest(t, Config{Endpoints: []string{first.Endpoint()}})
	put(t, NewStore(client), "routes/a", "1")
	client.Close()
	stopTest(t, first)
	copyTree(t, backup+"/member", dir+"/member")

	b := newBench(t, dir, map[string]string{"routes/b": "2", "routes/c": "3"})
	b.sink.await(t, "routes/a", "1")
	before, err := b.store.Get(t.Context(), "routes/b")
	if err != nil {
		t.Fatal(err)
	}
	b.wire.cut()
	stopTest(t, b.server)
	if err := os.RemoveAll(dir + "/member"); err != nil {
		t.Fatal(err)
	}
	copyTree(t, dir+"/member", backup+"/member")
	startTest(t, dir, nil)
	revision := put(t, b.store, "routes/b", "other")
	if revision != before.ModRevision {
		t.Fatalf("the write is at revision %d, the one before the restore was at %d: the test needs them to be equal", revision, before.ModRevision)
	}
	b.wire.mend()
	b.sink.await(t, "routes/b", "other")
	b.sink.await(t, "routes/c", "")
	b.resyncs(t, ReasonRestored)
	last := b.sink.last()
	if last.Full || last.Revision != revision || len(last.Changes) != 2 {
		t.Errorf("the last batch is %+v, want two changes at revision %d", last, revision)
	}
	put(t, b.store, "routes/c", "again")
	b.sink.await(t, "routes/c", "again")
}

// Only the revision moved, and backwards: it is reported although no resource differs.
func TestARestoreWithoutChangesReportsTheLowerRevision(t *testing.T) {
	dir, backup := t.TempDir(), t.TempDir()
	first := startTest(t, dir, nil)
	client := clientTest(t, Config{Endpoints: []string{first.Endpoint()}})
	revision := put(t, NewStore(client), "routes/a", "1")
	client.Close()
	stopTest(t, first)
	copyTree(t, backup+"/member", dir+"/member")

	b := newBench(t, dir, nil)
	later := put(t, b.store, "history/x", "foreign")
	eventually(t, "the source is past it", func() bool { return b.source.Status().Revision >= later })
	b.wire.cut()
	stopTest(t, b.server)
	if err := os.RemoveAll(dir + "/member"); err != nil {
		t.Fatal(err)
	}
	copyTree(t, dir+"/member", backup+"/member")
	startTest(t, dir, nil)
	b.wire.mend()
	b.resyncs(t, ReasonRestored)
	if last := b.sink.last(); b.sink.count() != 2 || last.Full || len(last.Changes) != 0 || last.Revision != revision {
		t.Errorf("%d batches, the last is %+v; want an empty one at revision %d", b.sink.count(), last, revision)
	}
}

// Another cluster may be at a higher revision than the old one, so only its id tells.
func TestANewDataDirectoryIsKnownByItsClusterID(t *testing.T) {
	dir := t.TempDir()
	b := newBench(t, dir, map[string]string{"routes/a": "1", "routes/b": "2"})
	b.wire.cut()
	stopTest(t, b.server)
	if err := os.RemoveAll(dir + "/member"); err != nil {
		t.Fatal(err)
	}
	startTest(t, dir, nil)
	for i := range 10 {
		put(t, b.store, "routes/b", fmt.Sprint("new", i))
	}
	b.wire.mend()
	b.sink.await(t, "routes/b", "new9")
	b.sink.await(t, "routes/a", "")
	b.resyncs(t, ReasonRestored)
}

// The connection stays up and nothing comes through, as behind a firewall that forgot it: only a watchdog notices soon.
func TestASilentConnectionIsReplaced(t *testing.T) {
	b := newBench(t, t.TempDir(), map[string]string{"routes/a": "1"})
	b.wire.stall()
	put(t, b.store, "routes/a", "2")
	b.sink.await(t, "routes/a", "2")
	if log := b.log.String(); !strings.Contains(log, errSilent.Error()) || strings.Contains(log, errLost.Error()) {
		t.Errorf("it was the pings of gRPC that noticed, and not the watchdog:\n%s", log)
	}
	if resyncs := b.source.Status().Resyncs; len(resyncs) != 1 {
		t.Errorf("full reads: %v, want the first alone", resyncs)
	}
}

// Nothing is written for a long time: the revision moves all the same when others write, and contact is kept.
func TestAQuietWatchKeepsContact(t *testing.T) {
	b := newBench(t, t.TempDir(), map[string]string{"routes/a": "1"})
	before := b.source.Status().LastContact
	eventually(t, "contact without an event", func() bool { return b.source.Status().LastContact.After(before) })
	outside := NewStore(clientTest(t, Config{Endpoints: []string{b.server.Endpoint()}, Prefix: "/other/"}))
	revision := put(t, outside, "x", "y")
	eventually(t, "progress to the revision of a foreign write", func() bool { return b.source.Status().Revision >= revision })
	if n := b.sink.count(); n != 1 {
		t.Errorf("%d batches, want only the first", n)
	}
}
