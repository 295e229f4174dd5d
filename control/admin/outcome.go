package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice/control"
	"sluice/internal/problem"
)

// Outcome is what a change of several resources does, or would do.
type Outcome struct {
	Revision int64            `json:"revision,omitempty" doc:"of the store, at which all of it was made; absent where nothing was: in a dry run, and where nothing was different"`
	Changes  []ResourceChange `json:"changes" nullable:"false" doc:"by resource"`
	LeftOut  []LeftOut        `json:"left_out,omitempty" doc:"resources that stay as they are"`
	Warnings []Warning        `json:"warnings,omitempty" doc:"what is valid and probably not meant"`
	Affected []Affected       `json:"affected,omitempty" doc:"in a dry run: other routes that get less"`
	More     bool             `json:"more_affected,omitempty" doc:"there may be more of them"`
}

// ResourceChange is the difference in one resource.
type ResourceChange struct {
	Resource string   `json:"resource" doc:"kind and id, such as routes/demo1"`
	Action   string   `json:"action" enum:"create,update,delete,none"`
	Changes  []Change `json:"changes" nullable:"false" doc:"what is different, by JSON path"`
	Dropped  bool     `json:"dropped,omitempty" doc:"the values were not kept, so what is different is not known"`
}

// LeftOut is a resource that a call does not touch.
type LeftOut struct {
	Resource string `json:"resource"`
	Reason   string `json:"reason"`
}

// resourceName names a resource as the API's paths do: nodes are below discovery/ in the store alone.
func resourceName(key string) string {
	kind, id, ok := control.SplitKey(key)
	if !ok {
		return key
	}
	return string(kind) + "/" + id
}

// resourceKey is the reverse of resourceName.
func resourceKey(name string) (string, bool) {
	if id, ok := strings.CutPrefix(name, string(control.Nodes)+"/"); ok && id != "" {
		return control.Nodes.Key(id), true
	}
	_, _, ok := control.SplitKey(name)
	return name, ok
}

// outcome describes edits that have not been made.
func outcome(edits []control.Edit) *Outcome {
	o := &Outcome{Changes: []ResourceChange{}}
	for _, e := range edits {
		o.Changes = append(o.Changes, resourceChange(e.Key, before(e), e.After))
	}
	slices.SortFunc(o.Changes, func(a, b ResourceChange) int { return strings.Compare(a.Resource, b.Resource) })
	return o
}

func resourceChange(key string, was, next []byte) ResourceChange {
	return ResourceChange{Resource: resourceName(key), Action: action(was, next), Changes: shownDifference(key, was, next)}
}

// before returns the value that an edit replaces, nil for none.
func before(e control.Edit) []byte {
	switch {
	case e.Before == nil:
		return nil
	case e.Before.Value == nil:
		return []byte{}
	}
	return e.Before.Value
}

// draft is a change of several resources as it would be made now.
type draft struct {
	edits   []control.Edit
	guards  []control.Guard
	leftOut []LeftOut
	note    string // for the history
}

// change makes a change of several resources, all or nothing, or says what it would do. draw may be called more than once: again when others were faster.
func (s *resources) change(ctx context.Context, dryRun bool, draw func() (*draft, error)) (*Outcome, error) {
	for range attempts {
		d, err := draw()
		if err != nil {
			return nil, err
		}
		o := outcome(d.edits)
		o.LeftOut = d.leftOut
		l := s.lint(ctx, d.edits, dryRun)
		o.Warnings, o.Affected, o.More = l.warnings, l.affected, l.more
		if dryRun || len(d.edits) == 0 {
			return o, nil
		}
		by := authorOf(ctx)
		by.Note = d.note
		o.Revision, err = s.journal.Commit(ctx, by, d.edits, d.guards...)
		if errors.Is(err, control.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, writeFailed(err)
		}
		s.log.Info("resources written", "changes", len(d.edits), "revision", o.Revision, "by", by.Name, "note", by.Note)
		return o, nil
	}
	return nil, errContended
}

// checkAll refuses edits whose values are not valid today.
func checkAll(edits []control.Edit) error {
	var problems problem.Problems
	for _, e := range edits {
		if e.After != nil {
			problems.Under(resourceName(e.Key), control.Check(e.Key, e.After))
		}
	}
	if err := problems.Err(); err != nil {
		return huma.NewError(http.StatusUnprocessableEntity, "what would stand is not valid: nothing was changed", details("", err)...)
	}
	return nil
}
