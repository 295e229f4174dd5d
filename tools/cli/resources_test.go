package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/control"
	"sluice/internal/testnet"
)

// operator runs commands against a gateway in this process.
type operator struct {
	*gateway
	t *testing.T
}

func newOperator(t *testing.T) *operator { return &operator{startTest(t, nil), t} }

// run runs a command with that standard input and returns what it printed and its exit code.
func (o *operator) run(stdin string, args ...string) (stdout, stderr string, code int) {
	o.t.Helper()
	var out, err bytes.Buffer
	root := newRoot(&out, &err)
	root.SetIn(strings.NewReader(stdin))
	args = append([]string{args[0], "--admin", o.admin.Addr().String(), "--data-dir", o.config.DataDir}, args[1:]...)
	code = execute(o.t.Context(), root, args, &err)
	return out.String(), err.String(), code
}

// ok is run for a command that succeeds and is silent on standard error.
func (o *operator) ok(stdin string, args ...string) string {
	o.t.Helper()
	out, err, code := o.run(stdin, args...)
	if code != exitOK || err != "" {
		o.t.Fatalf("%v: exit %d\n%s%s", args, code, out, err)
	}
	return out
}

// fails runs a command that fails with an exit code and a text on standard error.
func (o *operator) fails(code int, text, stdin string, args ...string) {
	o.t.Helper()
	out, err, got := o.run(stdin, args...)
	if got != code || !strings.Contains(err, text) {
		o.t.Errorf("%v: exit %d, want %d\n%s%s\nwant %q", args, got, code, out, err, text)
	}
}

func wantIn(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

// Contract, section 1: get, put and delete edit the store through the admin API.
func TestResourcesArePutShownAndDeletedByCommands(t *testing.T) {
	o := newOperator(t)
	wantIn(t, o.ok(`{"service_name":"s","upstream":"127.0.0.1:1"}`, "put", "nodes"), "nodes/s.", " created (revision ")
	wantIn(t, o.ok("prefix: /a/*\nservice_name: s\nmethods: [GET]\n", "put", "routes", "a"), "routes/a created")
	file := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(file, []byte("id: a\nprefix: /b/*\nservice_name: s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantIn(t, o.ok("", "put", "route", "-f", file, "--dry-run"), `~ routes/a`, `prefix: "/a/*" → "/b/*"`, `methods: ["GET"] → (none)`, "nothing was written")
	wantIn(t, o.ok("", "put", "routes", "-f", file), "routes/a replaced")
	wantIn(t, o.ok(`{"prefix":"/c","service_name":"s"}`, "put", "routes"), "routes/"+control.RouteID("/c")+" created")

	wantIn(t, o.ok("", "get", "routes"), "ID ", "REVISION", "a ", "/b/*")
	wantIn(t, o.ok("", "get", "nodes"), "UPSTREAM", "127.0.0.1:1")
	var one struct{ Prefix string }
	if err := json.Unmarshal([]byte(o.ok("", "get", "routes", "a")), &one); err != nil || one.Prefix != "/b/*" {
		t.Errorf("%+v, %v", one, err)
	}
	wantIn(t, o.ok("", "get", "routes", "a", "-o", "yaml"), "prefix: /b/*\n")
	wantIn(t, o.ok("", "get", "routes", "a", "-o", "table"), "ID ", "/b/*")
	var list struct{ Items []struct{ ID string } }
	if err := json.Unmarshal([]byte(o.ok("", "get", "routes", "-o", "json", "-q", "/b/")), &list); err != nil || len(list.Items) != 1 || list.Items[0].ID != "a" {
		t.Errorf("%+v, %v", list, err)
	}
	wantIn(t, o.ok("", "get", "services", "-o", "yaml"), "items: []")

	cert, key := testnet.Certificate(t, 1<<50, "a.example.com")
	value, err := json.Marshal(map[string]any{"cert": cert, "key": key, "snis": []string{"a.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	o.ok(string(value), "put", "certificates", "main")
	if shown := o.ok("", "get", "certificates", "main"); strings.Contains(shown, "PRIVATE") || !strings.Contains(shown, "redacted") {
		t.Error(shown)
	}
	wantIn(t, o.ok("", "get", "certificates"), "a.example.com")
	o.ok("groups: [a]\ncredentials: {key-auth: {key: k}}", "put", "consumers", "jack")
	wantIn(t, o.ok("", "get", "consumers"), "key-auth")
	o.ok("body: 1MiB", "put", "settings", "limits")
	wantIn(t, o.ok("", "get", "settings"), `{"body":"1MiB"}`)

	wantIn(t, o.ok("", "delete", "routes", "a", "--dry-run"), "- routes/a", "nothing was written")
	o.fails(exitFailure, "412", "", "delete", "routes", "a", "--if-match", "1")
	wantIn(t, o.ok("", "delete", "routes", "a"), "routes/a deleted")
	o.fails(exitFailure, "404 Not Found: there is no such resource", "", "get", "routes", "a")
}

// Exit codes of the contract: 1 where the gateway says no, 2 where the command is wrong. Every failing field has a line.
func TestWhatIsRefusedIsSaidFieldByField(t *testing.T) {
	o := newOperator(t)
	o.fails(exitFailure, "\n  prefix: \"x\"", `{"prefix":"x","methods":["get"]}`, "put", "routes", "a")
	o.fails(exitFailure, "\n  methods[0]: \"get\" is not a method", `{"prefix":"x","methods":["get"]}`, "put", "routes", "a")
	o.fails(exitFailure, "401", "", "get", "routes", "--token", "not-the-token-not-the-token")
	o.fails(exitFailure, "cannot be asked", "", "get", "routes", "--admin", "127.0.0.1:1")
	for _, c := range [][]string{
		{"get"}, {"get", "rutes"}, {"get", "users"}, {"get", "routes", "a", "b"}, {"get", "routes", "-o", "xml"}, {"delete", "routes"}, {"put", "routes", "a", "-f", "/no/such/file"},
		{"put", "routes"}, {"put", "settings"}, {"get", "routes", "--admin", "ftp://x"}, {"history", "x"}, {"rollback"}, {"rollback", "0"}, {"explain", "GET"}, {"apply"},
		{"apply", "-f", "/no/such/directory"}, {"get", "routes", "--config", "/no/such/file"},
	} {
		o.fails(exitUsage, "sluice: ", "{}", c...)
	}
	o.fails(exitUsage, "1:4: ", "a: 'x", "put", "routes", "a")
	o.fails(exitUsage, "one object is wanted", "[]", "put", "routes", "a")

	// Without a token there is nothing to show.
	var out, err bytes.Buffer
	if code := Main(t.Context(), []string{"get", "routes", "--data-dir", t.TempDir()}, &out, &err); code != exitUsage || !strings.Contains(err.String(), "no token") {
		t.Errorf("%d %s", code, err.String())
	}
}

// A write's warnings are told, and do not make it fail.
func TestAPutTellsItsWarnings(t *testing.T) {
	o := newOperator(t)
	_, err, code := o.run(`{"prefix":"/x","service_name":"nobody"}`, "put", "routes", "x")
	if code != exitOK || !strings.Contains(err, "warning: dangling: the service") {
		t.Errorf("%d %s", code, err)
	}
}

// Contract, section 1: which route would match, why the others lost, which plugins would run, which node would be picked.
func TestExplainSaysWhatWouldBecomeOfARequest(t *testing.T) {
	o := newOperator(t)
	o.ok(`{"nodes":[{"upstream":"127.0.0.1:1"}],"health":{"active":{"type":"none"}}}`, "put", "services", "s") // where nobody listens, which no probe is to find out
	o.ok(`{"prefix":"/api/*","service_name":"s","plugins":{"request-id":{},"proxy-rewrite":{"uri":"/x"}}}`, "put", "routes", "api")
	o.ok(`{"prefix":"/api/*","when":"header('x-canary') == '1'","service_name":"s","methods":["GET"]}`, "put", "routes", "canary")
	o.ok(`{"prefix":"/*","service_name":"s"}`, "put", "routes", "all")
	last := o.ok(`{"prefix":"/api/v1","hosts":["other.example.com"],"service_name":"s"}`, "put", "routes", "last")
	eventually(t, last+" is in force", func() bool {
		return strings.Contains(o.ok("", "explain", "GET", "http://other.example.com/api/v1"), "route      last")
	})

	wantIn(t, o.ok("", "explain", "GET", "http://h/%61pi/v1?x=1"), "path       /api/v1", "route      api", "service    s", "next node  127.0.0.1:1",
		"plugins    request-id, proxy-rewrite", "canary  *", "condition  its condition does not hold", "pattern    the pattern of api is more specific")
	wantIn(t, o.ok("", "explain", "GET", "/api/v1", "-H", "X-Canary: 1"), "route      canary", "plugins    none", "methods  canary names methods")
	wantIn(t, o.ok("", "explain", "GET", "/..%2fx"), "answer  400 bad_request", "cause   ")
	o.ok("", "delete", "routes", "all")
	eventually(t, "the route is gone", func() bool { return strings.Contains(o.ok("", "explain", "GET", "/nothing"), "answer  404 no_route") })
	var e struct {
		Answer     struct{ Code string }
		Candidates []struct{ ID, Reason string }
	}
	if err := json.Unmarshal([]byte(o.ok("", "explain", "GET", "/nothing", "-o", "json")), &e); err != nil || e.Answer.Code != "no_route" {
		t.Errorf("%+v, %v", e, err)
	}
	o.fails(exitUsage, `--header: "nothing" is no field`, "", "explain", "GET", "/", "-H", "nothing")
}

// Contract, section 1: the store is made equal to a directory, and the difference is printed; who did it can be seen, and undone.
func TestTheExampleDirectoryIsAppliedAndRolledBack(t *testing.T) {
	const example = "../../docs/examples/gitops"
	o := newOperator(t)
	o.ok(`{"nodes":[{"upstream":"127.0.0.1:1"}]}`, "put", "services", "old")
	o.ok("prefix: /old\nservice_name: old\n", "put", "routes", "old")
	o.ok("prefix: /api/*\nservice_name: old\n", "put", "routes", "shop")
	before := o.ok("", "get", "routes")
	history := o.ok("", "history")

	plan := o.ok("", "apply", "-f", example, "--prune", "--dry-run")
	wantIn(t, plan, "+ routes/pages\n", "+ routes/pages-canary\n", "~ routes/shop\n", `    service_name: "old" → "shop"`, "- routes/old\n", "- services/old\n", "+ services/pages\n",
		"+ settings/limits\n", `warning: routes/shop: the service "shop" has no node`, "6 created, 1 updated, 2 deleted; dry run: nothing was written\n")
	if got := o.ok("", "get", "routes"); got != before || o.ok("", "history") != history {
		t.Fatalf("a dry run wrote something:\n%s", got)
	}
	wantIn(t, o.ok("", "apply", "-f", example, "--prune", "--note", "commit 1a2b"), "6 created, 1 updated, 2 deleted at revision ")
	wantIn(t, o.ok("", "get", "routes"), "pages-canary", "shop.example.com")
	if got := o.ok("", "get", "routes"); strings.Contains(got, "/old") {
		t.Errorf("not pruned:\n%s", got)
	}
	wantIn(t, o.ok("", "apply", "-f", example, "--prune"), "nothing was different")

	shown := o.ok("", "history")
	wantIn(t, shown, "REVISION", "commit 1a2b", "admin-token", "POST /v1/apply", "and 6 more", "PUT /v1/routes/shop", "~routes/shop")
	revision, _, _ := strings.Cut(strings.Split(shown, "\n")[1], " ")
	wantIn(t, o.ok("", "history", revision), "revision "+revision, "~ routes/shop", "commit 1a2b", "hosts: (none)")
	wantIn(t, o.ok("", "history", revision, "-o", "yaml"), "call: POST /v1/apply")
	var n int
	if _, err := fmt.Sscan(revision, &n); err != nil {
		t.Fatal(err)
	}
	good := fmt.Sprint(n - 1)
	wantIn(t, o.ok("", "rollback", good, "routes/shop"), "~ routes/shop", "0 created, 1 updated, 0 deleted at revision")
	wantIn(t, o.ok("", "rollback", good, "--dry-run"), "+ routes/old", "- routes/pages", "dry run")
	o.ok("", "rollback", good)
	if got := o.ok("", "get", "routes"); withoutRevisions(got) != withoutRevisions(before) {
		t.Errorf("after the rollback:\n%s\nbefore:\n%s", got, before)
	}
	o.fails(exitFailure, "409", "", "rollback", "999999")
	o.fails(exitFailure, "there is no routes/nosuch", "", "rollback", good, "routes/nosuch")
}

// withoutRevisions cuts the last column off a table, and the blanks that it needs.
func withoutRevisions(table string) string {
	var b strings.Builder
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		fmt.Fprintln(&b, words[:len(words)-1])
	}
	return b.String()
}

// A directory says what is wrong with it file by file, before anybody is asked; what the gateway refuses is said of the files too.
func TestADirectoryIsRefusedFileByFile(t *testing.T) {
	o := newOperator(t)
	for name, c := range map[string]struct {
		files map[string]string
		code  int
		want  []string
	}{
		"unknown folder":    {map[string]string{"route/a.yaml": "{}"}, exitUsage, []string{`route: is no kind of resource; did you mean "routes"?`}},
		"not YAML":          {map[string]string{"routes/a.yaml": "a: 'x", "routes/b.json": "{"}, exitUsage, []string{"routes/a.yaml:1:4: ", "routes/b.json:1:1: "}},
		"twice":             {map[string]string{"routes/a.yaml": "prefix: /a", "all.yml": "routes: [{id: a}]"}, exitUsage, []string{"routes/a.yaml:1:1: routes/a is also in all.yml:1:10"}},
		"nameless":          {map[string]string{"services/x.yaml": "- desc: a\n- name: b\n"}, exitUsage, []string{"services/x.yaml:1:3: the value does not say what it is called"}},
		"unknown kind":      {map[string]string{"all.yaml": "route: []\nservices: 1\n"}, exitUsage, []string{`all.yaml:1:8: "route" is no kind of resource; did you mean "routes"?`, "all.yaml:2:11: wants a list of services"}},
		"refused":           {map[string]string{"routes/a.yaml": "prefix: x\nservice_name: s", "routes/b.yaml": "[{id: b, service_name: s}]"}, exitFailure, []string{"routes/a.yaml (routes/a): prefix: ", "routes/b.yaml (routes/b): prefix: "}},
		"not a list":        {map[string]string{"all.yaml": "- a"}, exitUsage, []string{"all.yaml:1:1: wants an object with kinds"}},
		"a scalar resource": {map[string]string{"services/a.yaml": "1"}, exitFailure, []string{"services/a.yaml (services/a): wants an object"}},
	} {
		dir := t.TempDir()
		for file, text := range c.files {
			path := filepath.Join(dir, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err, code := o.run("", "apply", "-f", dir)
		if code != c.code {
			t.Errorf("%s: exit %d, want %d: %s", name, code, c.code, err)
		}
		wantIn(t, err, c.want...)
	}
	if got := o.ok("", "get", "services", "-o", "json"); !strings.Contains(got, `"items": []`) {
		t.Errorf("something was written: %s", got)
	}
}

// The shell completes kinds, and then what the running gateway has.
func TestIdsAreCompleted(t *testing.T) {
	o := newOperator(t)
	o.ok("{}", "put", "services", "alpha")
	o.ok("{}", "put", "services", "beta")
	var out, err bytes.Buffer
	root := newRoot(&out, &err)
	where := []string{"--admin", o.admin.Addr().String(), "--data-dir", o.config.DataDir}
	if code := execute(t.Context(), root, append(append([]string{"__complete", "get"}, where...), "services", "al"), &err); code != exitOK || !strings.HasPrefix(out.String(), "alpha\n:") {
		t.Errorf("%d %q %s", code, out.String(), err.String())
	}
	out.Reset()
	if code := execute(t.Context(), newRoot(&out, &err), []string{"__complete", "delete", "s"}, &err); code != exitOK || !strings.HasPrefix(out.String(), "services\nsettings\n:") {
		t.Errorf("%d %q", code, out.String())
	}
	out.Reset()
	if code := execute(t.Context(), newRoot(&out, &err), []string{"completion", "bash"}, &err); code != exitOK || !strings.Contains(out.String(), "__start_sluice") {
		t.Errorf("%d", code)
	}
}
