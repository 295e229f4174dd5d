package admin

import (
	"encoding/json"
	"testing"
)

func TestADryRunSaysWhatWouldChangeAndWritesNothing(t *testing.T) {
	g := newGateway(t)
	g.store.set("routes/demo1", `{"id":"demo1","prefix":"/a","service_name":"s","timeout":{"connect":"1s","response":"2s"},"hosts":["a.b"]}`)
	for _, tc := range []struct{ method, path, body, action, changes string }{
		{"PUT", "/v1/routes/new?dry_run=1", `{"prefix":"/a","service_name":"s"}`, "create",
			`[{"path":"id","after":"new"},{"path":"prefix","after":"/a"},{"path":"service_name","after":"s"}]`},
		{"PATCH", "/v1/routes/demo1?dry_run=true", `{"hosts":["a.b","c.d"],"timeout":{"connect":null,"response":"3s"},"desc":"x"}`, "update",
			`[{"path":"timeout.connect","before":"1s"},{"path":"timeout.response","before":"2s","after":"3s"},` +
				`{"path":"hosts","before":["a.b"],"after":["a.b","c.d"]},{"path":"desc","after":"x"}]`},
		{"PATCH", "/v1/routes/demo1?dry_run", `{"priority":null}`, "none", `[]`},
		{"DELETE", "/v1/routes/demo1?dry_run=1", "", "delete",
			`[{"path":"id","before":"demo1"},{"path":"prefix","before":"/a"},{"path":"service_name","before":"s"},` +
				`{"path":"timeout","before":{"connect":"1s","response":"2s"}},{"path":"hosts","before":["a.b"]}]`},
	} {
		var plan struct {
			Action   string
			Changes  json.RawMessage
			Resource json.RawMessage
		}
		g.do(tc.method, tc.path, tc.body).want(200).into(&plan)
		if plan.Action != tc.action || string(plan.Changes) != tc.changes {
			t.Errorf("%s %s: %s\n%s\nwant %s\n%s", tc.method, tc.path, plan.Action, plan.Changes, tc.action, tc.changes)
		}
		if (plan.Resource == nil) != (tc.action == "delete") {
			t.Errorf("%s %s: resource %s", tc.method, tc.path, plan.Resource)
		}
	}
	if g.store.writes != 0 {
		t.Errorf("%d writes", g.store.writes)
	}
}

func TestADryRunFailsAsTheWriteWould(t *testing.T) {
	g := newGateway(t)
	g.store.set("routes/demo1", demo)
	g.do("PUT", "/v1/routes/demo1?dry_run=1", `{"prefix":"x"}`).want(422)
	g.do("PUT", "/v1/routes/demo1?dry_run=1", `{`).want(400)
	g.do("PUT", "/v1/routes/demo1?dry_run=1", demo, "If-None-Match", "*").want(412)
	g.do("PATCH", "/v1/routes/none?dry_run=1", `{}`).want(404)
	g.do("DELETE", "/v1/routes/none?dry_run=1", "").want(404)
	g.do("DELETE", "/v1/routes/demo1?dry_run=1", "", "If-Match", `"1"`).want(412)
}

// A word that is not understood must not turn a question into a write.
func TestAMistypedDryRunWritesNothing(t *testing.T) {
	g := newGateway(t)
	for _, query := range []string{"?dryrun=1", "?dry-run=1", "?dry_run=yes", "?DRY_RUN=1"} {
		g.do("PUT", "/v1/routes/demo1"+query, demo).want(422)
	}
	for _, query := range []string{"?dry_run", "?dry_run=", "?dry_run=1"} {
		g.do("PUT", "/v1/routes/demo1"+query, demo).want(200)
	}
	if g.store.writes != 0 {
		t.Errorf("%d writes", g.store.writes)
	}
	g.do("PUT", "/v1/routes/demo1?dry_run=0", demo).want(201)
}

// What stands may be anything; a plan over it is made all the same.
func TestADryRunOverWhatIsNotJSON(t *testing.T) {
	g := newGateway(t)
	g.store.set("routes/bad", "not \xff json")
	var plan Plan
	g.do("DELETE", "/v1/routes/bad?dry_run=1", "").want(200).into(&plan)
	if plan.Action != "delete" || len(plan.Changes) != 1 || string(plan.Changes[0].Before) != `"not � json"` {
		t.Errorf("%+v", plan)
	}
}
