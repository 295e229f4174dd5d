package admin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice/control"
	"sluice/internal/strict"
)

// Page is a part of a list.
type Page struct {
	Items      []Item `json:"items" nullable:"false" doc:"in the order of ids"`
	NextCursor string `json:"next_cursor,omitempty" doc:"the cursor of the next page; absent on the last one"`
	Revision   int64  `json:"revision" doc:"of the store, at which the page was read"`
}

// Item is one resource in a list.
type Item struct {
	ID       string          `json:"id"`
	Revision int64           `json:"revision" doc:"at which it was written: its ETag without the quotes"`
	Value    json.RawMessage `json:"value,omitempty" doc:"the resource, as it is stored"`
	Text     string          `json:"text,omitempty" doc:"in place of value, where what is stored is not JSON"`
}

// chunk is how many entries are read at once where most of them may not be wanted.
const chunk = 500

// search is what a list is asked for.
type search struct {
	limit  int
	cursor string // of the page before; "" = from the beginning
	q      string // only what has this text in it, whatever its case; "" = everything
}

// list answers with a page.
func (s *resources) list(ctx context.Context, r *resource, wanted search) (*Page, error) {
	after, err := decodeCursor(wanted.cursor)
	if err != nil {
		return nil, err
	}
	if after != "" {
		after = r.kind.Key(after)
	}
	batch := wanted.limit + 1 // one more tells whether there is a next page
	q := strings.ToLower(wanted.q)
	if q != "" {
		batch = chunk
	}
	page := &Page{Items: []Item{}}
	for {
		entries, revision, err := s.store.List(ctx, r.kind.Folder(), after, batch)
		if err != nil {
			return nil, storeFailed(err)
		}
		if page.Revision == 0 {
			page.Revision = revision
		}
		for _, e := range entries {
			after = e.Key
			_, id, ok := control.SplitKey(e.Key)
			if !ok {
				continue
			}
			if e.Value = redacted(e.Key, e.Value); !matches(q, id, e.Value) {
				continue
			}
			if len(page.Items) == wanted.limit {
				page.NextCursor = encodeCursor(page.Items[wanted.limit-1].ID)
				return page, nil
			}
			page.Items = append(page.Items, item(id, e))
		}
		if len(entries) < batch {
			return page, nil
		}
	}
}

func item(id string, e control.Entry) Item {
	it := Item{ID: id, Revision: e.ModRevision}
	if json.Valid(e.Value) {
		it.Value = e.Value
	} else {
		it.Text = strings.ToValidUTF8(string(e.Value), "\uFFFD")
	}
	return it
}

// matches reports whether q, in small letters, is in the id of a resource or in any text, number or plugin name of its value.
func matches(q, id string, value []byte) bool {
	return q == "" || strings.Contains(strings.ToLower(id), q) || contains(parsed(value), q, false)
}

// contains searches a value; keys tells whether the keys of an object are content, as they are for plugins.
func contains(n *strict.Node, q string, keys bool) bool {
	if n.Kind == strict.String || n.Kind == strict.Number {
		return strings.Contains(strings.ToLower(n.Text), q)
	}
	for _, item := range n.Items {
		if contains(item, q, false) {
			return true
		}
	}
	for _, m := range n.Members {
		if keys && strings.Contains(strings.ToLower(m.Key), q) || contains(m.Value, q, m.Key == "plugins") {
			return true
		}
	}
	return false
}

// A cursor is the last id of the page before, in a form that invites nobody to make one up.

func encodeCursor(id string) string { return base64.RawURLEncoding.EncodeToString([]byte(id)) }

func decodeCursor(cursor string) (string, error) {
	id, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", badCursor(cursor)
	}
	return string(id), nil
}

func badCursor(cursor string) error {
	return huma.NewError(http.StatusUnprocessableEntity, "the query is not valid",
		&huma.ErrorDetail{Location: "query.cursor", Message: "is not the next_cursor of a page", Value: cursor})
}
