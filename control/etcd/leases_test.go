package etcd

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"sluice/control"
	"sluice/internal/testnet"
	"sluice/upstream/register"
)

// registrar is a registration under test and a client of the same server that looks at it from outside.
type registrar struct {
	register.Client
	renewals atomic.Int64

	t      *testing.T
	look   *Client
	key    string
	cancel context.CancelFunc
	done   chan error
}

// KeepAliveOnce counts the renewals that were granted.
func (r *registrar) KeepAliveOnce(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseKeepAliveResponse, error) {
	answer, err := r.Client.KeepAliveOnce(ctx, id)
	if err == nil {
		r.renewals.Add(1)
	}
	return answer, err
}

// shortLease is the shortest that etcd grants.
const shortLease = time.Second

// startRegistrar registers a node over endpoint and looks at server.
func startRegistrar(t *testing.T, server *Server, endpoint string, options register.Options) *registrar {
	t.Helper()
	options.TTL, options.Log = shortLease, slog.New(slog.NewTextHandler(t.Output(), nil))
	run := &registrar{
		Client: clientTest(t, Config{Endpoints: []string{endpoint}}).Leases(), look: clientTest(t, Config{Endpoints: []string{server.Endpoint()}}),
		t: t, done: make(chan error, 1),
	}
	r, err := register.New(run, register.Node{Service: "orders", Upstream: "127.0.0.1:1024", Weight: 3}, options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	run.key, run.cancel = r.Key(), cancel
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run.done <- r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	testnet.Receive(t, "the registration", r.Registered())
	return run
}

// stored returns the node's key, nil where there is none.
func (r *registrar) stored() *mvccpb.KeyValue {
	r.t.Helper()
	answer, err := call(r.t.Context(), r.look, "get", func(ctx context.Context, conn *connection) (*clientv3.GetResponse, error) {
		return conn.Get(ctx, r.key)
	})
	if err != nil || len(answer.Kvs) == 0 {
		return nil
	}
	return answer.Kvs[0]
}

// revoke ends the lease from outside and returns it.
func (r *registrar) revoke() int64 {
	r.t.Helper()
	lease := r.stored().Lease
	if _, err := r.look.Leases().Revoke(r.t.Context(), clientv3.LeaseID(lease)); err != nil {
		r.t.Fatal(err)
	}
	return lease
}

// awaitOther waits until the node is there under another lease.
func (r *registrar) awaitOther(lease int64) {
	r.t.Helper()
	eventually(r.t, "the node under a new lease", func() bool {
		kv := r.stored()
		return kv != nil && kv.Lease != 0 && kv.Lease != lease
	})
}

// Section 3 of the contract: the key and the value of a node; it is under a lease.
func TestANodeIsRegisteredUnderALease(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	kv := startRegistrar(t, server, server.Endpoint(), register.Options{}).stored()
	if string(kv.Key) != "/sluice/discovery/orders.e1685a42c84b98b725bef572b4ace1e7" || kv.Lease == 0 ||
		string(kv.Value) != `{"service_name":"orders","upstream":"127.0.0.1:1024","weight":3,"status":1}` {
		t.Errorf("%s under lease %x: %s", kv.Key, kv.Lease, kv.Value)
	}
}

// The gateways stop asking a node before it stops serving, and it is taken out once it has drained.
func TestANodeThatGoesIsDrainedBeforeItIsTakenOut(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	drain := make(chan chan struct{})
	r := startRegistrar(t, server, server.Endpoint(), register.Options{Drain: func(context.Context) error {
		over := make(chan struct{})
		drain <- over
		<-over
		return nil
	}})
	r.cancel()
	over := <-drain
	if value := string(r.stored().Value); !strings.Contains(value, `"weight":0`) {
		t.Errorf("while it drains it is %s", value)
	}
	// A drain that takes longer than a TTL keeps its node: it still answers what it has begun. Six renewals are two TTLs.
	for before := r.renewals.Load(); r.renewals.Load() < before+6; <-time.After(5 * time.Millisecond) {
		if r.stored() == nil {
			t.Fatal("its lease ended while it drained")
		}
	}
	close(over)
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	if kv := r.stored(); kv != nil {
		t.Errorf("it is still there: %s", kv.Value)
	}
}

// A lease that etcd knows no more is not renewed but replaced.
func TestALostLeaseIsReplaced(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	r := startRegistrar(t, server, server.Endpoint(), register.Options{})
	for range 2 {
		r.awaitOther(r.revoke())
	}
}

// The key may go without its lease; renewals alone would never notice.
func TestAKeyThatIsGoneIsPutAgain(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	r := startRegistrar(t, server, server.Endpoint(), register.Options{})
	lease := r.stored().Lease
	if _, err := call(t.Context(), r.look, "delete", func(ctx context.Context, conn *connection) (*clientv3.DeleteResponse, error) {
		return conn.Delete(ctx, r.key)
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key under the same lease", func() bool {
		kv := r.stored()
		return kv != nil && kv.Lease == lease
	})
}

// A process that etcd hears nothing of is out after a TTL, and in again once it is heard.
func TestANodeThatIsCutOffGoesAndComesBack(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	wire := newWire(t, server.socket)
	r := startRegistrar(t, server, wire.endpoint(), register.Options{})
	lease := r.stored().Lease
	wire.cut()
	eventually(t, "the end of the lease", func() bool { return r.stored() == nil })
	wire.mend()
	r.awaitOther(lease)
}

// Neither a restart of etcd nor a compaction of its history ends a registration.
func TestARegistrationOutlivesARestartAndACompaction(t *testing.T) {
	dir := t.TempDir()
	server := startTest(t, dir, nil)
	r := startRegistrar(t, server, server.Endpoint(), register.Options{})
	if _, err := call(t.Context(), r.look, "compact", func(ctx context.Context, conn *connection) (*clientv3.CompactResponse, error) {
		return conn.Compact(ctx, r.stored().ModRevision)
	}); err != nil {
		t.Fatal(err)
	}
	r.awaitOther(r.revoke())
	stopTest(t, server)
	startTest(t, dir, nil)
	eventually(t, "the node after the restart", func() bool { return r.stored() != nil })
	r.awaitOther(r.revoke())
}

// What a key was under when it went tells an end of a lease from a deletion; by the watch, and where a full read finds it gone.
func TestARemovalTellsTheLease(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	wire := newWire(t, server.socket)
	near := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
	store := NewStore(near)
	sink := newRecorder()
	run(t, clientTest(t, Config{Endpoints: []string{wire.endpoint()}}), Options{}, sink)
	leased := func(key string) int64 {
		t.Helper()
		lease, err := near.Leases().Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := near.Leases().Put(t.Context(), "/sluice/"+key, "1", clientv3.WithLease(lease.ID)); err != nil {
			t.Fatal(err)
		}
		return int64(lease.ID)
	}
	revoke := func(lease int64) {
		t.Helper()
		if _, err := near.Leases().Revoke(t.Context(), clientv3.LeaseID(lease)); err != nil {
			t.Fatal(err)
		}
	}
	removal := func(key string) int64 {
		t.Helper()
		sink.await(t, key, "")
		for _, c := range sink.last().Changes {
			if c.Key == key && c.Deleted {
				return c.Lease
			}
		}
		t.Fatalf("%s did not go with the last batch: %+v", key, sink.last())
		return 0
	}
	first := leased("discovery/a")
	put(t, store, "discovery/a", "2") // an edit keeps the lease
	sink.await(t, "discovery/a", "2")
	revoke(first)
	if got := removal("discovery/a"); got != first {
		t.Errorf("by the watch: lease %x, want %x", got, first)
	}
	put(t, store, "discovery/b", "1")
	sink.await(t, "discovery/b", "1")
	if _, err := store.Delete(t.Context(), "discovery/b", control.Precondition{}); err != nil {
		t.Fatal(err)
	}
	if got := removal("discovery/b"); got != 0 {
		t.Errorf("of a key under none: %x", got)
	}
	second := leased("discovery/c")
	sink.await(t, "discovery/c", "1")
	wire.cut()
	revoke(second)
	last := put(t, store, "discovery/d", "1")
	if _, err := call(t.Context(), near, "compact", func(ctx context.Context, conn *connection) (*clientv3.CompactResponse, error) {
		return conn.Compact(ctx, last)
	}); err != nil {
		t.Fatal(err)
	}
	wire.mend()
	if got := removal("discovery/c"); got != second {
		t.Errorf("by a full read: lease %x, want %x", got, second)
	}
	if ended, err := near.LeaseEnded(t.Context(), second); err != nil || !ended {
		t.Errorf("the lease that was revoked: ended %v, %v", ended, err)
	}
	if ended, err := near.LeaseEnded(t.Context(), leased("discovery/e")); err != nil || ended {
		t.Errorf("a lease that lives: ended %v, %v", ended, err)
	}
}
