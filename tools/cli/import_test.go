package cli

import (
	"log/slog"
	"strings"
	"testing"

	"sluice/control"
	"sluice/control/etcd"
	"sluice/control/file"
	"sluice/internal/testnet"
)

// storeOf returns the store below a prefix of an etcd.
func storeOf(t *testing.T, endpoint, prefix string) *etcd.Store {
	t.Helper()
	client, err := etcd.NewClient(etcd.Config{Endpoints: []string{endpoint}, Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return etcd.NewStore(client)
}

// Contract, section 1: import copies a ws-cloud-gateway store into Sluice's prefix and prints what it changed. Once more, it changes nothing.
func TestImportCopiesAStoreAndSaysWhatItChanges(t *testing.T) {
	external, err := etcd.StartServer(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = external.Stop(t.Context()) })
	o := startOrigin(t, "a")
	seeds, ours := storeOf(t, external.Endpoint(), "/my/cloud/"), storeOf(t, external.Endpoint(), "/sluice/")
	put := func(store *etcd.Store, key, value string) {
		t.Helper()
		if _, err := store.Put(t.Context(), key, []byte(value), control.Precondition{}); err != nil {
			t.Fatal(err)
		}
	}
	put(seeds, "routes/innerapi/hello/*", `{"key":"\/innerapi\/hello\/*","prefix":"\/innerapi\/hello\/*","service_name":"hello","status":1,"protocol":"http",`+
		`"plugins":["discovery","rewrite"],"props":{"rewrite_url_regex":"^\/innerapi\/(.*)\/","rewrite_replace":"\/"}}`)
	put(seeds, "routes/custom", `{"prefix":"/c","service_name":"hello","plugins":["limit-req"]}`)
	put(seeds, "discovery/hello/"+o.Addr(), `{"key":"/hello/`+o.Addr()+`","service_name":"hello","upstream":"`+o.Addr()+`","weight":1,"status":1}`)
	before, _, err := seeds.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir()) // no gateway has its data here
	count := func() int {
		t.Helper()
		entries, _, err := ours.List(t.Context(), "", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range entries {
			if _, _, ok := control.SplitKey(e.Key); ok {
				n++
			}
		}
		return n
	}
	run := func(want string, args ...string) string {
		t.Helper()
		code, out, stderr := command(t, append([]string{"import", "--etcd", external.Endpoint(), "--prefix", "/my/cloud/"}, args...)...)
		if code != exitFailure || !strings.Contains(out, want+"\n") { // something is never taken
			t.Fatalf("%v: exit code %d\n%s%s\nwant %s", args, code, out, stderr, want)
		}
		return out
	}
	run("2 new, 0 replaced, 0 there already, 0 kept as they differ, 0 left, 1 not taken; nothing was written", "--dry-run")
	if n := count(); n != 0 {
		t.Errorf("a dry run has written %d", n)
	}
	out := run("2 new, 0 replaced, 0 there already, 0 kept as they differ, 0 left, 1 not taken")
	id := control.RouteID("/innerapi/hello/*")
	for _, want := range []string{
		"new       routes/innerapi/hello/* -> routes/" + id, "the id is " + id, `proxy-rewrite`, "left out: key",
		"not taken routes/custom", `plugins.limit-req: "limit-req" is not a plugin`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	run("0 new, 0 replaced, 2 there already, 0 kept as they differ, 0 left, 1 not taken")
	// What somebody has changed since is his.
	put(ours, "routes/"+id, `{"prefix":"/innerapi/hello/*","service_name":"hello","desc":"mine"}`)
	run("0 new, 0 replaced, 1 there already, 1 kept as they differ, 0 left, 1 not taken")
	if e, err := ours.Get(t.Context(), "routes/"+id); err != nil || !strings.Contains(string(e.Value), "mine") {
		t.Errorf("%s %v", e.Value, err)
	}
	run("0 new, 1 replaced, 1 there already, 0 kept as they differ, 0 left, 1 not taken", "--overwrite")

	g := startTest(t, func(c *file.Config) { c.Etcd.Endpoints = []string{external.Endpoint()} })
	var body string
	testnet.Await(t, "the imported route", func() bool {
		var status int
		status, body = g.get(t, "/innerapi/hello/api")
		return status == 200
	})
	if !strings.Contains(body, `"uri": "/api"`) {
		t.Errorf("the node was asked for %s", body)
	}
	after, _, err := seeds.List(t.Context(), "", "", 0)
	if err != nil || len(after) != len(before) {
		t.Fatalf("%d keys were there, and %d are: %v", len(before), len(after), err)
	}
	for i := range after {
		if after[i].ModRevision != before[i].ModRevision {
			t.Errorf("%s was written", after[i].Key)
		}
	}
}

// The copy goes to the embedded store of the gateway that is named.
func TestImportGoesToTheGatewayThatIsNamed(t *testing.T) {
	g := startTest(t, nil)
	source := "unix://" + g.config.DataDir + "/etcd/etcd.sock" // any etcd will do
	put := storeOf(t, source, "/my/cloud/")
	if _, err := put.Put(t.Context(), "routes/a", []byte(`{"prefix":"/a/*","service_name":"s","status":1}`), control.Precondition{}); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := command(t, "import", "--etcd", source, "--data-dir", g.config.DataDir)
	if code != exitOK {
		t.Fatalf("%d %s %s", code, out, stderr)
	}
	if status, _ := g.call(t, "GET", "/v1/routes/a", ""); status != 200 {
		t.Errorf("GET /v1/routes/a: %d", status)
	}
	for _, args := range [][]string{{}, {"--etcd", "nowhere"}, {"--etcd", source, "--to-prefix", "/my/cloud/"}, {"--etcd", source, "--password-file", "/no/such/file"}} {
		t.Chdir(t.TempDir())
		if code, _, stderr := command(t, append([]string{"import"}, args...)...); code != exitUsage || stderr == "" {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
}
