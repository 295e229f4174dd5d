package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"sluice/control"
)

const demo = `{"id":"demo1","prefix":"/demo/*","service_name":"demo1"}`

func TestAResourceIsCreatedReplacedReadAndDeleted(t *testing.T) {
	g := newGateway(t)
	g.do("GET", "/v1/routes/demo1", "").want(404)

	created := g.do("PUT", "/v1/routes/demo1", ` { "prefix" : "/demo/*", "service_name":"demo1" } `).want(201).wantBody(demo)
	if got := created.header.Get("Location"); got != "/v1/routes/demo1" {
		t.Errorf("Location: %q", got)
	}
	if created.etag() != fmt.Sprintf(`"%d"`, g.store.revision) || created.header.Get("Content-Type") != "application/json" {
		t.Errorf("header: %v", created.header)
	}
	if got := g.store.value("routes/demo1"); got != demo {
		t.Errorf("stored: %s", got)
	}
	read := g.do("GET", "/v1/routes/demo1", "").want(200).wantBody(demo)
	if read.etag() != created.etag() {
		t.Errorf("ETag %s when read, %s when written", read.etag(), created.etag())
	}
	g.do("GET", "/v1/routes/demo1", "", "If-None-Match", read.etag()).want(304).wantBody("")
	g.do("GET", "/v1/routes/demo1", "", "If-None-Match", `"x", W/`+read.etag()).want(304).wantBody("") // RFC 9110 §13.1.2: compared as weak ones
	g.do("GET", "/v1/routes/demo1", "", "If-None-Match", `"1"`).want(200)

	replaced := g.do("PUT", "/v1/routes/demo1", `{"id":"demo1","paths":["/x"],"service_name":"demo1"}`).want(200)
	if replaced.etag() == created.etag() || replaced.header.Get("Location") != "" {
		t.Errorf("header: %v", replaced.header)
	}
	g.do("DELETE", "/v1/routes/demo1", "").want(204).wantBody("")
	g.do("DELETE", "/v1/routes/demo1", "").want(404)
	g.do("GET", "/v1/routes/demo1", "").want(404)
}

// Writing what is there already is no change: no revision, no entry in the history.
func TestWritingTheSameAgainWritesNothing(t *testing.T) {
	g := newGateway(t)
	first := g.do("PUT", "/v1/routes/demo1", demo).want(201)
	again := g.do("PUT", "/v1/routes/demo1", demo).want(200)
	patched := g.do("PATCH", "/v1/routes/demo1", `{"prefix":"/demo/*","desc":null}`).want(200)
	if again.etag() != first.etag() || patched.etag() != first.etag() || g.store.writes != 1 {
		t.Errorf("%d writes; ETags %s %s %s", g.store.writes, first.etag(), again.etag(), patched.etag())
	}
}

// Contract, section 3: a ws-cloud-gateway resource is valid input, and what it has beside our keys is kept.
func TestKeysOfTheSeedSystemSurvive(t *testing.T) {
	g := newGateway(t)
	seed := `{"id":"demo1","key":"k","status":"1","prefix":"/openapi/demo1/*","service_name":"demo1","plugins":["discovery","tracing"],` +
		`"props":{"rewrite_url_regex":"^/openapi/","x":1e400},"time":1690000000000,"_rowKey":[1],"propsData":"<a>&","remark":"日本"}`
	g.do("PUT", "/v1/routes/demo1", seed).want(201).wantBody(seed)
	g.do("PATCH", "/v1/routes/demo1", `{"status":0}`).want(200).wantBody(strings.Replace(seed, `"status":"1"`, `"status":0`, 1))
}

// All problems at once, each with its JSON path.
func TestAllProblemsOfAResourceAreListed(t *testing.T) {
	g := newGateway(t)
	got := g.do("PUT", "/v1/routes/demo1",
		`{"id":"other","hosts":["ok.example","bad host"],"methods":["get"],"prefix":"no-slash","plugins":{"nothing":{},"proxy-rewrite":{"regex_uri":["("]}}}`).want(422)
	_, at := got.problems()
	for _, want := range []string{"body.id", "body.hosts[1]", "body.methods[0]", "body.prefix", "body.service_name", "body.plugins.nothing"} {
		if !slices.Contains(at, want) {
			t.Errorf("%s is not among %q", want, at)
		}
	}
	if !slices.ContainsFunc(at, func(s string) bool { return strings.HasPrefix(s, "body.plugins.proxy-rewrite.regex_uri") }) {
		t.Errorf("nothing below the plugin's key: %q", at)
	}
	_, at = g.do("PUT", "/v1/services/demo1", `{"balancer":{"type":"x"},"nope":1}`).want(422).problems()
	if !slices.Contains(at, "body.nope") {
		t.Errorf("%q", at)
	}
	_, at = g.do("PUT", "/v1/nodes/demo1.x", `{"service_name":"demo1","upstream":"nowhere","weight":-1}`).want(422).problems()
	if !slices.Contains(at, "body.upstream") || !slices.Contains(at, "body.weight") {
		t.Errorf("%q", at)
	}
	if g.store.writes != 0 {
		t.Error("something was written")
	}
}

func TestABodyThatIsNotTheResourceIsRefused(t *testing.T) {
	g := newGateway(t)
	g.store.set("routes/old", demo)
	for _, tc := range []struct {
		body   string
		status int
		at     string
	}{
		{"", 400, ""},
		{"{", 400, "body"},
		{"prefix: /x", 400, "body"},
		{"{}{}", 400, "body"},
		{"\"\xff\"", 400, "body"},
		{strings.Repeat("[", 100) + strings.Repeat("]", 100), 400, "body"},
		{"[]", 422, "body"},
		{`"text"`, 422, "body"},
		{"null", 422, "body"},
		{`{"id":"old","id":"old"}`, 422, "body.id"},
	} {
		for _, method := range []string{"PUT", "PATCH"} {
			document, at := g.do(method, "/v1/routes/old", tc.body).want(tc.status).problems()
			if tc.at != "" && !slices.Contains(at, tc.at) {
				t.Errorf("%s %q: %+v", method, tc.body, document)
			}
		}
	}
	g.do("PUT", "/v1/services/none", "null").want(422) // all of a service has defaults
	document, _ := g.do("PUT", "/v1/routes/old", "{\n  \"id\" 5}").want(400).problems()
	if !strings.Contains(document.Errors[0].Message, "line 2, column 8") {
		t.Errorf("where: %+v", document)
	}
}

func TestAnotherIdInTheBodyIsRefused(t *testing.T) {
	g := newGateway(t)
	for path, body := range map[string]string{
		"/v1/routes/demo1":   `{"id":"demo2","prefix":"/","service_name":"s"}`,
		"/v1/routes/demo2":   `{"id":2,"prefix":"/","service_name":"s"}`,
		"/v1/services/demo1": `{"name":"demo2"}`,
	} {
		_, at := g.do("PUT", path, body).want(422).problems()
		if len(at) != 1 || at[0] != "body.id" && at[0] != "body.name" {
			t.Errorf("%s: %q", path, at)
		}
	}
	g.do("PUT", "/v1/routes/demo1", `{"id":null,"prefix":"/demo/*","service_name":"demo1"}`).want(201).wantBody(demo)
	g.do("PATCH", "/v1/routes/demo1", `{"id":"demo2"}`).want(422)
	g.do("PATCH", "/v1/routes/demo1", `{"id":null}`).want(200).wantBody(demo)
}

// control.CheckID holds for what is new. Early ws-cloud-gateway stores have the prefix for an id: such a route can still be read and mended.
func TestIdsAreCheckedWhenTheyAreNew(t *testing.T) {
	g := newGateway(t)
	for _, id := range []string{"a%2Fb", "%2E%2E", "a%00b", "%FF", strings.Repeat("x", 256)} {
		_, at := g.do("PUT", "/v1/routes/"+id, `{"prefix":"/x","service_name":"s"}`).want(422).problems()
		if len(at) != 1 || at[0] != "path.id" {
			t.Errorf("%s: %q", id, at)
		}
	}
	g.store.set("routes//old/*", `{"prefix":"/old/*","service_name":"s"}`)
	g.do("GET", "/v1/routes/%2Fold%2F*", "").want(200)
	g.do("PUT", "/v1/routes/%2Fold%2F*", `{"id":"/old/*","prefix":"/old/*","service_name":"t"}`).want(200).wantBody(`{"prefix":"/old/*","service_name":"t"}`)
	g.do("PATCH", "/v1/routes/%2Fold%2F*", `{"desc":"x"}`).want(200).wantBody(`{"prefix":"/old/*","service_name":"t","desc":"x"}`)
	g.do("DELETE", "/v1/routes/%2Fold%2F*", "").want(204)

	created := g.do("PUT", "/v1/routes/caf%C3%A9%20%3F", `{"prefix":"/x","service_name":"s"}`).want(201)
	g.do("GET", created.header.Get("Location"), "").want(200).wantBody(`{"id":"café ?","prefix":"/x","service_name":"s"}`)
}

// RFC 9110 §13.1: If-Match and If-None-Match guard writes by the ETag.
func TestConditionsGuardWrites(t *testing.T) {
	g := newGateway(t)
	g.do("PUT", "/v1/routes/demo1", demo, "If-Match", `"7"`).want(412)
	g.do("PUT", "/v1/routes/demo1", demo, "If-Match", `*`).want(412)
	first := g.do("PUT", "/v1/routes/demo1", demo, "If-None-Match", "*").want(201).etag()
	g.do("PUT", "/v1/routes/demo1", demo, "If-None-Match", "*").want(412)

	other := strings.Replace(demo, "/demo/*", "/other", 1)
	second := g.do("PUT", "/v1/routes/demo1", other, "If-Match", first).want(200).etag()
	for _, stale := range []string{first, `W/` + second, `"x"`, `"1", "2"`} {
		g.do("PUT", "/v1/routes/demo1", demo, "If-Match", stale).want(412)
		g.do("PATCH", "/v1/routes/demo1", `{"desc":"x"}`, "If-Match", stale).want(412)
		g.do("DELETE", "/v1/routes/demo1", "", "If-Match", stale).want(412)
	}
	if got := g.store.value("routes/demo1"); got != other {
		t.Fatalf("a write with a false condition was done: %s", got)
	}
	g.do("PATCH", "/v1/routes/demo1", `{"desc":"x"}`, "If-None-Match", "*").want(412)
	third := g.do("PATCH", "/v1/routes/demo1", `{"desc":"x"}`, "If-Match", `"1", `+second).want(200).etag()
	fourth := g.do("PUT", "/v1/routes/demo1", demo, "If-Match", strings.Trim(third, `"`)).want(200).etag() // a bare revision, copied from a list
	g.do("DELETE", "/v1/routes/demo1", "", "If-Match", fourth).want(204)
	g.do("DELETE", "/v1/routes/demo1", "", "If-Match", fourth).want(404) // RFC 9110 §13.2.1: 404 with or without the condition
}

// The condition is checked where the write is done, not only where it was read.
func TestAConditionHoldsAgainstAWriteInBetween(t *testing.T) {
	g := newGateway(t)
	tag := g.do("PUT", "/v1/routes/demo1", demo).want(201).etag()
	between := strings.Replace(demo, "/demo/*", "/between", 1)
	for _, call := range []string{"PUT", "PATCH", "DELETE"} {
		g.store.meddle = func() { g.store.set("routes/demo1", between) }
		g.do(call, "/v1/routes/demo1", `{"prefix":"/mine","service_name":"demo1"}`, "If-Match", tag).want(412)
		g.store.meddle = nil
		if got := g.store.value("routes/demo1"); got != between {
			t.Fatalf("%s wrote over it: %s", call, got)
		}
		tag = g.do("PUT", "/v1/routes/demo1", demo).want(200).etag()
	}
	g.store.meddle = func() { g.store.set("routes/new", between) }
	g.do("PUT", "/v1/routes/new", `{"prefix":"/mine","service_name":"s"}`, "If-None-Match", "*").want(412)
}

// A PUT without a condition replaces whatever is there by then, and the history has what that was.
func TestAnUnconditionalPutReplacesWhatCameBetween(t *testing.T) {
	g := newGateway(t)
	times := 0
	g.store.meddle = func() {
		if times++; times < attempts {
			g.store.set("routes/demo1", fmt.Sprintf(`{"prefix":"/between%d","service_name":"s"}`, times))
		}
	}
	g.do("PUT", "/v1/routes/demo1", demo).want(200)
	if got := g.store.value("routes/demo1"); got != demo {
		t.Errorf("stored: %s", got)
	}
	records, _, err := control.NewJournal(g.store, nil).Records(t.Context(), 0, 1)
	if want := fmt.Sprintf(`{"prefix":"/between%d","service_name":"s"}`, attempts-1); err != nil || string(records[0].Changes[0].Before) != want {
		t.Errorf("recorded: %+v, %v", records, err)
	}
}

func TestPatchKeepsAWriteInBetween(t *testing.T) {
	g := newGateway(t)
	g.store.set("routes/demo1", demo)
	once := sync.OnceFunc(func() { g.store.set("routes/demo1", strings.Replace(demo, "{", `{"desc":"theirs",`, 1)) })
	g.store.meddle = once
	g.do("PATCH", "/v1/routes/demo1", `{"priority":5}`).want(200).
		wantBody(`{"desc":"theirs","id":"demo1","prefix":"/demo/*","service_name":"demo1","priority":5}`)
}

func TestAPatchThatIsAlwaysOvertakenGivesUp(t *testing.T) {
	g := newGateway(t)
	g.store.set("routes/demo1", demo)
	g.store.meddle = func() { g.store.set("routes/demo1", demo) }
	g.do("PATCH", "/v1/routes/demo1", `{"priority":5}`).want(409)
}

func TestConcurrentPatchesAllArrive(t *testing.T) {
	g := newGateway(t)
	g.store.set("routes/demo1", `{"id":"demo1","prefix":"/","service_name":"s"}`)
	var all sync.WaitGroup
	for _, patch := range []string{`{"desc":"d"}`, `{"priority":3}`, `{"methods":["GET"]}`, `{"hosts":["a.b"]}`} {
		all.Go(func() {
			if got := g.do("PATCH", "/v1/routes/demo1", patch); got.status != 200 {
				t.Errorf("%s: %d", patch, got.status)
			}
		})
	}
	all.Wait()
	stored := g.store.value("routes/demo1")
	for _, part := range []string{`"desc":"d"`, `"priority":3`, `"methods":["GET"]`, `"hosts":["a.b"]`} {
		if !strings.Contains(stored, part) {
			t.Errorf("%s is not in %s", part, stored)
		}
	}
}

func TestWhatIsStoredWithOtherToolsCanBeLookedAtAndReplaced(t *testing.T) {
	g := newGateway(t)
	g.store.set("routes/bad", "not json <script>")
	got := g.do("GET", "/v1/routes/bad", "").want(200).wantBody("not json <script>")
	if ct := got.header.Get("Content-Type"); ct != "text/plain; charset=utf-8" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("header: %v", got.header)
	}
	g.do("PATCH", "/v1/routes/bad", `{"desc":"x"}`).want(409)
	g.do("PUT", "/v1/routes/bad", `{"prefix":"/x","service_name":"s"}`).want(200)

	g.store.set("routes/empty", "")
	g.do("GET", "/v1/routes/empty", "").want(200).wantBody("")
	g.do("DELETE", "/v1/routes/empty", "").want(204)
	g.do("GET", "/v1/routes/empty", "").want(404)

	g.store.set("routes/pretty", "{\n  \"prefix\": \"/x\",\n  \"service_name\": \"s\"\n}")
	g.do("GET", "/v1/routes/pretty", "").want(200).wantBody("{\n  \"prefix\": \"/x\",\n  \"service_name\": \"s\"\n}")
}

func TestNodesAreKeptBelowDiscovery(t *testing.T) {
	g := newGateway(t)
	body := `{"service_name":"demo1","upstream":"127.0.0.1:1024","weight":2,"id":"theirs"}`
	id := control.NodeID("demo1", "127.0.0.1:1024")

	made := g.do("POST", "/v1/nodes", body).want(201).wantBody(body)
	if got := made.header.Get("Location"); got != "/v1/nodes/"+id {
		t.Errorf("Location: %q", got)
	}
	if got := g.store.value("discovery/" + id); got != body {
		t.Errorf("stored: %q", got)
	}
	g.do("GET", "/v1/nodes/"+id, "").want(200).wantBody(body)
	if again := g.do("POST", "/v1/nodes", body).want(200); again.header.Get("Location") != "/v1/nodes/"+id || again.etag() != made.etag() {
		t.Errorf("registering again: %v", again.header)
	}
	g.do("PATCH", "/v1/nodes/"+id, `{"weight":0}`).want(200)
	g.do("PUT", "/v1/nodes/anything", body).want(201)
	g.do("PUT", "/v1/nodes/demo1%2F127.0.0.1:1024", body).want(201)
	if got := g.store.value("discovery/demo1/127.0.0.1:1024"); got != body {
		t.Errorf("stored below a key with slashes: %q", got)
	}
	g.do("DELETE", "/v1/nodes/demo1%2F127.0.0.1:1024", "").want(204)
	g.do("POST", "/v1/nodes?dry_run=1", `{"service_name":"demo1","upstream":"127.0.0.1:1"}`).want(200)
	_, at := g.do("POST", "/v1/nodes", `{"service_name":"","upstream":"x"}`).want(422).problems()
	if !slices.Contains(at, "body.service_name") || !slices.Contains(at, "body.upstream") {
		t.Errorf("%q", at)
	}
	g.do("POST", "/v1/nodes", `{`).want(400)
	if nodes, _, _ := g.store.List(t.Context(), "discovery/", "", 0); len(nodes) != 2 {
		t.Errorf("entries: %v", nodes)
	}
}

func TestServicesAreNamedByTheirURL(t *testing.T) {
	g := newGateway(t)
	g.do("PUT", "/v1/services/demo1", `{"balancer":{"type":"ewma"}}`).want(201).wantBody(`{"name":"demo1","balancer":{"type":"ewma"}}`)
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	g := newGateway(t)
	body := func(size int) string {
		frame := `{"prefix":"/x","service_name":"s","desc":""}`
		return strings.Replace(frame, `"desc":"`, `"desc":"`+strings.Repeat("x", size-len(frame)), 1)
	}
	g.do("PUT", "/v1/routes/big", body(maxBody-1)).want(201)
	g.do("PUT", "/v1/routes/big", body(maxBody)).want(http.StatusRequestEntityTooLarge)
	g.do("PATCH", "/v1/routes/big", body(maxBody)).want(http.StatusRequestEntityTooLarge)
	g.do("POST", "/v1/nodes", body(maxBody)).want(http.StatusRequestEntityTooLarge)
}

func TestAStoreThatCannotBeReachedIs503(t *testing.T) {
	g := newGateway(t)
	g.store.set("routes/demo1", demo)
	g.store.fail = fmt.Errorf("etcd: get: %w", control.ErrUnavailable)
	for _, call := range [][2]string{
		{"GET", "/v1/routes"}, {"GET", "/v1/routes/demo1"}, {"PUT", "/v1/routes/demo1"}, {"PATCH", "/v1/routes/demo1"}, {"DELETE", "/v1/routes/demo1"},
	} {
		if got := g.do(call[0], call[1], demo).want(503); got.header.Get("Retry-After") == "" {
			t.Errorf("%v: no Retry-After", call)
		}
	}
	// Lost between the read and the write: nobody knows whether it was done, and the answer says so.
	g.store.fail = nil
	g.store.meddle = func() { g.store.fail = control.ErrUnavailable }
	document, _ := g.do("PATCH", "/v1/routes/demo1", `{"desc":"x"}`).want(503).problems()
	if !strings.Contains(document.Detail, "may still have been made") {
		t.Errorf("detail: %q", document.Detail)
	}
	// So it is when the call to the store was given up.
	g.store.fail = nil
	g.store.meddle = func() { g.store.fail = fmt.Errorf("etcd: put: %w", context.Canceled) }
	document, _ = g.do("PUT", "/v1/routes/demo1", `{"prefix":"/y","service_name":"s"}`).want(503).problems()
	if !strings.Contains(document.Detail, "may still have been made") {
		t.Errorf("detail: %q", document.Detail)
	}
	// Reading, answering, and the open calls go on.
	g.do("GET", "/v1/status", "").want(200)
	g.send("GET", "/healthz", "").want(200)
}
