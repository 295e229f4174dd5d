package admin

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/control"
	"sluice/core/observe"
	"sluice/internal/unit"
)

// SourceStatus is how the connection to the store stands, and why.
type SourceStatus struct {
	observe.StoreState
	Error       string    // why the watch is not up
	Server      string    // versions of the store's servers
	DiskCurrent time.Time // when the last good state on disk was last known to be what the store has; zero = there is none
	DiskError   string    // why it could not be read or written
}

// Status is what GET /v1/status says.
type Status struct {
	Version string    `json:"version"`
	Go      string    `json:"go" doc:"version of Go it was built with"`
	Started time.Time `json:"started"`
	Workers int       `json:"workers" doc:"event loops that carry traffic"`
	Ready   bool      `json:"ready" doc:"a snapshot is in force"`

	StoreRevision   int64        `json:"store_revision" doc:"of the store, up to which its changes have been looked at"`
	AppliedRevision int64        `json:"applied_revision" doc:"of the store, that the snapshot in force on every worker shows; lower while later changes changed nothing"`
	Snapshots       uint64       `json:"snapshots" doc:"published since the start"`
	LastApplied     *time.Time   `json:"last_applied,omitempty" doc:"when the last changes had been worked in"`
	Store           *StoreStatus `json:"store,omitempty"`

	Routes       int             `json:"routes" doc:"in force"`
	Services     int             `json:"services" doc:"in force: with a configuration, or named by a route"`
	Consumers    int             `json:"consumers" doc:"valid"`
	Certificates int             `json:"certificates" doc:"in force"`
	Settings     int             `json:"settings" doc:"in force"`
	Nodes        int             `json:"nodes" doc:"registered, whatever their status"`
	Health       []NodeHealth    `json:"health" nullable:"false" doc:"of the nodes of all services that are in force, by service and node"`
	Held         []HeldNode      `json:"held" nullable:"false" doc:"nodes that are kept in force although their leases have ended, by key: most of their service's ended at once, and they are well"`
	Errors       []ResourceError `json:"errors" nullable:"false" doc:"resources whose stored value is not in force, by key"`
}

// HeldNode is a node that is in force although its key is gone.
type HeldNode struct {
	Key      string    `json:"key" doc:"below the prefix"`
	Service  string    `json:"service"`
	Upstream string    `json:"upstream"`
	Since    time.Time `json:"since" doc:"when its lease ended"`
	Until    time.Time `json:"until" doc:"it is let go by then"`
}

// NodeHealth is how one node is.
type NodeHealth struct {
	Service     string `json:"service"`
	Upstream    string `json:"upstream"`
	Address     string `json:"address,omitempty" doc:"where that is, of a name with its address"`
	Health      string `json:"health" enum:"healthy,unhealthy,ejected,unresolved,unchecked" doc:"unhealthy by its probes; ejected for what it answered; unchecked where nobody looks"`
	Why         string `json:"why,omitempty" doc:"of the latest change, and of the latest probe where that was bad"`
	Weight      int    `json:"weight"`
	Priority    int    `json:"priority,omitempty"`
	Zone        string `json:"zone,omitempty"`
	Connections int    `json:"connections" doc:"open, of all workers"`
}

// StoreStatus is the connection to the store.
type StoreStatus struct {
	Connected   bool              `json:"connected"`
	Error       string            `json:"error,omitempty" doc:"why not"`
	Server      string            `json:"server,omitempty" doc:"versions of etcd that serve"`
	LastContact *time.Time        `json:"last_contact,omitempty" doc:"absent = never; while served_from_disk, that of the process which wrote the file"`
	Staleness   *unit.Duration    `json:"staleness,omitempty" doc:"since the last contact; up to some 10s is usual while connected"`
	Resyncs     map[string]uint64 `json:"resyncs,omitempty" doc:"full reads, by reason"`
	Audits      uint64            `json:"audits" doc:"comparisons of what the watch has told with what is stored that found no difference"`
	FromDisk    bool              `json:"served_from_disk" doc:"the store has not been read since the start: what is in force is the last good state on disk"`
	Disk        *DiskStatus       `json:"disk,omitempty"`
}

// DiskStatus is the last good state on disk, from which a gateway starts while the store is away.
type DiskStatus struct {
	Revision int64      `json:"revision" doc:"of the store, that it shows"`
	Current  *time.Time `json:"current,omitempty" doc:"when it was last known to be what the store has; absent = there is none"`
	Error    string     `json:"error,omitempty" doc:"why it could not be read or written"`
}

// ResourceError is one resource whose stored value is not in force.
type ResourceError struct {
	Key      string            `json:"key" doc:"below the prefix"`
	Kind     control.Kind      `json:"kind,omitempty"`
	ID       string            `json:"id,omitempty"`
	Revision int64             `json:"revision" doc:"at which the value was written"`
	Previous bool              `json:"previous_in_force" doc:"an earlier version stays in force"`
	Problems []ResourceProblem `json:"problems" nullable:"false"`
}

// ResourceProblem is one thing that is wrong with a resource.
type ResourceProblem struct {
	Path    string `json:"path" doc:"JSON path in the resource; empty for the whole of it"`
	Message string `json:"message"`
}

type statusOutput struct{ Body *Status }

func registerStatus(api huma.API, d Deps) {
	started := time.Now()
	op := huma.Operation{
		OperationID: "status", Method: http.MethodGet, Path: "/v1/status", Tags: []string{"gateway"},
		Summary: "Ask what is in force", Description: "Also which resources are not, and why.",
	}
	huma.Register(api, op, func(context.Context, *struct{}) (*statusOutput, error) {
		return &statusOutput{Body: status(d, started)}, nil
	})
}

func status(d Deps, started time.Time) *Status {
	now := d.Status()
	s := &Status{
		Version: d.Version, Go: runtime.Version(), Started: started.UTC(), Workers: d.Workers, Ready: now.Ready(),
		StoreRevision: now.Revision, AppliedRevision: now.Published, Snapshots: now.Snapshots, LastApplied: moment(now.Applied),
		Routes: now.Routes, Services: now.Services, Nodes: now.Nodes,
		Consumers: now.Consumers, Certificates: now.Certificates, Settings: now.Settings, Errors: []ResourceError{}, Health: []NodeHealth{}, Held: []HeldNode{},
	}
	for _, e := range now.Errors {
		s.Errors = append(s.Errors, resourceError(e))
	}
	if d.Nodes != nil {
		for _, n := range d.Nodes() {
			s.Health = append(s.Health, NodeHealth{n.Service, n.Upstream, n.Address, n.Health, n.Why, n.Weight, n.Priority, n.Zone, n.Connections})
		}
	}
	if d.Held != nil {
		for _, n := range d.Held() {
			s.Held = append(s.Held, HeldNode{n.Key, n.Service, n.Upstream, n.Since.UTC(), n.Until.UTC()})
		}
	}
	if d.Source != nil {
		source := d.Source()
		s.Store = storeStatus(source)
		s.StoreRevision = max(s.StoreRevision, source.Revision) // progress notices reach the source alone
	}
	return s
}

func storeStatus(source SourceStatus) *StoreStatus {
	s := &StoreStatus{
		Connected: source.Connected, Error: source.Error, Server: source.Server, LastContact: moment(source.LastContact), Resyncs: source.Resyncs, Audits: source.Audits,
		FromDisk: source.FromDisk,
	}
	if !source.DiskCurrent.IsZero() || source.DiskError != "" {
		s.Disk = &DiskStatus{Revision: source.DiskRevision, Current: moment(source.DiskCurrent), Error: source.DiskError}
	}
	if s.LastContact != nil {
		silent := unit.Duration(max(0, time.Since(source.LastContact)).Round(time.Millisecond))
		s.Staleness = &silent
	}
	return s
}

func resourceError(e control.ResourceError) ResourceError {
	kind, id, ok := control.SplitKey(e.Key)
	if !ok { // no resource of this API, but served: what an authority has issued or asks for
		folder, rest, _ := strings.Cut(e.Key, "/")
		kind, id = control.Kind(folder), rest
	}
	r := ResourceError{Key: e.Key, Kind: kind, ID: id, Revision: e.Revision, Previous: e.Previous, Problems: []ResourceProblem{}}
	for _, p := range e.Problems {
		r.Problems = append(r.Problems, ResourceProblem{p.Path, p.Text})
	}
	return r
}

// moment returns t for JSON, nil where there is none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
