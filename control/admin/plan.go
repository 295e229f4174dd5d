package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/bytedance/sonic"

	"sluice/control"
	"sluice/internal/problem"
	"sluice/internal/strict"
)

// Plan is the answer to a dry run: what the same request without ?dry_run=1 would do.
type Plan struct {
	Action   string          `json:"action" enum:"create,update,delete,none"`
	Changes  []Change        `json:"changes" nullable:"false" doc:"what would be different, by JSON path"`
	Resource json.RawMessage `json:"resource,omitempty" doc:"as it would be stored"`
	Warnings []Warning       `json:"warnings,omitempty" doc:"what is valid and probably not meant"`
	Affected []Affected      `json:"affected,omitempty" doc:"other routes that get less"`
	More     bool            `json:"more_affected,omitempty" doc:"there may be more of them"`
}

// Change is one difference between what stands and what would stand.
type Change struct {
	Path   string          `json:"path" doc:"JSON path in the resource; empty for the whole of it"`
	Before json.RawMessage `json:"before,omitempty" doc:"absent where there is nothing now"`
	After  json.RawMessage `json:"after,omitempty" doc:"absent where nothing would be left"`
}

// planned is the reply to a dry run of the write of next over current at a key, either of them nil for nothing.
func (s *resources) planned(ctx context.Context, key string, current *control.Entry, next []byte) (*reply, error) {
	var was []byte
	if current != nil {
		was = current.Value
	}
	plan := Plan{Action: action(was, next), Changes: shownDifference(key, was, next)}
	if next != nil {
		plan.Resource = redacted(key, next)
	}
	l := s.lint(ctx, []control.Edit{{Key: key, Before: current, After: next}}, true)
	plan.Warnings, plan.Affected, plan.More = l.warnings, l.affected, l.more
	body, err := sonic.ConfigStd.Marshal(plan)
	if err != nil {
		return nil, fmt.Errorf("admin: dry run: %w", err)
	}
	return &reply{Status: http.StatusOK, ContentType: jsonType, Body: body}, nil
}

// action says in a word what putting next in the place of was does; nil is nothing.
func action(was, next []byte) string {
	switch {
	case was == nil && next != nil:
		return "create"
	case was != nil && next == nil:
		return "delete"
	case bytes.Equal(was, next):
		return "none"
	}
	return "update"
}

// shownDifference is difference at a key for everybody who may look. Of values in which a secret may be anywhere it says only that they differ.
func shownDifference(key string, was, next []byte) []Change {
	if was != nil && obscure(key, was) || next != nil && obscure(key, next) {
		if bytes.Equal(was, next) {
			return []Change{}
		}
		return []Change{{Before: hidden(was), After: hidden(next)}}
	}
	kind, _, _ := control.SplitKey(key)
	return difference(kind, was, next)
}

// difference lists what is different between two stored values, nil for nothing. That a secret has changed can be seen, but not what it is.
func difference(kind control.Kind, was, next []byte) []Change {
	before, after := &strict.Node{Kind: strict.Object}, &strict.Node{Kind: strict.Object}
	if was != nil {
		before = parsed(was)
	}
	if next != nil {
		after = parsed(next)
	}
	c := comparison{kind: kind, changes: []Change{}}
	c.compare("", nil, before, after)
	return c.changes
}

// parsed returns a stored value as a tree; one that is not JSON counts as a string of what it is.
func parsed(value []byte) *strict.Node {
	n, err := strict.ParseJSON(value)
	if err != nil {
		return &strict.Node{Kind: strict.String, Text: strings.ToValidUTF8(string(value), "\uFFFD")}
	}
	return n
}

// comparison collects the differences of two documents.
type comparison struct {
	kind    control.Kind
	changes []Change
}

// compare notes the differences of two values at a place: member by member in objects, whole otherwise.
func (c *comparison) compare(path string, at []string, before, after *strict.Node) {
	if before == nil || after == nil || before.Kind != strict.Object || after.Kind != strict.Object {
		was, is := text(before), text(after)
		if bytes.Equal(was, is) {
			return
		}
		if control.IsSecret(c.kind, at) {
			was, is = hidden(was), hidden(is)
		}
		c.changes = append(c.changes, Change{Path: path, Before: was, After: is})
		return
	}
	was, is := members(before), members(after)
	for _, m := range before.Members {
		c.compare(problem.Key(path, m.Key), append(slices.Clip(at), m.Key), m.Value, is[m.Key])
	}
	for _, m := range after.Members {
		if was[m.Key] == nil {
			c.compare(problem.Key(path, m.Key), append(slices.Clip(at), m.Key), nil, m.Value)
		}
	}
}

func text(n *strict.Node) json.RawMessage {
	if n == nil {
		return nil
	}
	return n.AppendJSON(nil)
}

// hidden stands for a secret that is there.
func hidden(secret json.RawMessage) json.RawMessage {
	if secret == nil {
		return nil
	}
	return json.RawMessage(`"` + control.Redacted + `"`)
}

func members(n *strict.Node) map[string]*strict.Node {
	byKey := make(map[string]*strict.Node, len(n.Members))
	for _, m := range n.Members {
		byKey[m.Key] = m.Value
	}
	return byKey
}
