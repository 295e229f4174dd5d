package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice/control"
	"sluice/internal/problem"
	"sluice/internal/strict"
)

// Apply is what POST /v1/apply makes the store equal to.
type Apply struct {
	Resources []ApplyResource `json:"resources" nullable:"false"`
	Prune     []control.Kind  `json:"prune,omitempty" doc:"kinds of which nothing else shall be left; nodes under a lease stay"`
	Note      string          `json:"note,omitempty" doc:"for the history, such as the commit that is applied"`
}

// ApplyResource is one resource of it.
type ApplyResource struct {
	Kind  control.Kind    `json:"kind"`
	ID    string          `json:"id"`
	Value json.RawMessage `json:"value"`
}

const (
	maxApply = 16 << 20 // bytes of a body: what one transaction takes, and its white space
	maxNote  = 1 << 10  // bytes: a sentence or two in a record of the history
	singly   = 100      // resources of one kind that are read one by one; beyond that the kind is read whole
)

type applyInput struct {
	WriteQuery
	RawBody []byte `contentType:"application/json"`
}

func registerApply(api huma.API, s *resources) {
	op := huma.Operation{
		OperationID: "apply", Method: http.MethodPost, Path: "/v1/apply", Tags: []string{"apply"}, Summary: "Make many resources what they shall be",
		Description:  "All of them or none: one transaction. What is as it shall be already is not written. " + inForce,
		MaxBodyBytes: maxApply, SkipValidateBody: true,
		RequestBody: &huma.RequestBody{Required: true},
	}
	huma.Register(api, op, func(ctx context.Context, in *applyInput) (*outcomeOutput, error) {
		o, err := s.apply(ctx, in)
		if err != nil {
			return nil, err
		}
		return &outcomeOutput{o}, nil
	})
	op.RequestBody.Content = content(schemaOf[Apply](api))
}

// apply makes the resources of a body what they shall be.
func (s *resources) apply(ctx context.Context, in *applyInput) (*Outcome, error) {
	body, err := strict.ParseJSON(in.RawBody)
	if err != nil {
		return nil, unparsable(err)
	}
	a, err := readApply(body)
	if err != nil {
		return nil, refused("body", err)
	}
	return s.change(ctx, in.DryRun, func() (*draft, error) { return s.drawApply(ctx, a) })
}

// wantedState is a body of apply, read: documents by kind and id.
type wantedState struct {
	kinds map[control.Kind]map[string]wantedResource
	prune []control.Kind
	note  string
}

type wantedResource struct {
	doc *strict.Node
	at  string // JSON path in the body
}

func readApply(body *strict.Node) (*wantedState, error) {
	var given Apply
	if body.Kind != strict.Object {
		return nil, problem.Problems{{Text: "wants an object, not " + body.Kind.String()}}
	}
	problems := strict.Decode(body, &given)
	if len(problems) > 0 {
		return nil, problems
	}
	if len(given.Note) > maxNote {
		problems.Add("note", "is longer than %d bytes", maxNote)
	}
	a := &wantedState{kinds: make(map[control.Kind]map[string]wantedResource), note: given.Note}
	for i, kind := range given.Prune {
		if kindOf(kind) == nil {
			problems.Add(problem.Index("prune", i), "%q is no kind of resource", kind)
		} else if !slices.Contains(a.prune, kind) {
			a.prune = append(a.prune, kind)
		}
	}
	for i, one := range given.Resources {
		at := problem.Index("resources", i)
		if kindOf(one.Kind) == nil {
			problems.Add(at+".kind", "%q is no kind of resource", one.Kind)
			continue
		}
		doc, err := strict.ParseJSON(one.Value)
		if err != nil {
			problems.Under(at+".value", err)
			continue
		}
		byID := a.kinds[one.Kind]
		if byID == nil {
			byID = make(map[string]wantedResource)
			a.kinds[one.Kind] = byID
		}
		if first, twice := byID[one.ID]; twice {
			problems.Add(at+".id", "%s/%s is also %s", one.Kind, one.ID, first.at)
			continue
		}
		byID[one.ID] = wantedResource{doc, at}
	}
	return a, problems.Err()
}

// kindOf returns the description of a kind, nil for one without calls.
func kindOf(kind control.Kind) *resource {
	for _, r := range kinds {
		if r.kind == kind {
			return r
		}
	}
	return nil
}

// drawApply works out what has to change.
func (s *resources) drawApply(ctx context.Context, a *wantedState) (*draft, error) {
	d := &draft{note: a.note}
	var problems problem.Problems
	for _, r := range kinds {
		wanted, prune := a.kinds[r.kind], slices.Contains(a.prune, r.kind)
		if len(wanted) == 0 && !prune {
			continue
		}
		current, revision, err := s.currentOf(ctx, r.kind, wanted, prune)
		if err != nil {
			return nil, err
		}
		for _, id := range slices.Sorted(maps.Keys(wanted)) { // so that the same body has the same outcome every time
			one := wanted[id]
			edit, wrong := drawOne(r, id, one, current[id])
			problems.Under(one.at, wrong.Err())
			if edit != nil {
				d.edits = append(d.edits, *edit)
			}
		}
		if prune {
			d.prune(wanted, current)
			d.guards = append(d.guards, control.Guard{Prefix: r.kind.Folder(), Revision: revision})
		}
	}
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b problem.Problem) int { return strings.Compare(a.Path, b.Path) })
		return nil, refused("body", problems)
	}
	return d, nil
}

// currentOf reads the wanted resources of a kind, or all of it, by id; and, where it reads all, the revision of that.
func (s *resources) currentOf(ctx context.Context, kind control.Kind, wanted map[string]wantedResource, all bool) (map[string]*control.Entry, int64, error) {
	current := make(map[string]*control.Entry)
	if !all && len(wanted) <= singly {
		for id := range wanted {
			e, err := s.current(ctx, kind.Key(id))
			if err != nil {
				return nil, 0, err
			}
			if e != nil {
				current[id] = e
			}
		}
		return current, 0, nil
	}
	entries, revision, err := s.store.List(ctx, kind.Folder(), "", 0)
	if err != nil {
		return nil, 0, storeFailed(err)
	}
	for i := range entries {
		if _, id, ok := control.SplitKey(entries[i].Key); ok {
			current[id] = &entries[i]
		}
	}
	return current, revision, nil
}

// drawOne returns what makes one resource what it shall be, nil where it is that already.
func drawOne(r *resource, id string, wanted wantedResource, current *control.Entry) (*control.Edit, problem.Problems) {
	if current == nil {
		if err := r.kind.CheckID(id); err != nil {
			var problems problem.Problems
			problems.Under("id", err)
			return nil, problems
		}
	}
	e := edit{resource: r, id: id}
	value, wrong := e.completed(wanted.doc, wanted.doc, current, nil)
	if len(wrong) > 0 {
		var problems problem.Problems
		problems.Under("value", wrong)
		return nil, problems
	}
	if current != nil && (bytes.Equal(current.Value, value) || len(difference(r.kind, current.Value, value)) == 0) {
		return nil, nil // another order of the members is no difference
	}
	return &control.Edit{Key: r.kind.Key(id), Before: current, After: value}, nil
}

// prune deletes what is not wanted.
func (d *draft) prune(wanted map[string]wantedResource, current map[string]*control.Entry) {
	for _, id := range slices.Sorted(maps.Keys(current)) {
		e := current[id]
		if _, keep := wanted[id]; !keep && !e.Leased {
			d.edits = append(d.edits, control.Edit{Key: e.Key, Before: e})
		}
	}
}
