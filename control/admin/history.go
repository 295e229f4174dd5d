package admin

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/control"
)

// HistoryPage is a part of the history, the last change first.
type HistoryPage struct {
	Items      []HistoryItem `json:"items" nullable:"false"`
	NextCursor string        `json:"next_cursor,omitempty" doc:"the cursor of the next page; absent on the last one"`
}

// HistoryItem is one change: who, when, through what, and of which resources.
type HistoryItem struct {
	Revision int64            `json:"revision" doc:"of the store, at which it was made"`
	Time     time.Time        `json:"time"`
	By       string           `json:"by" doc:"account; admin-token for whoever has the token"`
	Role     string           `json:"role,omitempty"`
	From     string           `json:"from,omitempty" doc:"address of the caller"`
	Call     string           `json:"call" doc:"method and path"`
	Note     string           `json:"note,omitempty"`
	Changes  []ResourceChange `json:"changes" nullable:"false" doc:"in a list without what is different"`
}

type historyInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"most items on a page"`
	Cursor string `query:"cursor" maxLength:"64" doc:"next_cursor of the page before"`
	Q      string `query:"q" maxLength:"256" doc:"only changes with this text in who, call, note or a resource's name; case does not matter"`
}

type historyOutput struct{ Body *HistoryPage }

// RevisionPath is the path of one change.
type RevisionPath struct {
	Revision int64 `path:"revision" minimum:"1"`
}

type recordInput struct{ RevisionPath }

type recordOutput struct{ Body *HistoryItem }

type rollbackInput struct {
	RevisionPath
	WriteQuery
	Resource string `query:"resource" doc:"one resource, such as routes/demo1; without it everything that was changed since"`
}

type outcomeOutput struct{ Body *Outcome }

func registerHistory(api huma.API, s *resources) {
	list := huma.Operation{
		OperationID: "list-history", Method: http.MethodGet, Path: "/v1/history", Tags: []string{"history"}, Summary: "List changes, the last one first",
		Description: "Changes that were made through this API. Those made directly in etcd, and the ends of leases, are not among them.",
	}
	huma.Register(api, list, func(ctx context.Context, in *historyInput) (*historyOutput, error) {
		page, err := s.history(ctx, in)
		if err != nil {
			return nil, err
		}
		return &historyOutput{page}, nil
	})
	one := huma.Operation{
		OperationID: "get-change", Method: http.MethodGet, Path: "/v1/history/{revision}", Tags: []string{"history"}, Summary: "Get a change and what it made different",
	}
	huma.Register(api, one, func(ctx context.Context, in *recordInput) (*recordOutput, error) {
		r, err := s.journal.Record(ctx, in.Revision)
		if errors.Is(err, control.ErrNotFound) {
			return nil, huma.NewError(http.StatusNotFound, "the history has no change of this revision")
		}
		if err != nil {
			return nil, storeFailed(err)
		}
		item := historyItem(r, true)
		return &recordOutput{&item}, nil
	})
	back := huma.Operation{
		OperationID: "rollback", Method: http.MethodPost, Path: "/v1/history/{revision}/rollback", Tags: []string{"history"}, Summary: "Go back to how it stood at a revision",
		Description: "Undoes what was changed through this API after the revision, one resource or everything, as one transaction, which is a change of the history itself. " +
			"Accounts and nodes under a lease stay as they are. " + inForce,
	}
	huma.Register(api, back, func(ctx context.Context, in *rollbackInput) (*outcomeOutput, error) {
		o, err := s.rollback(ctx, in)
		if err != nil {
			return nil, err
		}
		return &outcomeOutput{o}, nil
	})
}

// history answers with a page. All records are read where some of them may not be wanted: there are no more than some thousand.
func (s *resources) history(ctx context.Context, wanted *historyInput) (*HistoryPage, error) {
	before, err := decodeRevision(wanted.Cursor)
	if err != nil {
		return nil, err
	}
	limit, q := wanted.Limit+1, strings.ToLower(wanted.Q)
	if q != "" {
		limit = 0
	}
	records, _, err := s.journal.Records(ctx, before, limit)
	if err != nil {
		return nil, storeFailed(err)
	}
	page := &HistoryPage{Items: []HistoryItem{}}
	for _, r := range records {
		item := historyItem(r, false)
		if !item.matches(q) {
			continue
		}
		if len(page.Items) == wanted.Limit {
			page.NextCursor = encodeRevision(page.Items[wanted.Limit-1].Revision)
			break
		}
		page.Items = append(page.Items, item)
	}
	return page, nil
}

// historyItem describes a record; differences too, if they are wanted.
func historyItem(r control.Record, whole bool) HistoryItem {
	it := HistoryItem{
		Revision: r.Revision, Time: r.Time, By: r.By.Name, Role: r.By.Role, From: r.By.From, Call: r.By.Call, Note: r.By.Note, Changes: []ResourceChange{},
	}
	if r.Unreadable {
		it.Note = "the record cannot be read"
	}
	for _, c := range r.Changes {
		one := ResourceChange{Resource: resourceName(c.Key), Action: action(c.Before, c.After), Changes: []Change{}}
		switch {
		case c.Dropped:
			one.Dropped, one.Action = true, "update"
			if c.Created {
				one.Action = "create"
			} else if c.Deleted {
				one.Action = "delete"
			}
		case whole:
			one = resourceChange(c.Key, c.Before, c.After)
		}
		it.Changes = append(it.Changes, one)
	}
	return it
}

// matches reports whether q, in small letters, is in one of the words of a change.
func (it *HistoryItem) matches(q string) bool {
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), q) }
	return q == "" || has(it.By) || has(it.Call) || has(it.Note) ||
		slices.ContainsFunc(it.Changes, func(c ResourceChange) bool { return has(c.Resource) })
}

// rollback goes back.
func (s *resources) rollback(ctx context.Context, in *rollbackInput) (*Outcome, error) {
	key := ""
	if in.Resource != "" {
		named, ok := resourceKey(in.Resource)
		if !ok {
			return nil, huma.NewError(http.StatusUnprocessableEntity, "the query is not valid",
				&huma.ErrorDetail{Location: "query.resource", Message: "is not a resource, such as routes/demo1", Value: in.Resource})
		}
		key = named
	}
	return s.change(ctx, in.DryRun, func() (*draft, error) {
		undo, err := s.journal.Undo(ctx, in.Revision, key)
		switch {
		case errors.Is(err, control.ErrForgotten), errors.Is(err, control.ErrFuture):
			return nil, huma.NewError(http.StatusConflict, "there is no way back to this revision: nothing was changed", details("", err)...)
		case errors.Is(err, control.ErrNotFound):
			return nil, huma.NewError(http.StatusNotFound, fmt.Sprintf("there is no %s, and there was none at revision %d or since: nothing was changed", in.Resource, in.Revision))
		case err != nil:
			return nil, storeFailed(err)
		}
		d := &draft{edits: undo.Edits, note: fmt.Sprintf("back to revision %d", in.Revision)}
		for _, key := range slices.Sorted(maps.Keys(undo.LeftOut)) {
			d.leftOut = append(d.leftOut, LeftOut{Resource: resourceName(key), Reason: undo.LeftOut[key]})
		}
		return d, checkAll(d.edits)
	})
}

// A cursor of the history is the last revision of the page before.

func encodeRevision(revision int64) string {
	return base64.RawURLEncoding.EncodeToString(strconv.AppendInt(nil, revision, 36))
}

func decodeRevision(cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	revision := int64(0)
	if err == nil {
		revision, err = strconv.ParseInt(string(text), 36, 64)
	}
	if err != nil || revision < 1 {
		return 0, badCursor(cursor)
	}
	return revision, nil
}
