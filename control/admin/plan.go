package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
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
}

// Change is one difference between what stands and what would stand.
type Change struct {
	Path   string          `json:"path" doc:"JSON path in the resource; empty for the whole of it"`
	Before json.RawMessage `json:"before,omitempty" doc:"absent where there is nothing now"`
	After  json.RawMessage `json:"after,omitempty" doc:"absent where nothing would be left"`
}

// planned is the reply to a dry run of the write of next over current, either of them nil for nothing.
func planned(current *control.Entry, next []byte) (*reply, error) {
	plan := Plan{Action: "update", Changes: []Change{}, Resource: next}
	before, after := &strict.Node{Kind: strict.Object}, &strict.Node{Kind: strict.Object}
	switch {
	case current == nil:
		plan.Action = "create"
	case next == nil:
		plan.Action = "delete"
	case bytes.Equal(current.Value, next):
		plan.Action = "none"
	}
	if current != nil {
		before = parsed(current.Value)
	}
	if next != nil {
		after = parsed(next)
	}
	compare(&plan.Changes, "", before, after)
	body, err := sonic.ConfigStd.Marshal(plan)
	if err != nil {
		return nil, fmt.Errorf("admin: dry run: %w", err)
	}
	return &reply{Status: http.StatusOK, ContentType: jsonType, Body: body}, nil
}

// parsed returns a stored value as a tree; one that is not JSON counts as a string of what it is.
func parsed(value []byte) *strict.Node {
	n, err := strict.ParseJSON(value)
	if err != nil {
		return &strict.Node{Kind: strict.String, Text: strings.ToValidUTF8(string(value), "\uFFFD")}
	}
	return n
}

// compare notes the differences of two values: member by member in objects, whole otherwise.
func compare(changes *[]Change, path string, before, after *strict.Node) {
	if before == nil || after == nil || before.Kind != strict.Object || after.Kind != strict.Object {
		was, is := text(before), text(after)
		if !bytes.Equal(was, is) {
			*changes = append(*changes, Change{Path: path, Before: was, After: is})
		}
		return
	}
	was, is := members(before), members(after)
	for _, m := range before.Members {
		compare(changes, problem.Key(path, m.Key), m.Value, is[m.Key])
	}
	for _, m := range after.Members {
		if was[m.Key] == nil {
			compare(changes, problem.Key(path, m.Key), nil, m.Value)
		}
	}
}

func text(n *strict.Node) json.RawMessage {
	if n == nil {
		return nil
	}
	return n.AppendJSON(nil)
}

func members(n *strict.Node) map[string]*strict.Node {
	byKey := make(map[string]*strict.Node, len(n.Members))
	for _, m := range n.Members {
		byKey[m.Key] = m.Value
	}
	return byKey
}
