package etcd

import (
	"context"
	"log/slog"
	"maps"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"sluice/control"
)

// visitorsOf counts the calls and watches that are in a server without a connection.
func visitorsOf(s *Server) int {
	s.visitors.mu.Lock()
	defer s.visitors.mu.Unlock()
	return s.visitors.inside
}

// The rules of a watch hold whether there is a connection or not: a batch for a revision, ends by leases, progress where nothing of ours happens.
func TestAWatchBesideItsServerTellsAsOneFarAway(t *testing.T) {
	server, beside, far := besideTest(t)
	elsewhere := func(ctx context.Context, conn *connection) error {
		_, err := conn.Put(ctx, "/elsewhere/a", "1")
		return err
	}
	near, away := newRecorder(), newRecorder()
	options := Options{ProgressPeriod: 20 * time.Millisecond}
	nearSource, _ := run(t, beside.client, options, near)
	awaySource, _ := run(t, far.client, options, away)
	eventually(t, "the watch is beside its server", func() bool { return visitorsOf(server) == 1 })
	put(t, far, "routes/a", "1")
	if _, err := far.Commit(t.Context(), []control.Op{create("routes/b", "1"), create("routes/c", "1")}); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Delete(t.Context(), "routes/a", control.Precondition{}); err != nil {
		t.Fatal(err)
	}
	last := put(t, far, "routes/d", "1")
	for _, sink := range []*recorder{near, away} {
		sink.await(t, "routes/d", "1")
	}
	if !maps.Equal(near.values, away.values) { // nobody else writes
		t.Errorf("beside its server\n%v\nfar away\n%v", near.values, away.values)
	}
	if err := far.client.do(t.Context(), "put", requestTimeout, elsewhere); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Source{nearSource, awaySource} {
		eventually(t, "progress past the writes of others", func() bool { return s.Status().Revision > last })
	}
}

// The history may be gone where the watch wants to begin: then everything is read, and what differs is told.
func TestAWatchBesideItsServerIsMadeUpForAfterACompaction(t *testing.T) {
	_, beside, far := besideTest(t)
	at := put(t, far, "routes/a", "1")
	known := &control.Batch{Revision: at, Full: true, Changes: []control.Change{{Entry: control.Entry{Key: "routes/a", Value: []byte("1"), ModRevision: at}}}}
	last := put(t, far, "routes/b", "1")
	compact := func(ctx context.Context, conn *connection) error {
		_, err := conn.Compact(ctx, last, clientv3.WithCompactPhysical())
		return err
	}
	if err := far.client.do(t.Context(), "compact", requestTimeout, compact); err != nil {
		t.Fatal(err)
	}
	// The first read makes up for it, and has the cursor behind the compaction; a watch from before it is refused and read again.
	sink := newRecorder()
	source, _ := run(t, beside.client, Options{Known: known}, sink)
	sink.await(t, "routes/b", "1")
	fullRead(t, source, ReasonStart)
	s := NewSource(beside.client, Options{Known: known})
	s.sink = newRecorder()
	conn, err := beside.client.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.release()
	answer, err := conn.Get(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	s.cluster = answer.Header.ClusterId
	if err := s.watch(t.Context(), conn); err != errCompacted {
		t.Errorf("a watch from revision %d: %v, want %v", s.cursor, err, errCompacted)
	}
}

// In an upgrade the watch follows the server to the other process by the socket, and comes back to a server of its own. Nothing is read again for it.
func TestAWatchBesideItsServerFollowsIt(t *testing.T) {
	server, beside, _ := besideTest(t)
	sink := newRecorder()
	source, _ := run(t, beside.client, Options{Log: slog.New(slog.DiscardHandler)}, sink)
	put(t, beside, "routes/a", "1")
	sink.await(t, "routes/a", "1")
	stopTest(t, server)

	second := startTest(t, server.dir.path, nil)
	put(t, beside, "routes/b", "1")
	sink.await(t, "routes/b", "1")
	if visitorsOf(second) != 0 {
		t.Error("a server that the client has not been told of has a visitor")
	}
	stopTest(t, second)

	third := startTest(t, server.dir.path, nil)
	beside.client.Beside(third)
	put(t, beside, "routes/c", "1")
	sink.await(t, "routes/c", "1")
	eventually(t, "the watch is beside its server again", func() bool { return visitorsOf(third) == 1 })
	put(t, beside, "routes/d", "1")
	sink.await(t, "routes/d", "1")
	if n := source.Status().Resyncs; len(n) != 1 || n[ReasonStart] != 1 {
		t.Errorf("everything was read again: %v", n)
	}
}
