package admin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"sluice/control"
	"sluice/core/observe"
	"sluice/internal/problem"
	"sluice/internal/unit"
	"sluice/plugin/builtin"
)

func TestStatusTellsWhatIsInForceAndWhatIsNot(t *testing.T) {
	contact := time.Now().Add(-3 * time.Second)
	g := newGateway(t, func(d *Deps) {
		d.Source = func() SourceStatus {
			return SourceStatus{StoreState: observe.StoreState{Connected: true, LastContact: contact, Revision: 44, Resyncs: map[string]uint64{"start": 1}}}
		}
	})
	g.status = &control.Status{
		Revision: 41, Published: 40, Snapshots: 7, Applied: contact, Routes: 3, Services: 2, Nodes: 5,
		Errors: []control.ResourceError{{Key: "routes/bad", Revision: 39, Previous: true, Problems: problem.Problems{{Path: "hosts[0]", Text: "is wrong"}}}},
	}
	var s Status
	answer := g.do("GET", "/v1/status", "").want(200)
	answer.into(&s)
	if s.Version != "1.2.3" || s.Workers != 4 || !s.Ready || s.StoreRevision != 44 || s.AppliedRevision != 40 || s.Snapshots != 7 ||
		s.Routes != 3 || s.Services != 2 || s.Nodes != 5 || !s.LastApplied.Equal(contact) {
		t.Errorf("%s", answer.body)
	}
	if s.Store == nil || !s.Store.Connected || s.Store.Resyncs["start"] != 1 || s.Store.Staleness == nil || *s.Store.Staleness < unit.Duration(3*time.Second) {
		t.Errorf("store: %s", answer.body)
	}
	e := s.Errors[0]
	if e.Key != "routes/bad" || e.Kind != control.Routes || e.ID != "bad" || e.Revision != 39 || !e.Previous || e.Problems[0] != (ResourceProblem{"hosts[0]", "is wrong"}) {
		t.Errorf("errors: %s", answer.body)
	}
}

// Before the first word of the store there is nothing to make up: no times, no errors, and lists are lists.
func TestStatusBeforeTheFirstSnapshot(t *testing.T) {
	g := newGateway(t, func(d *Deps) { d.Source = func() SourceStatus { return SourceStatus{} } })
	g.status = new(control.Status)
	body := g.do("GET", "/v1/status", "").want(200).body
	for _, absent := range []string{"last_applied", "last_contact", "staleness"} {
		if strings.Contains(body, absent) {
			t.Errorf("%s is in %s", absent, body)
		}
	}
	if !strings.Contains(body, `"errors":[]`) || !strings.Contains(body, `"ready":false`) {
		t.Error(body)
	}
}

// Contract, section 4: ready once the first snapshot is applied; alive all the time.
func TestReadyOnceTheFirstSnapshotIsApplied(t *testing.T) {
	draining := false
	g := newGateway(t, func(d *Deps) { d.Ready = func() bool { return !draining } })
	g.status = new(control.Status)
	var h Health
	g.send("GET", "/healthz", "").into(&h)
	if h.Status != "ok" {
		t.Errorf("%+v", h)
	}
	notReady := g.send("GET", "/readyz", "")
	notReady.into(&h)
	if notReady.status != 503 || h.Status != "not ready" || h.Reason == "" {
		t.Errorf("%d %s", notReady.status, notReady.body)
	}
	g.status = &control.Status{Snapshots: 1, Published: 12}
	g.send("GET", "/readyz", "").want(200).wantBody(`{"status":"ok","revision":12}` + "\n")
	draining = true
	notReady = g.send("GET", "/readyz", "")
	notReady.into(&h)
	if notReady.status != 503 || h.Reason == "" {
		t.Errorf("%d %s", notReady.status, notReady.body)
	}
}

func TestAScrapeParses(t *testing.T) {
	g := newGateway(t)
	g.deps.Stats.SetVersion("1.2.3")
	g.deps.Stats.SetRevision(77)
	g.deps.Stats.SetResourcesInError(2)
	scrape := g.send("GET", "/metrics", "").want(200)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(scrape.body))
	if err != nil {
		t.Fatal(err)
	}
	ours := 0
	for name := range families {
		if strings.HasPrefix(name, "sluice_") {
			ours++
		}
	}
	if ours < 5 || families["go_goroutines"] == nil || families["process_open_fds"] == nil {
		t.Errorf("%d families of ours; all: %d", ours, len(families))
	}
	if !strings.Contains(scrape.body, " 77\n") {
		t.Error("the applied revision is not in the scrape")
	}
}

func TestPluginsAreListedWithTheirSchemas(t *testing.T) {
	g := newGateway(t)
	var list PluginList
	g.do("GET", "/v1/plugins", "").want(200).into(&list)
	if len(list.Items) != len(builtin.Kinds()) {
		t.Fatalf("%d plugins", len(list.Items))
	}
	for i, k := range builtin.Kinds() {
		got := list.Items[i]
		var schema map[string]any
		if err := json.Unmarshal(got.Schema, &schema); err != nil || schema["type"] != "object" {
			t.Errorf("%s: schema %s: %v", got.Name, got.Schema, err)
		}
		if got.Name != k.Name || got.Summary != k.Summary || got.Priority != k.Priority || got.Summary == "" {
			t.Errorf("%+v", got)
		}
	}
}

// What an authority has issued is no resource of the API, and its name in the list of errors is all that an operator has to go by.
func TestAnErrorOfWhatAnAuthorityHasIssuedIsNamed(t *testing.T) {
	e := resourceError(control.ResourceError{Key: "acme/issued/api.example.com", Revision: 3})
	if e.Kind != "acme" || e.ID != "issued/api.example.com" {
		t.Errorf("it is %q %q", e.Kind, e.ID)
	}
}
