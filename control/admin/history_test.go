package admin

import (
	"fmt"
	"strings"
	"testing"

	"sluice/control"
)

func (g *gateway) history(query string) (page HistoryPage) {
	g.t.Helper()
	g.do("GET", "/v1/history"+query, "").want(200).into(&page)
	return page
}

// Contract, section 4: every change: who, when, what.
func TestEveryChangeIsInTheHistory(t *testing.T) {
	g := newGateway(t)
	g.do("PUT", "/v1/routes/demo1", demo).want(201)
	g.do("PATCH", "/v1/routes/demo1", `{"desc":"x"}`).want(200)
	last := g.do("GET", "/v1/routes/demo1", "").etag()
	g.do("PUT", "/v1/routes/demo1", demo+" ", "If-Match", `"1"`).want(412)                    // not done
	g.do("PATCH", "/v1/routes/demo1", `{"desc":"x"}`).want(200)                               // nothing to do
	g.do("PUT", "/v1/routes/other?dry_run=1", `{"prefix":"/o","service_name":"o"}`).want(200) // not done
	g.do("POST", "/v1/nodes", `{"service_name":"demo1","upstream":"127.0.0.1:1"}`).want(201)
	g.do("DELETE", "/v1/routes/demo1", "").want(204)
	page := g.history("")
	var got []string
	for _, it := range page.Items {
		if it.By != TokenName || it.Role != "admin" || it.From != "127.0.0.1" || it.Time.IsZero() || len(it.Changes) != 1 {
			t.Errorf("%+v", it)
		}
		got = append(got, it.Call+" "+it.Changes[0].Action+" "+it.Changes[0].Resource)
	}
	want := []string{
		"DELETE /v1/routes/demo1 delete routes/demo1",
		"POST /v1/nodes create nodes/" + control.NodeID("demo1", "127.0.0.1:1"),
		"PATCH /v1/routes/demo1 update routes/demo1",
		"PUT /v1/routes/demo1 create routes/demo1",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("history:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if fmt.Sprintf("%q", fmt.Sprint(page.Items[2].Revision)) != last {
		t.Errorf("revision %d, ETag %s", page.Items[2].Revision, last)
	}
	var one HistoryItem
	g.do("GET", fmt.Sprintf("/v1/history/%d", page.Items[2].Revision), "").want(200).into(&one)
	if len(one.Changes) != 1 || len(one.Changes[0].Changes) != 1 || one.Changes[0].Changes[0].Path != "desc" || string(one.Changes[0].Changes[0].After) != `"x"` {
		t.Errorf("%+v", one)
	}
	g.do("GET", fmt.Sprintf("/v1/history/%d", page.Items[0].Revision+1), "").want(404)
	g.do("GET", "/v1/history/0", "").want(422)

	// Pages and searches.
	first := g.history("?limit=3")
	rest := g.history("?limit=3&cursor=" + first.NextCursor)
	if len(first.Items) != 3 || len(rest.Items) != 1 || rest.NextCursor != "" || rest.Items[0].Revision != page.Items[3].Revision {
		t.Errorf("%+v, then %+v", first, rest)
	}
	if found := g.history("?q=NODES/"); len(found.Items) != 1 {
		t.Errorf("%+v", found)
	}
	g.do("GET", "/v1/history?cursor=x", "").want(422)
}

// Undo is one transaction, of one resource or of everything, and is a change like any other.
func TestARollbackGoesBackToARevision(t *testing.T) {
	g := newGateway(t)
	g.store.set("routes/foreign", `{"prefix":"/foreign","service_name":"f"}`) // past the history
	g.do("PUT", "/v1/routes/a", `{"prefix":"/a","service_name":"s"}`).want(201)
	good := g.history("").Items[0].Revision
	wanted := map[string]string{"routes/a": g.store.value("routes/a"), "routes/foreign": g.store.value("routes/foreign")}
	g.do("PATCH", "/v1/routes/a", `{"desc":"1"}`).want(200)
	middle := g.history("").Items[0].Revision
	g.do("PATCH", "/v1/routes/a", `{"desc":"2"}`).want(200)
	g.do("PUT", "/v1/services/s", `{}`).want(201)
	g.do("DELETE", "/v1/routes/foreign", "").want(204)

	path := fmt.Sprintf("/v1/history/%d/rollback", good)
	var plan, done Outcome
	writes := g.store.writes
	g.do("POST", path+"?dry_run=1", "").want(200).into(&plan)
	if g.store.writes != writes || plan.Revision != 0 || len(plan.Changes) != 3 {
		t.Fatalf("%d writes, %+v", g.store.writes-writes, plan)
	}
	g.do("POST", fmt.Sprintf("/v1/history/%d/rollback?resource=routes/a", middle), "").want(200).into(&done)
	if got := g.store.value("routes/a"); len(done.Changes) != 1 || done.Revision == 0 || !strings.Contains(got, `"desc":"1"`) || g.store.value("services/s") == "" {
		t.Fatalf("one resource: %s, %+v", got, done)
	}
	g.do("POST", path, "").want(200).into(&done)
	for key, want := range wanted {
		if got := g.store.value(key); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	if g.store.value("services/s") != "" || g.store.writes != writes+2 {
		t.Errorf("services/s is still there, or it took %d writes", g.store.writes-writes)
	}
	top := g.history("").Items[0]
	if top.Revision != done.Revision || top.Note != fmt.Sprintf("back to revision %d", good) || len(top.Changes) != 3 {
		t.Errorf("%+v", top)
	}
	// What was undone can be undone.
	g.do("POST", fmt.Sprintf("/v1/history/%d/rollback", top.Revision-1), "").want(200)
	if g.store.value("services/s") == "" || g.store.value("routes/foreign") != "" {
		t.Error("the rollback was not undone")
	}
	var nothing Outcome
	g.do("POST", fmt.Sprintf("/v1/history/%d/rollback", g.history("").Items[0].Revision), "").want(200).into(&nothing)
	if nothing.Revision != 0 || len(nothing.Changes) != 0 {
		t.Errorf("nothing has changed since: %+v", nothing)
	}
}

func TestARollbackThatCannotBeSaysWhy(t *testing.T) {
	g := newGateway(t)
	g.do("POST", "/v1/history/1/rollback", "").want(409) // there is no history
	g.store.set("routes/old", `{"prefix":"/old","service_name":"s","nothing":1}`)
	g.do("DELETE", "/v1/routes/old", "").want(204)
	r := g.history("").Items[0].Revision
	document, at := g.do("POST", fmt.Sprintf("/v1/history/%d/rollback", r-1), "").want(422).problems()
	if len(at) != 1 || at[0] != "routes/old.nothing" {
		t.Errorf("what was valid once and is not today: %+v", document)
	}
	g.do("POST", fmt.Sprintf("/v1/history/%d/rollback", r-2), "").want(409)
	g.do("POST", "/v1/history/999999/rollback", "").want(409)
	g.do("POST", fmt.Sprintf("/v1/history/%d/rollback?resource=nothing", r), "").want(422)
	// A name that nobody has ever had is mistyped: to change nothing is not what was asked for.
	for _, dry := range []string{"", "&dry_run=1"} {
		if got := g.do("POST", fmt.Sprintf("/v1/history/%d/rollback?resource=routes/nosuch%s", r, dry), "").want(404); !strings.Contains(got.body, "routes/nosuch") {
			t.Errorf("it does not say what is missing: %s", got.body)
		}
	}
}

// A node under a lease that has gone must not come back as one that nobody takes out.
func TestARollbackLeavesLeasedNodesAlone(t *testing.T) {
	g := newGateway(t)
	g.store.set("discovery/s.1", `{"service_name":"s","upstream":"127.0.0.1:1"}`)
	g.store.lease("discovery/s.1")
	g.do("PUT", "/v1/routes/a", `{"prefix":"/a","service_name":"s"}`).want(201)
	r := g.history("").Items[0].Revision
	g.do("PATCH", "/v1/nodes/s.1", `{"weight":0}`).want(200)
	var o Outcome
	g.do("POST", fmt.Sprintf("/v1/history/%d/rollback", r), "").want(200).into(&o)
	if len(o.Changes) != 0 || len(o.LeftOut) != 1 || o.LeftOut[0].Resource != "nodes/s.1" || o.LeftOut[0].Reason == "" {
		t.Errorf("%+v", o)
	}
}

// Secrets are kept for the way back, and not shown on it.
func TestTheHistoryShowsNoSecrets(t *testing.T) {
	g := newGateway(t)
	g.do("PUT", "/v1/consumers/jack", `{"credentials":{"key-auth":{"key":"hunter2"}}}`).want(201)
	r := g.history("").Items[0].Revision
	g.do("PATCH", "/v1/consumers/jack", `{"credentials":{"key-auth":{"key":"hunter3"}}}`).want(200)
	for _, path := range []string{"/v1/history", fmt.Sprintf("/v1/history/%d", r), fmt.Sprintf("/v1/history/%d", r+1)} {
		if got := g.do("GET", path, "").want(200); strings.Contains(got.body, "hunter") {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	if got := g.do("POST", fmt.Sprintf("/v1/history/%d/rollback", r), "").want(200); strings.Contains(got.body, "hunter") {
		t.Error(got.body)
	}
	if !strings.Contains(g.store.value("consumers/jack"), "hunter2") {
		t.Errorf("stored: %s", g.store.value("consumers/jack"))
	}
}

func TestARollbackIsWorkedOutAnewWhenSomebodyWasFaster(t *testing.T) {
	g := newGateway(t)
	g.do("PUT", "/v1/routes/a", `{"prefix":"/a","service_name":"s"}`).want(201)
	r := g.history("").Items[0].Revision
	g.do("PATCH", "/v1/routes/a", `{"desc":"1"}`).want(200)
	times := 0
	g.store.meddle = func() {
		if times++; times == 1 {
			g.store.set("routes/a", `{"prefix":"/between","service_name":"s"}`)
		}
	}
	g.do("POST", fmt.Sprintf("/v1/history/%d/rollback", r), "").want(200)
	if got := g.store.value("routes/a"); got != `{"id":"a","prefix":"/a","service_name":"s"}` || times != 2 {
		t.Errorf("%s after %d tries", got, times)
	}
}
