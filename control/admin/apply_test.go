package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/control"
)

func (o *Outcome) actions() (list []string) {
	for _, c := range o.Changes {
		list = append(list, c.Action+" "+c.Resource)
	}
	return list
}

// Contract, section 1: the store is made equal to what is given, as one transaction; the difference is told.
func TestAnApplyWritesTheDifferenceAsOneTransaction(t *testing.T) {
	g := newGateway(t)
	g.store.set("routes/same", `{ "service_name":"s", "id":"same", "prefix":"/same" }`)
	g.store.set("routes/changed", `{"id":"changed","prefix":"/old","service_name":"s"}`)
	g.store.set("routes/gone", `{"id":"gone","prefix":"/gone","service_name":"s"}`)
	g.store.set("services/kept", `{"name":"kept"}`)
	g.store.set("discovery/s.1", `{"service_name":"s","upstream":"127.0.0.1:1"}`)
	g.store.set("discovery/s.2", `{"service_name":"s","upstream":"127.0.0.1:2"}`)
	g.store.lease("discovery/s.2")
	body := `{"note":"commit 1a2b","prune":["routes","nodes"],"resources":[
		{"kind":"routes","id":"same","value":{"prefix":"/same","service_name":"s"}},
		{"kind":"routes","id":"changed","value":{"prefix":"/new","service_name":"s"}},
		{"kind":"services","id":"s","value":{}},
		{"kind":"routes","id":"new","value":{"prefix":"/new/x","service_name":"s"}}]}`
	want := []string{"delete nodes/s.1", "update routes/changed", "delete routes/gone", "create routes/new", "create services/s"}
	var plan, done Outcome
	g.do("POST", "/v1/apply?dry_run=1", body).want(200).into(&plan)
	if g.store.writes != 0 || !slices.Equal(plan.actions(), want) || plan.Revision != 0 {
		t.Fatalf("%d writes, %v", g.store.writes, plan.actions())
	}
	g.do("POST", "/v1/apply", body).want(200).into(&done)
	if g.store.writes != 1 || !slices.Equal(done.actions(), want) || done.Revision == 0 {
		t.Fatalf("%d writes, %v", g.store.writes, done.actions())
	}
	if g.store.value("services/kept") == "" || g.store.value("discovery/s.2") == "" || g.store.value("routes/gone") != "" || g.store.value("discovery/s.1") != "" {
		t.Errorf("%v", g.store.entries)
	}
	if it := g.history("").Items[0]; it.Note != "commit 1a2b" || it.Call != "POST /v1/apply" || len(it.Changes) != 5 {
		t.Errorf("%+v", it)
	}
	var again Outcome
	g.do("POST", "/v1/apply", body).want(200).into(&again)
	if g.store.writes != 1 || len(again.Changes) != 0 || again.Revision != 0 {
		t.Errorf("once more: %d writes, %+v", g.store.writes, again)
	}
	// And back.
	g.do("POST", fmt.Sprintf("/v1/history/%d/rollback", done.Revision-1), "").want(200)
	if g.store.value("routes/gone") == "" || g.store.value("services/s") != "" {
		t.Error("an apply was not undone")
	}
}

// All problems of all resources at once, and nothing is written.
func TestAnApplyIsAllOrNothing(t *testing.T) {
	g := newGateway(t)
	_, at := g.do("POST", "/v1/apply", `{"resources":[
		{"kind":"routes","id":"good","value":{"prefix":"/x","service_name":"s"}},
		{"kind":"routes","id":"a/b","value":{"prefix":"/x","service_name":"s"}},
		{"kind":"routes","id":"bad","value":{"prefix":"x","id":"other"}},
		{"kind":"services","id":"bad","value":[]}]}`).want(422).problems()
	want := []string{"body.resources[1].id", "body.resources[2].value.id", "body.resources[2].value.prefix", "body.resources[2].value.service_name", "body.resources[3].value"}
	if !slices.Equal(at, want) {
		t.Errorf("%q, want %q", at, want)
	}
	for body, where := range map[string]string{
		`[]`: "body", `{"resource":[]}`: "body.resource", `{"prune":["users"]}`: "body.prune[0]",
		`{"resources":[{"kind":"users","id":"a","value":{}}]}`:                                            "body.resources[0].kind",
		`{"resources":[{"kind":"services","id":"a","value":{}},{"kind":"services","id":"a","value":{}}]}`: "body.resources[1].id",
		`{"resources":[{"kind":"services","id":"a"}]}`:                                                    "body.resources[0].value",
		`{"note":"` + strings.Repeat("x", maxNote+1) + `"}`:                                               "body.note",
	} {
		if _, at := g.do("POST", "/v1/apply", body).want(422).problems(); !slices.Equal(at, []string{where}) {
			t.Errorf("%.60s: %q, want %q", body, at, where)
		}
	}
	g.do("POST", "/v1/apply", `{`).want(400)
	if g.store.writes != 0 {
		t.Errorf("%d writes", g.store.writes)
	}
}

// What is put below a pruned kind between the reading and the writing is seen, and goes too.
func TestAnApplyThatPrunesSeesWhatCameBetween(t *testing.T) {
	g := newGateway(t)
	times := 0
	g.store.meddle = func() {
		if times++; times == 1 {
			g.store.set("routes/between", `{"prefix":"/between","service_name":"s"}`)
		}
	}
	g.do("POST", "/v1/apply", `{"prune":["routes"],"resources":[{"kind":"routes","id":"a","value":{"prefix":"/x","service_name":"s"}}]}`).want(200)
	if g.store.value("routes/between") != "" || g.store.value("routes/a") == "" || times != 2 {
		t.Errorf("%v after %d tries", g.store.entries, times)
	}
}

func TestManyResourcesAreAppliedAtOnce(t *testing.T) {
	g := newGateway(t)
	var b strings.Builder
	for i := range 3 * singly {
		fmt.Fprintf(&b, `,{"kind":"routes","id":"r%d","value":{"prefix":"/%d","service_name":"s"}}`, i, i)
	}
	body := `{"resources":[` + b.String()[1:] + `]}`
	var o Outcome
	g.do("POST", "/v1/apply", body).want(200).into(&o)
	if len(o.Changes) != 3*singly || g.store.writes != 1 {
		t.Errorf("%d changes, %d writes", len(o.Changes), g.store.writes)
	}
	g.do("POST", "/v1/apply", body).want(200).into(&o)
	if g.store.writes != 1 {
		t.Error("written again")
	}
}

// FIELD: an external etcd takes 128 operations at once unless told otherwise. What it refuses for its size is said with what would help, and is not "unavailable".
func TestAnApplyThatIsTooLargeForTheStoreSaysWhatWouldHelp(t *testing.T) {
	g := newGateway(t)
	g.store.meddle = func() {
		g.store.fail = fmt.Errorf("etcd: commit of 200 changes: %w (too many operations)", control.ErrTooLarge)
	}
	document, _ := g.do("POST", "/v1/apply", `{"resources":[{"kind":"services","id":"a","value":{}}]}`).want(413).problems()
	if !strings.Contains(document.Detail, "--max-txn-ops") || !strings.Contains(document.Detail, "nothing was changed") || strings.Contains(document.Detail, "may still") {
		t.Errorf("%+v", document)
	}
}

// A store that is full has refused the write: nobody has to find out whether it was made, and there is no use in trying again soon.
func TestAFullStoreIsNotOneThatIsAway(t *testing.T) {
	g := newGateway(t)
	g.store.meddle = func() {
		g.store.fail = fmt.Errorf("etcd: commit of 1 changes: %w (database space exceeded)", control.ErrFull)
	}
	document, _ := g.do("PUT", "/v1/services/a", `{}`).want(507).problems()
	if !strings.Contains(document.Detail, "full") || !strings.Contains(document.Detail, "nothing was changed") || strings.Contains(document.Detail, "may still") {
		t.Errorf("%+v", document)
	}
}
