package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"sluice/control"
	"sluice/internal/testnet"
)

// savedIn writes a snapshot of a server, as etcdctl snapshot save does, and returns its path.
func savedIn(t *testing.T, dir string, client *Client) string {
	t.Helper()
	path := filepath.Join(dir, "snapshot.db")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := client.do(t.Context(), "snapshot", listTimeout, func(ctx context.Context, conn *connection) error {
		stream, err := conn.Snapshot(ctx)
		if err == nil {
			_, err = io.Copy(file, stream)
			stream.Close()
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return path
}

// What an operator does after a disaster: etcd's own tool makes a member out of a snapshot. Name, addresses and token are those of before, and so is the id of the cluster:
// nothing tells the watch that its history is another one now, but for revisions that go back, are compacted, or, where somebody has written meanwhile, not even those.
func TestAStoreThatEtcdsOwnToolHasRestoredIsFollowed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*snapshot.RestoreConfig)
		writes int // before the gateway can see it
		reason string
	}{
		"to a lower revision":                          {func(*snapshot.RestoreConfig) {}, 0, ReasonRestored},
		"to a lower revision, and written to":          {func(*snapshot.RestoreConfig) {}, 2, ReasonRestored},
		"to a lower revision, and written to past it":  {func(*snapshot.RestoreConfig) {}, 40, ReasonAudit},
		"with a higher revision, and marked compacted": {func(r *snapshot.RestoreConfig) { r.RevisionBump, r.MarkCompacted = 1000, true }, 0, ReasonCompacted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := &etcdProcess{t: t, dir: t.TempDir()}
			peer := "http://" + testnet.Reserve(t)
			as, err := json.Marshal(member{Name: "one", Client: etcd.endpoint(), Peer: peer, Cluster: "one=" + peer, State: "new"})
			if err != nil {
				t.Fatal(err)
			}
			etcd.as = string(as)
			etcd.start()
			t.Cleanup(etcd.kill)
			client := clientTest(t, Config{Endpoints: []string{etcd.endpoint()}})
			store := NewStore(client)
			put(t, store, "routes/kept", "1")
			put(t, store, "routes/deleted", "1")
			saved := savedIn(t, t.TempDir(), client)

			wire := newWire(t, filepath.Join(etcd.dir, socketName))
			sink := newRecorder()
			source, _ := run(t, clientTest(t, Config{Endpoints: []string{wire.endpoint()}}), Options{ProgressPeriod: 200 * time.Millisecond}, sink)
			if _, err := store.Delete(t.Context(), "routes/deleted", control.Precondition{}); err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				put(t, store, "routes/kept", fmt.Sprint("lost", i))
			}
			cursor := put(t, store, "routes/lost", "1")
			sink.await(t, "routes/lost", "1")
			wire.cut()
			etcd.kill()
			config := snapshot.RestoreConfig{SnapshotPath: saved, Name: "one", OutputDataDir: filepath.Join(t.TempDir(), "restored"), PeerURLs: []string{peer},
				InitialCluster: "one=" + peer, InitialClusterToken: "etcd-cluster"}
			c.change(&config)
			if err := snapshot.NewV3(zap.NewNop()).Restore(config); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(etcd.dir + "/member"); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(config.OutputDataDir+"/member", etcd.dir+"/member"); err != nil {
				t.Fatal(err)
			}
			etcd.start()
			var last int64
			for i := range c.writes {
				last = put(t, store, "routes/new", fmt.Sprint(i))
			}
			if past := last > cursor; past != (c.reason == ReasonAudit) {
				t.Fatalf("written up to revision %d, and the gateway has seen %d: the test is another one", last, cursor)
			}
			wire.mend()
			sink.await(t, "routes/kept", "1")
			same(t, store, sink)
			eventually(t, "everything is read again for the reason "+c.reason, func() bool { return source.Status().Resyncs[c.reason] > 0 })
			put(t, store, "routes/after", "1")
			sink.await(t, "routes/after", "1")
			if all := source.Status().Resyncs; len(all) != 2 || all[c.reason] != 1 {
				t.Errorf("full reads: %v", all)
			}
		})
	}
}
