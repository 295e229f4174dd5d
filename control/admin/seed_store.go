package admin

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"sluice/control"
)

// seedMove is a write of one resource that may leave another id behind.
type seedMove struct {
	kind control.Kind
	old  []string // ids that the caller may mean by the key of the resource as it was; those that do not exist do not count

	// next returns the id and the value that shall stand, given what stands under the first of the old ids that exists; nil where none does. No value removes
	// what stands. It may be called more than once.
	next func(was *control.Entry) (id string, value []byte, err error)
}

// errSeedExists is a move that would create what is there already.
var errSeedExists = errors.New("admin: the resource exists")

// move does it in one transaction, and works it out anew where somebody else was faster.
func (s *seedStore) move(ctx context.Context, m seedMove) error {
	for range attempts {
		edits, err := s.plan(ctx, m)
		if err != nil || len(edits) == 0 {
			return err
		}
		revision, err := s.journal.Commit(ctx, authorOf(ctx), edits)
		if errors.Is(err, control.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range edits {
			said := "resource written"
			if e.After == nil {
				said = "resource deleted"
			}
			s.log.Info(said, "key", e.Key, "revision", revision, "by", identityOf(ctx).Name)
		}
		return nil
	}
	return control.ErrConflict
}

// plan lists the changes of a move as the store stands now.
func (s *seedStore) plan(ctx context.Context, m seedMove) ([]control.Edit, error) {
	var gone []control.Entry
	for _, id := range m.old {
		e, err := s.entry(ctx, m.kind.Key(id))
		if err != nil {
			return nil, err
		}
		if e != nil {
			gone = append(gone, *e)
		}
	}
	var was *control.Entry
	if len(gone) > 0 {
		was = &gone[0]
	}
	id, value, err := m.next(was)
	if err != nil {
		return nil, err
	}
	var edits []control.Edit
	if value != nil {
		key := m.kind.Key(id)
		there, err := s.entry(ctx, key)
		if err != nil {
			return nil, err
		}
		gone = slices.DeleteFunc(gone, func(e control.Entry) bool { return e.Key == key })
		if there == nil || !bytes.Equal(there.Value, value) {
			edits = append(edits, control.Edit{Key: key, Before: there, After: value})
		}
	}
	for _, e := range gone {
		edits = append(edits, control.Edit{Key: e.Key, Before: &e})
	}
	return edits, nil
}

// entry reads what stands at a key; nil where nothing does.
func (s *seedStore) entry(ctx context.Context, key string) (*control.Entry, error) {
	e, err := s.store.Get(ctx, key)
	if errors.Is(err, control.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &e, nil
}

// seedIDs returns the ids that a caller may mean by a key: ids are keys, and early versions used what stands behind the folder, with its slash in front.
func seedIDs(key string, more ...string) []string {
	var ids []string
	for _, id := range append([]string{key, strings.TrimPrefix(key, "/")}, more...) {
		if id != "" && id[0] != '/' && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// millis is the time of a write, as ws-cloud-gateway stores it.
func (s *seedStore) millis() string { return strconv.FormatInt(s.now().UnixMilli(), 10) }
