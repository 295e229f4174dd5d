package register

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"sluice/internal/testnet"
)

func TestMain(m *testing.M) { testnet.Main(m) }

// fake is an etcd in memory that does what a test says. What package etcd's tests show with a real one is not repeated here.
type fake struct {
	mu      sync.Mutex // guards all
	away    error      // what every call answers; nil = it works
	leases  map[clientv3.LeaseID]bool
	granted clientv3.LeaseID // the last
	key     string
	value   string // "" = it is not there
	renewed int
	looked  int
}

func newFake() *fake { return &fake{leases: make(map[clientv3.LeaseID]bool)} }

func (f *fake) Grant(context.Context, int64) (*clientv3.LeaseGrantResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return nil, f.away
	}
	f.granted++
	f.leases[f.granted] = true
	return &clientv3.LeaseGrantResponse{ID: f.granted}, nil
}

func (f *fake) KeepAliveOnce(_ context.Context, id clientv3.LeaseID) (*clientv3.LeaseKeepAliveResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.away != nil:
		return nil, f.away
	case !f.leases[id]:
		return nil, rpctypes.ErrLeaseNotFound
	}
	f.renewed++
	return &clientv3.LeaseKeepAliveResponse{ID: id, TTL: 15}, nil
}

func (f *fake) TimeToLive(_ context.Context, id clientv3.LeaseID, _ ...clientv3.LeaseOption) (*clientv3.LeaseTimeToLiveResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked++
	answer := &clientv3.LeaseTimeToLiveResponse{ID: id, TTL: -1}
	if f.leases[id] {
		answer.TTL = 0 // less than a second is left
	}
	if f.value != "" {
		answer.Keys = [][]byte{[]byte(f.key)}
	}
	return answer, f.away
}

func (f *fake) Revoke(_ context.Context, id clientv3.LeaseID) (*clientv3.LeaseRevokeResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return nil, f.away
	}
	delete(f.leases, id)
	f.value = ""
	return nil, nil
}

func (f *fake) Put(_ context.Context, key, value string, _ ...clientv3.OpOption) (*clientv3.PutResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away == nil {
		f.key, f.value = key, value
	}
	return nil, f.away
}

// ask looks at the fake.
func (f *fake) ask(question func() bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return question()
}

// start runs a registration that renews every millisecond, and returns how to end it.
func start(t *testing.T, f *fake, drain func(context.Context) error) (r *Registration, end func() error) {
	t.Helper()
	r, err := New(f, Node{Service: "s", Upstream: "10.0.0.1:80"}, Options{Drain: drain, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), renew: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return r, func() error {
		cancel()
		return testnet.Receive(t, "the end", done)
	}
}

// What an operator has changed in the value stays, as long as the key is there.
func TestAnEditOfTheKeyStays(t *testing.T) {
	f := newFake()
	r, end := start(t, f, nil)
	<-r.Registered()
	f.ask(func() bool { f.value = "edited"; return true })
	var looked int
	f.ask(func() bool { looked = f.looked; return true })
	testnet.Await(t, "two more looks", func() bool { return f.ask(func() bool { return f.looked >= looked+2 }) })
	if !f.ask(func() bool { return f.value == "edited" && f.granted == 1 }) {
		t.Error("it was written over")
	}
	if err := end(); err != nil || !f.ask(func() bool { return f.value == "" && len(f.leases) == 0 }) {
		t.Errorf("%v, left: %q under %v", err, f.value, f.leases)
	}
}

// A start without etcd goes on trying, and can be given up.
func TestAStartWithoutEtcdGoesOnTrying(t *testing.T) {
	f := newFake()
	f.away = errors.New("away")
	r, end := start(t, f, nil)
	select {
	case <-r.Registered():
		t.Fatal("registered without etcd")
	case <-time.After(20 * time.Millisecond):
	}
	f.ask(func() bool { f.away = nil; return true })
	<-r.Registered()
	if err := end(); err != nil {
		t.Error(err)
	}
	f.away = errors.New("away")
	_, end = start(t, f, nil)
	if err := end(); err != nil {
		t.Errorf("nothing was registered, and so nothing is left: %v", err)
	}
}

// With etcd away the service drains all the same, and hears that its node is still there.
func TestAServiceDrainsWithoutEtcd(t *testing.T) {
	f := newFake()
	failed := errors.New("not drained")
	drained := false
	r, end := start(t, f, func(context.Context) error { drained = true; return failed })
	<-r.Registered()
	f.ask(func() bool { f.away = errors.New("away"); return true })
	err := end()
	if !drained || !errors.Is(err, failed) || !strings.Contains(err.Error(), "revoke") {
		t.Errorf("drained %v: %v", drained, err)
	}
}

func TestWhatCannotBeRegisteredIsRefused(t *testing.T) {
	good := Node{Service: "s", Upstream: "10.0.0.1:80"}
	for name, tc := range map[string]struct {
		node    func(*Node)
		options Options
	}{
		"no service":      {func(n *Node) { n.Service = "" }, Options{}},
		"a slash":         {func(n *Node) { n.Service = "a/b" }, Options{}},
		"no port":         {func(n *Node) { n.Upstream = "10.0.0.1" }, Options{}},
		"a weight":        {func(n *Node) { n.Weight = -1 }, Options{}},
		"half a second":   {func(*Node) {}, Options{TTL: 500 * time.Millisecond}},
		"a prefix":        {func(*Node) {}, Options{Prefix: "/sluice"}},
		"a fraction more": {func(*Node) {}, Options{TTL: 1500 * time.Millisecond}},
	} {
		n := good
		tc.node(&n)
		if _, err := New(newFake(), n, tc.options); err == nil || !strings.HasPrefix(err.Error(), "register: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r, err := New(newFake(), good, Options{Prefix: "/my/cloud/"}); err != nil || !strings.HasPrefix(r.Key(), "/my/cloud/discovery/s.") {
		t.Errorf("%v", err)
	}
}

func TestTriesAreSpreadAndBounded(t *testing.T) {
	for failures := 1; failures < 100; failures++ {
		if d := jitter(failures, 5*time.Second); d < 50*time.Millisecond || d > 5*time.Second {
			t.Fatalf("after %d failures: %v", failures, d)
		}
	}
}
