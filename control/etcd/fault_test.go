package etcd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"sluice/control"
)

// tryPut writes and reports whether that was acknowledged.
func tryPut(store *Store, key, value string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := store.Put(ctx, key, []byte(value), control.Precondition{})
	return err == nil
}

// same waits until the sink has what the store has, key by key. The store's own connection may come back after the sink's.
func same(t *testing.T, store *Store, sink *recorder) {
	t.Helper()
	var entries []control.Entry
	eventually(t, "the store can be read", func() (read bool) {
		var err error
		entries, _, err = store.List(t.Context(), "", "", 0)
		return err == nil
	})
	want := make(map[string]string)
	for _, e := range entries {
		want[e.Key] = string(e.Value)
	}
	eventually(t, "the sink has what the store has", func() bool {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return maps.Equal(sink.values, want)
	})
}

// fullRead waits until the source has counted a full read for a reason, which it does when the sink has had the changes, and fails the test where it is not the only one for it.
func fullRead(t *testing.T, source *Source, reason string) {
	t.Helper()
	eventually(t, "a full read, "+reason, func() bool { return source.Status().Resyncs[reason] > 0 })
	if n := source.Status().Resyncs[reason]; n != 1 {
		t.Errorf("%d full reads, %s, want one", n, reason)
	}
}

// kill -9 three times while four writers go on: nothing that was acknowledged is missing, nothing is there that is not in the store, and no kill costs a full read.
func TestNothingIsLostWhenEtcdIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	etcd := startProcess(t)
	store := NewStore(clientTest(t, Config{Endpoints: []string{etcd.endpoint()}}))
	put(t, store, "routes/first", "1")
	sink := newRecorder()
	source, _ := run(t, clientTest(t, Config{Endpoints: []string{etcd.endpoint()}}), Options{ProgressPeriod: 200 * time.Millisecond}, sink)

	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var mu sync.Mutex
	acknowledged := make(map[string]string)
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key, value := fmt.Sprintf("routes/w%d-%d", w, i%50), fmt.Sprint(i)
				if tryPut(store, key, value) {
					mu.Lock()
					acknowledged[key] = value
					mu.Unlock()
				}
			}
		})
	}
	for range 3 {
		mu.Lock()
		before := len(acknowledged)
		mu.Unlock()
		seen := sink.count()
		eventually(t, "writes go through", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return sink.count() > seen+3 && len(acknowledged) >= before
		})
		etcd.kill()
		etcd.start()
	}
	cancel()
	writers.Wait()
	same(t, store, sink)
	sink.mu.Lock()
	for key, value := range acknowledged {
		var have, want int
		_, _ = fmt.Sscan(sink.values[key], &have)
		_, _ = fmt.Sscan(value, &want)
		if sink.values[key] == "" || have < want { // a later write may have been done and not acknowledged
			t.Errorf("%s is %q, and %q was acknowledged", key, sink.values[key], value)
		}
	}
	sink.mu.Unlock()
	if s := source.Status(); len(s.Resyncs) != 1 {
		t.Errorf("full reads: %v, want the first alone", s.Resyncs)
	}
	eventually(t, "an audit that finds nothing", func() bool { return source.Status().Audits > 0 })
}

// The server is replaced under a client that goes on by itself, as etcdutl's restore does it: by an older state of the same cluster, and by another cluster,
// whose revisions are higher.
func TestAStoreThatIsReplacedUnderTheWatchIsReadAgain(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(t *testing.T, etcd *etcdProcess, backup string){
		"an older state": func(t *testing.T, etcd *etcdProcess, backup string) {
			copyTree(t, etcd.dir+"/member", backup+"/member")
		},
		"another cluster": func(t *testing.T, etcd *etcdProcess, _ string) {
			if err := os.Mkdir(etcd.dir+"/member", 0o700); err != nil {
				t.Fatal(err)
			}
			writeOffline(t, etcd.dir, func(other *Store) {
				for i := range 20 {
					put(t, other, "routes/kept", fmt.Sprint("other", i))
				}
				put(t, other, "routes/kept", "1")
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			etcd := startProcess(t)
			store := NewStore(clientTest(t, Config{Endpoints: []string{etcd.endpoint()}}))
			put(t, store, "routes/kept", "1")
			etcd.kill()
			backup := t.TempDir()
			copyTree(t, backup+"/member", etcd.dir+"/member")
			etcd.start()
			sink := newRecorder()
			source, _ := run(t, clientTest(t, Config{Endpoints: []string{etcd.endpoint()}}), Options{}, sink)
			eventually(t, "a write once etcd is back", func() bool { return tryPut(store, "routes/lost", "1") }) // where the restart took long nobody waits for a connection
			sink.await(t, "routes/lost", "1")
			etcd.kill()
			if err := os.RemoveAll(etcd.dir + "/member"); err != nil {
				t.Fatal(err)
			}
			replace(t, etcd, backup)
			etcd.start()
			sink.await(t, "routes/lost", "")
			sink.await(t, "routes/kept", "1")
			fullRead(t, source, ReasonRestored)
		})
	}
}

// writeOffline writes to a store whose gateway cannot reach it: for as long as it takes, the data are in another directory.
func writeOffline(t *testing.T, dir string, write func(*Store)) {
	t.Helper()
	aside := t.TempDir()
	if err := os.Rename(dir+"/member", aside+"/member"); err != nil {
		t.Fatal(err)
	}
	server, err := startServer(t.Context(), aside, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(Config{Endpoints: []string{server.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	write(NewStore(client))
	client.Close()
	stopTest(t, server)
	if err := os.Rename(aside+"/member", dir+"/member"); err != nil {
		t.Fatal(err)
	}
}

// Minutes without etcd, in which the history goes on, are a long gap and no more: the watch tells all of it, in order.
func TestALongOutageUnderLoadIsMadeUpForByTheWatch(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir(), map[string]string{"routes/a": "1"})
	b.wire.cut()
	eventually(t, "the source notices", func() bool { return !b.source.Status().Connected })
	for i := range 3000 {
		put(t, b.store, fmt.Sprint("routes/", i%500), fmt.Sprint(i))
	}
	b.wire.mend()
	same(t, b.store, b.sink)
	if s := b.source.Status(); len(s.Resyncs) != 1 {
		t.Errorf("full reads: %v, want the first alone", s.Resyncs)
	}
}

// A slow etcd is not a dead one: everything takes long, and nothing is begun anew.
func TestASlowStoreIsFollowedAndNotGivenUp(t *testing.T) {
	t.Parallel()
	server := startTest(t, t.TempDir(), nil)
	store := NewStore(clientTest(t, Config{Endpoints: []string{server.Endpoint()}}))
	for i := range 5 {
		put(t, store, fmt.Sprint("routes/", i), "1")
	}
	wire := newWire(t, server.socket)
	wire.delay.Store(int64(200 * time.Millisecond))
	sink := newRecorder()
	source, _ := run(t, clientTest(t, Config{Endpoints: []string{wire.endpoint()}}), Options{PageSize: 2, ProgressPeriod: time.Second}, sink)
	for i := range 5 {
		put(t, store, "routes/0", fmt.Sprint("slow", i))
		sink.await(t, "routes/0", fmt.Sprint("slow", i))
	}
	same(t, store, sink)
	if s := source.Status(); len(s.Resyncs) != 1 || !s.Connected {
		t.Errorf("got %+v, want a connection and no full read but the first", s)
	}
}

// A node whose lease is lost is gone, as when somebody had removed it, and comes back with the next registration.
func TestANodeGoesWithItsLease(t *testing.T) {
	t.Parallel()
	server := startTest(t, t.TempDir(), nil)
	client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
	sink := newRecorder()
	run(t, client, Options{}, sink)
	for range 2 {
		var lease clientv3.LeaseID
		err := client.do(t.Context(), "register", requestTimeout, func(ctx context.Context, conn *connection) error {
			granted, err := conn.Grant(ctx, 60)
			if err != nil {
				return err
			}
			lease = granted.ID
			_, err = conn.Put(ctx, "/sluice/discovery/s.1", "node", clientv3.WithLease(lease))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		sink.await(t, "discovery/s.1", "node")
		err = client.do(t.Context(), "revoke", requestTimeout, func(ctx context.Context, conn *connection) error {
			_, err := conn.Revoke(ctx, lease)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		sink.await(t, "discovery/s.1", "")
	}
}

// A gateway that has started from disk knows of the leases that nodes were under, and so by what they are gone when the store is back.
func TestANodeThatWentWhileTheGatewayWasAwayIsKnownToHaveHadALease(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	sink := newRecorder()
	known := &control.Batch{Revision: 1, Full: true, Changes: []control.Change{{Entry: control.Entry{Key: "discovery/s.1", ModRevision: 1}, Lease: 7}}}
	run(t, clientTest(t, Config{Endpoints: []string{server.Endpoint()}}), Options{Known: known}, sink)
	if b := sink.last(); b.Full || len(b.Changes) != 1 || !b.Changes[0].Deleted || b.Changes[0].Lease != 7 {
		t.Errorf("got %+v, want the end of the node, with its lease", b)
	}
}

// The role is taken down to a part of the prefix while the gateway runs, and etcd restarts. Neither a read nor a watch of the whole is allowed then: what is in
// force stays, the status says why nothing comes, and the watch goes on once the role is mended.
func TestPermissionForAPartOfThePrefixKeepsWhatIsInForceAndSaysWhy(t *testing.T) {
	t.Parallel()
	server := startTest(t, t.TempDir(), cheapPasswords)
	enableAuth(t, server)
	wire := newWire(t, server.socket)
	root := clientTest(t, Config{Endpoints: []string{server.Endpoint()}, Username: "root", Password: "toor"})
	put(t, NewStore(root), "routes/a", "1")
	sink := newRecorder()
	source, _ := run(t, clientTest(t, Config{Endpoints: []string{wire.endpoint()}, Username: "gateway", Password: "secret"}), Options{ProgressPeriod: 100 * time.Millisecond}, sink)
	grant := func(give, take string) {
		t.Helper()
		err := root.do(t.Context(), "grant", requestTimeout, func(ctx context.Context, conn *connection) error {
			_, err := conn.RoleGrantPermission(ctx, "gateway", give, clientv3.GetPrefixRangeEnd(give), clientv3.PermissionType(clientv3.PermReadWrite))
			_, err2 := conn.RoleRevokePermission(ctx, "gateway", take, clientv3.GetPrefixRangeEnd(take))
			return errors.Join(err, err2)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	grant("/sluice/routes/", "/sluice/")
	wire.cut()
	wire.mend()
	eventually(t, "the status says why", func() bool { return strings.Contains(source.Status().Error, "permission denied") })
	put(t, NewStore(root), "services/s", "2")
	if s := source.Status(); s.Connected || sink.count() != 1 {
		t.Errorf("%d batches, %+v; want the first alone and no watch", sink.count(), s)
	}
	grant("/sluice/", "/sluice/routes/")
	sink.await(t, "services/s", "2")
	if s := source.Status(); len(s.Resyncs) != 1 {
		t.Errorf("full reads: %v, want the first alone: nothing is wrong with the cursor", s.Resyncs)
	}
}

// countAlone is set in a process that runs one test alone: what etcd counts is the whole process's, and what other tests have ended may be counted until later.
const countAlone = "ETCD_TEST_COUNT_ALONE"

// One watch on one stream for the whole process, however often progress is asked for: a request with other metadata than the watch's would open a second one.
func TestThereIsOneWatchOnOneStream(t *testing.T) {
	if os.Getenv(countAlone) == "" {
		child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), countAlone+"=1")
		if out, err := child.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	gauge := func(name string) float64 {
		families, err := prometheus.DefaultGatherer.Gather() // where the embedded server counts
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		t.Fatalf("etcd has no metric %s", name)
		return 0
	}
	const watchers, streams = "etcd_debugging_mvcc_watcher_total", "etcd_debugging_mvcc_watch_stream_total"
	server := startTest(t, t.TempDir(), nil)
	client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
	source, _ := run(t, client, Options{ProgressPeriod: 200 * time.Millisecond}, newRecorder())
	outside := NewStore(clientTest(t, Config{Endpoints: []string{server.Endpoint()}, Prefix: "/other/"}))
	for range 5 {
		revision := put(t, outside, "x", "y") // only progress tells of it
		eventually(t, "progress", func() bool { return source.Status().Revision >= revision })
	}
	eventually(t, "one watch on one stream", func() bool { return gauge(watchers) == 1 && gauge(streams) == 1 }) // on a busy machine it may just be begun anew
}
