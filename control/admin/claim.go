package admin

import (
	"context"
	"maps"
	"slices"

	"sluice/control"
)

// sharedCredentials warns of each consumer that has a credential of one before it in the order of ids: of all or, where edits put some, of what those have to do with. What the two
// have in common is a secret.
func sharedCredentials(entries []control.Entry, edits []control.Edit) (list []Warning) {
	all, put := make(map[string]*control.Consumer), make(map[string]bool)
	take := func(key string, value []byte) {
		_, id, _ := control.SplitKey(key)
		delete(all, id)
		if c, err := control.DecodeConsumer(id, value); err == nil {
			all[id] = c
		}
	}
	for _, e := range entries {
		take(e.Key, e.Value)
	}
	for _, e := range edits {
		if kind, id, _ := control.SplitKey(e.Key); kind == control.Consumers {
			put[id] = true
			take(e.Key, e.After)
		}
	}
	first := make(map[control.Claim]string)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		for _, claim := range all[id].Claims() {
			other, taken := first[claim]
			if !taken {
				first[claim] = id
				continue
			}
			if len(edits) > 0 && len(list) == mostWarnings {
				return list
			}
			if len(edits) == 0 || put[id] || put[other] {
				text := claim.Path + " is also that of consumers/" + other + ": a request that shows it may be taken for either"
				list = append(list, Warning{Resource: string(control.Consumers) + "/" + id, Code: control.WarnDuplicate, Message: text})
			}
		}
	}
	return list
}

// claimsPut returns what the consumers claim that edits put.
func claimsPut(edits []control.Edit) (list []control.Claim) {
	for _, e := range edits {
		kind, id, _ := control.SplitKey(e.Key)
		if kind != control.Consumers || e.After == nil {
			continue
		}
		if c, err := control.DecodeConsumer(id, e.After); err == nil {
			list = append(list, c.Claims()...)
		}
	}
	return list
}

// rivals reads the consumers that have a claim of one that edits put, as many as a write is told of: what is in force tells who they are, so that the thousands of others are left alone. They
// are read since a warning must be true, and any of them may have been changed a moment ago.
func (s *resources) rivals(ctx context.Context, edits []control.Edit) (list []control.Entry) {
	if s.claimants == nil {
		return nil
	}
	known := make(map[string]bool) // ids
	for _, e := range edits {
		if kind, id, _ := control.SplitKey(e.Key); kind == control.Consumers {
			known[id] = true
		}
	}
	for _, claim := range claimsPut(edits) {
		for _, id := range s.claimants(claim, mostWarnings) {
			if len(list) == mostWarnings {
				return list
			}
			if known[id] {
				continue
			}
			known[id] = true
			if e, err := s.store.Get(ctx, control.Consumers.Key(id)); err == nil {
				list = append(list, e)
			}
		}
	}
	return list
}
