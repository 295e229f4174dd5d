package admin

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/control"
	"sluice/core/observe"
	"sluice/internal/testnet"
	"sluice/proxy"
	"sluice/upstream"
)

// newLinted is a gateway whose data plane has those resources in force.
func newLinted(t *testing.T, resources map[string]string) *gateway {
	t.Helper()
	var now *proxy.Snapshot
	stats := observe.NewRegistry(1)
	registry := upstream.NewRegistry(nil, stats)
	t.Cleanup(registry.Close)
	engine := control.NewEngine(control.Options{Upstream: registry, Stats: stats, Publish: func(s *proxy.Snapshot) { now = s }})
	g := newGateway(t, func(d *Deps) { d.Snapshot = func() *proxy.Snapshot { return now } })
	var all []control.Change
	for key, value := range resources {
		g.store.set(key, value)
		all = append(all, control.Change{Entry: control.Entry{Key: key, Value: []byte(value), ModRevision: 1}})
	}
	engine.Apply(control.Batch{Revision: 1, Full: true, Changes: all})
	if bad := engine.Status().Errors; len(bad) > 0 {
		t.Fatal(bad)
	}
	return g
}

// A change of several routes names each other route once, and of those that it puts itself none: what they lose to each other is as their author wants it. The order is the same every time.
func TestADryRunOfManyRoutesTellsOfOthersOnce(t *testing.T) {
	g := newLinted(t, linted)
	for range 10 {
		var plan Outcome
		g.do("POST", "/v1/apply?dry_run=1", `{"resources":[
			{"kind":"routes","id":"x","value":{"prefix":"/api/v1/*","service_name":"s"}},
			{"kind":"routes","id":"y","value":{"prefix":"/api/v1/y/*","service_name":"s"}},
			{"kind":"routes","id":"z","value":{"prefix":"/m","service_name":"s","priority":9}}]}`).want(200).into(&plan)
		if got, want := fmt.Sprint(plan.Affected), "[{routes/api loses} {routes/methods shadowed}]"; got != want {
			t.Errorf("affected %s, want %s", got, want)
		}
	}
}

func messages(list []Warning) (codes []string) {
	for _, w := range list {
		codes = append(codes, w.Resource+" "+w.Code)
	}
	slices.Sort(codes)
	return codes
}

var linted = map[string]string{
	"routes/api":     `{"prefix":"/api/*","service_name":"s"}`,
	"routes/first":   `{"prefix":"/api/users/*","service_name":"s","priority":9}`,
	"routes/methods": `{"prefix":"/m","methods":["GET","PUT"],"service_name":"s"}`,
	"discovery/s.1":  `{"service_name":"s","upstream":"127.0.0.1:1"}`,
}

// Contract, section 4: a dry run tells which existing routes would be shadowed or lose traffic; what is probably not meant is a warning.
func TestADryRunTellsWhomAWriteTakesFrom(t *testing.T) {
	g := newLinted(t, linted)
	for _, c := range []struct{ id, body, warnings, affected string }{
		{"x", `{"prefix":"/x","service_name":"s"}`, "[]", "[]"},
		{"x", `{"prefix":"/x","service_name":"nobody"}`, "[routes/x dangling]", "[]"},
		{"x", `{"prefix":"/api/users/7","service_name":"s"}`, "[routes/x unreachable]", "[]"},
		{"x", `{"prefix":"/*","service_name":"s","priority":99}`, "[routes/x shadows routes/x shadows routes/x shadows]",
			"[{routes/api shadowed} {routes/first shadowed} {routes/methods shadowed}]"},
		{"x", `{"prefix":"/api/v1/*","service_name":"s"}`, "[]", "[{routes/api loses}]"},
		{"x", `{"hosts":["h"],"prefix":"/api/*","service_name":"s"}`, "[]", "[{routes/api loses} {routes/first loses}]"},
		{"x", `{"prefix":"/m","methods":["PUT","POST"],"service_name":"s"}`, "[routes/x duplicate]", "[]"},
		{"a", `{"prefix":"/m","methods":["PUT","POST"],"service_name":"s"}`, "[routes/a duplicate]", "[{routes/methods loses}]"},
		{"x", `{"prefix":"/api/users/7","service_name":"s","status":0}`, "[]", "[]"},
		{"first", `{"prefix":"/api/users/*","service_name":"s"}`, "[]", "[{routes/api loses}]"},
	} {
		var plan Plan
		g.do("PUT", "/v1/routes/"+c.id+"?dry_run=1", c.body).want(200).into(&plan)
		if got := fmt.Sprint(messages(plan.Warnings)); got != c.warnings {
			t.Errorf("%s %s: warnings %s, want %s", c.id, c.body, got, c.warnings)
		}
		if got := fmt.Sprint(plan.Affected); got != c.affected {
			t.Errorf("%s %s: affected %s, want %s", c.id, c.body, got, c.affected)
		}
	}
}

func TestAWriteWarnsInItsAnswer(t *testing.T) {
	g := newLinted(t, linted)
	got := g.do("PUT", "/v1/routes/x", `{"prefix":"/api/users/7","service_name":"ü"}`).want(201).header.Values(WarningField)
	want := []string{`dangling: the service \"\u00fc\" has no node: requests are answered with 503`, `unreachable: it is never reached: routes/first takes everything that it matches`}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := g.do("PUT", "/v1/routes/y", `{"prefix":"/y","service_name":"s"}`).want(201).header.Values(WarningField); got != nil {
		t.Errorf("%q", got)
	}
	cert, key := testnet.Certificate(t, 30*time.Minute, "a.example.com") // expired since half an hour
	body, err := json.Marshal(control.Certificate{Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if got := g.do("PUT", "/v1/certificates/c", string(body)).want(201).header.Get(WarningField); !strings.Contains(got, "expired") {
		t.Errorf("%q", got)
	}
	// What belongs together is looked at together.
	var o Outcome
	g.do("POST", "/v1/apply?dry_run=1", `{"resources":[
		{"kind":"routes","id":"n","value":{"prefix":"/n","service_name":"new"}},
		{"kind":"services","id":"new","value":{"nodes":[{"upstream":"127.0.0.1:1"}]}},
		{"kind":"routes","id":"o","value":{"prefix":"/n","service_name":"none"}}]}`).want(200).into(&o)
	if got := fmt.Sprint(messages(o.Warnings)); got != "[routes/n shadows routes/o dangling routes/o unreachable]" {
		t.Errorf("%s", got)
	}
	var l Lint
	g.do("GET", "/v1/lint", "").want(200).into(&l)
	if got := fmt.Sprint(messages(l.Warnings)); got != "[certificates/c certificate]" || l.More {
		t.Errorf("%s %v", got, l.More)
	}
}

// What makes TLS worth little is told: a service that trusts everybody, a listener that has nothing to show.
func TestTheLintTellsOfTLSThatProtectsNothing(t *testing.T) {
	bare := true
	g := newGateway(t, func(d *Deps) { d.Uncertified = func() bool { return bare } })
	const open = `{"tls":{"insecure_skip_verify":true},"nodes":[{"upstream":"127.0.0.1:1"}]}`
	if got := g.do("PUT", "/v1/services/open", open).want(201).header.Get(WarningField); !strings.HasPrefix(got, "insecure: ") {
		t.Errorf("%q", got)
	}
	if got := g.do("PUT", "/v1/services/closed", `{"tls":{},"nodes":[{"upstream":"127.0.0.1:1"}]}`).want(201).header.Values(WarningField); got != nil {
		t.Errorf("%q", got)
	}
	for _, want := range []string{"[certificates certificate services/open insecure]", "[services/open insecure]"} {
		var l Lint
		g.do("GET", "/v1/lint", "").want(200).into(&l)
		if got := fmt.Sprint(messages(l.Warnings)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		bare = false
	}
}

func TestTheLintOfAllLooksAtEveryRoute(t *testing.T) {
	all := map[string]string{
		"routes/a":   `{"prefix":"/a","service_name":"none"}`,
		"routes/b":   `{"prefix":"/a","service_name":"s"}`,
		"routes/c":   `{"prefix":"/m","methods":["GET","PUT"],"service_name":"s"}`,
		"routes/d":   `{"prefix":"/m","methods":["GET","POST"],"service_name":"s"}`,
		"services/s": `{"nodes":[{"upstream":"127.0.0.1:1"}]}`,
	}
	g := newLinted(t, all)
	var l Lint
	g.do("GET", "/v1/lint", "").want(200).into(&l)
	if got := fmt.Sprint(messages(l.Warnings)); got != "[routes/a dangling routes/b unreachable routes/d duplicate]" || l.More {
		t.Errorf("%s %v", got, l.More)
	}
	g.do("GET", "/v1/lint?limit=2", "").want(200).into(&l)
	if len(l.Warnings) != 2 || !l.More {
		t.Errorf("%+v", l)
	}
}

// A question is turned into the head that a client would send, path and all.
func TestAQuestionIsARequest(t *testing.T) {
	for _, c := range []struct {
		q    ExplainRequest
		want string
	}{
		{ExplainRequest{URL: "http://h:80/a%2Fb/../c?x=1#f"}, "GET /a%2Fb/../c?x=1 HTTP/1.1\r\nHost: h:80\r\n\r\n"},
		{ExplainRequest{Method: "PUT", URL: "/x", Headers: []string{"host: other", "X-Canary:  1 "}}, "PUT /x HTTP/1.1\r\nHost: other\r\nX-Canary: 1\r\n\r\n"},
		{ExplainRequest{URL: "https://h"}, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
		{ExplainRequest{URL: "https://h?q"}, "GET /?q HTTP/1.1\r\nHost: h\r\n\r\n"},
		{ExplainRequest{Method: "OPTIONS", URL: "*"}, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	} {
		head, from, err := c.q.head()
		if err != nil || string(head) != c.want || from != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("%+v: %q, %v", c.q, head, err)
		}
	}
	for _, q := range []ExplainRequest{
		{URL: "h/x"}, {URL: "http://"}, {URL: "/x", Headers: []string{"x"}}, {URL: "/x", Headers: []string{"x: a\r\nb: c"}}, {URL: "/x", ClientIP: "x"},
	} {
		if _, _, err := q.head(); err == nil {
			t.Errorf("%+v was taken", q)
		}
	}
}

// Whoever writes a question by hand has the fields as a list of lines or as an object.
func TestAQuestionHasItsFieldsAsLinesOrAsAnObject(t *testing.T) {
	for _, body := range []string{`{"url":"/x","headers":["A: 1","X-Canary: 2"]}`, `{"url":"/x","headers":{"X-Canary":"2","A":"1"}}`} {
		var q ExplainRequest
		if err := json.Unmarshal([]byte(body), &q); err != nil {
			t.Fatal(err)
		}
		if head, _, err := q.head(); err != nil || string(head) != "GET /x HTTP/1.1\r\nHost: localhost\r\nA: 1\r\nX-Canary: 2\r\n\r\n" {
			t.Errorf("%s: %q, %v", body, head, err)
		}
	}
	g := newLinted(t, linted)
	g.do("POST", "/v1/explain", `{"url":"/x","headers":{"a":[1]}}`).want(422)
}

// curl -d says that everything is a form.
func TestABodyIsJSONWhateverItSaysItIs(t *testing.T) {
	g := newLinted(t, linted)
	for _, kind := range []string{"application/x-www-form-urlencoded", "text/plain", ""} {
		g.do("POST", "/v1/apply?dry_run=1", `{"resources":[]}`, "Content-Type", kind).want(200)
	}
}

// Whoever takes the last node of a service takes all of its routes down, whichever way he does it.
func TestAWriteThatLeavesAServiceNobodyToAskWarns(t *testing.T) {
	all := map[string]string{
		"routes/a":         `{"prefix":"/a","service_name":"s"}`,
		"discovery/s.1":    `{"service_name":"s","upstream":"127.0.0.1:1"}`,
		"routes/b":         `{"prefix":"/b","service_name":"static"}`,
		"services/static":  `{"nodes":[{"upstream":"127.0.0.1:1"},{"upstream":"127.0.0.1:2","status":0}]}`,
		"routes/c":         `{"prefix":"/c","service_name":"both"}`,
		"services/both":    `{"nodes":[{"upstream":"127.0.0.1:1"}]}`,
		"discovery/both.1": `{"service_name":"both","upstream":"127.0.0.1:1","weight":3}`,
		"routes/d":         `{"prefix":"/d","service_name":"two"}`,
		"discovery/two.1":  `{"service_name":"two","upstream":"127.0.0.1:1"}`,
		"discovery/two.2":  `{"service_name":"two","upstream":"127.0.0.1:2"}`,
		"discovery/idle.1": `{"service_name":"idle","upstream":"127.0.0.1:1"}`,
		"services/idle":    `{}`,
	}
	const none = "it has no node any more"
	for _, c := range []struct{ method, path, body, service string }{
		{"DELETE", "/v1/nodes/s.1", "", "s"},
		{"PATCH", "/v1/nodes/s.1", `{"status":0}`, "s"},
		{"PATCH", "/v1/nodes/s.1", `{"weight":0}`, "s"},
		{"PATCH", "/v1/nodes/s.1", `{"weight":7}`, ""},
		{"PUT", "/v1/services/static", `{"nodes":[{"upstream":"127.0.0.1:2","status":0}]}`, "static"},
		{"PUT", "/v1/services/static", `{"nodes":[{"upstream":"127.0.0.1:2"}]}`, ""},
		{"DELETE", "/v1/services/static", "", "static"},
		{"DELETE", "/v1/nodes/both.1", "", ""},
		{"PUT", "/v1/services/both", `{}`, ""},
		{"DELETE", "/v1/nodes/two.1", "", ""},
		{"DELETE", "/v1/nodes/idle.1", "", ""},
	} {
		g := newLinted(t, all)
		var plan Plan
		g.do(c.method, c.path+"?dry_run=1", c.body).want(200).into(&plan)
		want := []string(nil)
		if c.service != "" {
			want = []string{"services/" + c.service + " dangling"}
		}
		if got := messages(plan.Warnings); !slices.Equal(got, want) {
			t.Errorf("%s %s %s, a dry run: %v, want %v", c.method, c.path, c.body, got, want)
		}
		got := g.do(c.method, c.path, c.body)
		if warned := strings.Contains(got.header.Get(WarningField), none); got.status/100 != 2 || warned != (c.service != "") {
			t.Errorf("%s %s %s: %d, %q", c.method, c.path, c.body, got.status, got.header.Get(WarningField))
		}
	}
	// Nothing dangles when the routes go too.
	g := newLinted(t, all)
	var o Outcome
	g.do("POST", "/v1/apply?dry_run=1", `{"prune":["routes","nodes","services"],"resources":[]}`).want(200).into(&o)
	if len(o.Warnings) > 0 {
		t.Errorf("%v", o.Warnings)
	}
}

// A node that is there and not well is nobody to ask either, as long as another one is.
func TestAWriteThatLeavesAServiceWithoutANodeThatIsWellWarns(t *testing.T) {
	open, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	shut, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	shut.Close()
	g := newLinted(t, map[string]string{
		"routes/a":      `{"prefix":"/a","service_name":"s"}`,
		"services/s":    `{"health":{"active":{"type":"tcp","interval":"1s"}}}`,
		"discovery/s.1": fmt.Sprintf(`{"service_name":"s","upstream":%q}`, open.Addr()),
		"discovery/s.2": fmt.Sprintf(`{"service_name":"s","upstream":%q}`, shut.Addr()),
	})
	warnings := func(path string) string {
		var plan Plan
		g.do("DELETE", path+"?dry_run=1", "").want(200).into(&plan)
		return fmt.Sprint(plan.Warnings)
	}
	testnet.Await(t, "a warning of the last node that is well", func() bool {
		return strings.Contains(warnings("/v1/nodes/s.1"), "none of the nodes that it is left with is well")
	})
	if got := warnings("/v1/nodes/s.2"); got != "[]" {
		t.Errorf("a node that is not well: %s", got)
	}
}
