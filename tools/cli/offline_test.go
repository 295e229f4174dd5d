package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/control"
	"sluice/control/admin"
	"sluice/control/etcd"
	"sluice/control/file"
	"sluice/control/lastgood"
	"sluice/internal/testnet"
)

// external is an etcd server of the test's, which can be away.
type external struct {
	t      *testing.T
	dir    string
	server *etcd.Server
	client *etcd.Client
}

func startExternal(t *testing.T) *external {
	t.Helper()
	e := &external{t: t, dir: t.TempDir()}
	e.start()
	t.Cleanup(func() {
		e.client.Close()
		e.stop()
	})
	client, err := etcd.NewClient(etcd.Config{Endpoints: []string{e.server.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	e.client = client
	return e
}

func (e *external) start() {
	e.t.Helper()
	server, err := etcd.StartServer(context.Background(), e.dir, slog.New(slog.DiscardHandler))
	if err != nil {
		e.t.Fatal(err)
	}
	e.server = server
}

func (e *external) stop() {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
	defer cancel()
	if err := e.server.Stop(ctx); err != nil {
		e.t.Error(err)
	}
}

// put writes. A client that has known for long that its server is away is given the time to find that it is back.
func (e *external) put(key, value string) {
	e.t.Helper()
	var err error
	eventually(e.t, "a connection to write "+key, func() bool {
		_, err = etcd.NewStore(e.client).Put(context.Background(), key, []byte(value), control.Precondition{})
		return !errors.Is(err, control.ErrUnavailable)
	})
	if err != nil {
		e.t.Fatal(err)
	}
}

// storeStatus asks the admin API.
func (g *gateway) storeStatus(t *testing.T) admin.StoreStatus {
	t.Helper()
	code, body := g.call(t, "GET", "/v1/status", "")
	var s admin.Status
	if err := json.Unmarshal([]byte(body), &s); err != nil || code != 200 || s.Store == nil {
		t.Fatalf("status: %d %s: %v", code, body, err)
	}
	return *s.Store
}

// The whole story: served from the store, written to disk, started without the store, and taken over by the watch once it is back. A route whose
// value went bad before the restart is still in force after it.
func TestAGatewayStartsWithoutItsStoreAndFollowsItOnceItIsBack(t *testing.T) {
	store, o, data := startExternal(t), startOrigin(t, "a"), t.TempDir()
	change := func(c *file.Config) {
		c.DataDir = data
		c.Etcd.Endpoints = []string{store.server.Endpoint()}
	}
	store.put("services/s", fmt.Sprintf(`{"nodes":[{"upstream":%q}]}`, o.Addr()))
	for _, id := range []string{"stays", "goes", "spoiled"} {
		store.put("routes/"+id, fmt.Sprintf(`{"prefix":"/%s/*","service_name":"s"}`, id))
	}
	g := startTest(t, change)
	eventually(t, "the watch", func() bool { return g.storeStatus(t).Connected }) // which begins when all is read
	if s := g.storeStatus(t); s.FromDisk || s.Error != "" {
		t.Errorf("with the store there: %+v", s)
	}
	store.put("routes/spoiled", `{"prefix":`)
	eventually(t, "the bad value is noticed", func() bool { return len(g.engine.Status().Errors) == 1 })
	g.stop(context.Background(), nil)
	store.stop()

	begin := time.Now()
	g = startTest(t, change)
	t.Logf("serving %v after the start without a store", time.Since(begin))
	for _, id := range []string{"stays", "goes", "spoiled"} {
		if status, body := g.get(t, "/"+id+"/"); status != 200 {
			t.Errorf("%s without the store: %d %s", id, status, body)
		}
	}
	if status, body := g.call(t, "GET", "/readyz", ""); status != 200 {
		t.Errorf("/readyz without the store: %d %s", status, body)
	}
	s := g.storeStatus(t)
	if !s.FromDisk || s.Connected || s.Error == "" || s.Staleness == nil || s.Staleness.Std() <= 0 || s.Disk == nil || s.Disk.Revision == 0 {
		t.Errorf("without the store: %+v", s)
	}
	_, scrape := g.call(t, "GET", "/metrics", "")
	for _, line := range []string{"sluice_config_from_disk 1", "sluice_config_store_connected 0", "sluice_config_staleness_seconds "} {
		if !strings.Contains(scrape, "\n"+line) {
			t.Errorf("the scrape does not say %s", line)
		}
	}
	if status, _ := g.call(t, "PUT", "/v1/routes/x", `{"prefix":"/x","service_name":"s"}`); status != 503 {
		t.Errorf("a write without a store: %d, want 503", status)
	}

	snapshots := g.engine.Status().Snapshots
	store.start()
	eventually(t, "the watch takes over", func() bool { return g.storeStatus(t).Connected })
	if s := g.storeStatus(t); s.FromDisk || s.Error != "" || s.Resyncs["start"] != 1 {
		t.Errorf("with the store back: %+v", s)
	}
	if now := g.engine.Status().Snapshots; now != snapshots {
		t.Errorf("%d snapshots were published although no good value was different", now-snapshots)
	}
	if errors := g.engine.Status().Errors; len(errors) != 1 || !errors[0].Previous {
		t.Errorf("in error: %+v, want the spoiled route, with its last good version in force", errors)
	}
	if status, _ := g.get(t, "/spoiled/"); status != 200 {
		t.Errorf("the spoiled route: %d", status)
	}
	if status, body := g.call(t, "DELETE", "/v1/routes/goes", ""); status/100 != 2 {
		t.Fatalf("delete: %d %s", status, body)
	}
	eventually(t, "a change of the store that is back", func() bool { status, _ := g.get(t, "/goes/"); return status == 404 })
}

// A start from disk has waited for the store already: the keys of TLS sessions, which are there too, are not waited for once more.
func TestAStartFromDiskDoesNotWaitForTheKeysOfTLSSessions(t *testing.T) {
	store, config := startExternal(t), testConfig(t)
	config.Etcd.Endpoints = []string{store.server.Endpoint()}
	config.Listeners[0].TLS = true
	store.put("services/s", `{"nodes":[{"upstream":"127.0.0.1:1"}]}`) // an empty store leaves nothing on disk
	var logs strings.Builder
	start := func() *gateway {
		g, err := startGateway(t.Context(), plan{config: config, log: slog.New(slog.NewTextHandler(&logs, nil))})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	start().stop(context.Background(), nil)
	store.stop()
	defer store.start()
	start().stop(context.Background(), nil)
	if log := logs.String(); !strings.Contains(log, "serving the last good state from disk") || strings.Contains(log, "TLS sessions of before") {
		t.Errorf("the log:\n%s", log)
	}
}

// What went while the gateway was down is not served longer than it takes to reach the store.
func TestTheStoreWinsOverTheDiskWhenItCanBeReached(t *testing.T) {
	store, o, data := startExternal(t), startOrigin(t, "a"), t.TempDir()
	change := func(c *file.Config) {
		c.DataDir = data
		c.Etcd.Endpoints = []string{store.server.Endpoint()}
	}
	store.put("services/s", fmt.Sprintf(`{"nodes":[{"upstream":%q}]}`, o.Addr()))
	store.put("routes/a", `{"prefix":"/a","service_name":"s"}`)
	startTest(t, change).stop(context.Background(), nil)
	store.put("routes/a", `{"prefix":"/b","service_name":"s"}`)
	g := startTest(t, change)
	if a, _ := g.get(t, "/a"); a != 404 {
		t.Errorf("/a, of the disk: %d", a)
	}
	if b, _ := g.get(t, "/b"); b != 200 {
		t.Errorf("/b, of the store: %d", b)
	}
	if s := g.storeStatus(t); s.FromDisk {
		t.Errorf("got %+v", s)
	}
}

// A file that cannot be used is no reason not to start, and is not silent.
func TestADamagedLastGoodStateIsReportedAndTheStoreIsUsed(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, lastgood.Name), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := startTest(t, func(c *file.Config) { c.DataDir = data })
	if s := g.storeStatus(t); s.FromDisk || s.Disk == nil || !strings.Contains(s.Disk.Error, "damaged") {
		t.Errorf("got %+v", s)
	}
}

// etcd goes away and comes back, more than once, while clients ask all the time: no request is worse off, and each change made in between comes into force.
func TestTrafficDoesNotNoticeThatTheStoreIsAway(t *testing.T) {
	store, o := startExternal(t), startOrigin(t, "a")
	store.put("services/s", fmt.Sprintf(`{"nodes":[{"upstream":%q}]}`, o.Addr()))
	store.put("routes/base", `{"prefix":"/base","service_name":"s"}`)
	g := startTest(t, func(c *file.Config) { c.Etcd.Endpoints = []string{store.server.Endpoint()} })
	clients := gather(g.server.Addrs()[0].String(), "/base", 1, nil)
	for i := range 2 {
		store.stop()
		eventually(t, "the loss is noticed", func() bool { return !g.storeStatus(t).Connected })
		before := clients.asked.Load()
		eventually(t, "requests without a store", func() bool { return clients.asked.Load() > before+50 })
		store.start()
		id := fmt.Sprint("after", i)
		store.put("routes/"+id, fmt.Sprintf(`{"prefix":"/%s","service_name":"s"}`, id))
		eventually(t, "the change", func() bool { status, _ := g.get(t, "/"+id); return status == 200 })
	}
	clients.disperse(t)
	if s := g.storeStatus(t); len(s.Resyncs) != 1 {
		t.Errorf("full reads: %v, want the first alone", s.Resyncs)
	}
}

// A disk that has lost the database of the embedded etcd must not take the gateway with it: what was in force is in a file beside it. Without that file there is nothing to serve.
func TestAGatewayWhoseEmbeddedStoreIsDamagedServesWhatItHadInForce(t *testing.T) {
	p := run(t, baseConfig)
	p.route(startOrigin(t, "a").Addr())
	p.signal(syscall.SIGTERM)
	p.exited(p.pid(), 0)
	damaged := filepath.Join(p.dir, "data", "etcd", "member", "snap", "db")
	if err := os.WriteFile(damaged, []byte(strings.Repeat("damaged ", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.start()
	p.serving()
	if status := p.get("/x/1"); status != 200 {
		t.Errorf("the route of before: %d", status)
	}
	if status, body := p.api("GET", "/v1/status", ""); status != 200 || !strings.Contains(body, `"served_from_disk":true`) || !strings.Contains(body, "the embedded server cannot use") {
		t.Errorf("the status is %d %s", status, body)
	}
	p.signal(syscall.SIGTERM)
	p.exited(p.pid(), 0)
	if err := os.Remove(filepath.Join(p.dir, "data", lastgood.Name)); err != nil {
		t.Fatal(err)
	}
	p.start()
	p.exited(p.pid(), 1)
}
