package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"sluice/control"
)

// memory is a control.Store in memory, with etcd's way of counting: one revision for the whole store.
type memory struct {
	mu       sync.Mutex
	entries  map[string]control.Entry
	revision int64
	writes   int    // that were done
	fail     error  // what every call answers; nil = they work
	meddle   func() // called without the lock before each write: what others do in between
}

func newMemory() *memory { return &memory{entries: make(map[string]control.Entry), revision: 1} }

// set writes a value past all checks, as another tool would.
func (m *memory) set(key, value string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revision++
	m.entries[key] = control.Entry{Key: key, Value: []byte(value), ModRevision: m.revision}
	return m.revision
}

// lease puts a key under a lease.
func (m *memory) lease(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[key]
	e.Leased = true
	m.entries[key] = e
}

// value returns what stands at key, "" for nothing.
func (m *memory) value(key string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.entries[key].Value)
}

func (m *memory) Get(_ context.Context, key string) (control.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	switch {
	case m.fail != nil:
		return control.Entry{}, m.fail
	case !ok:
		return control.Entry{}, control.ErrNotFound
	}
	return e, nil
}

func (m *memory) List(_ context.Context, prefix, after string, limit int) ([]control.Entry, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return nil, 0, m.fail
	}
	var found []control.Entry
	for key, e := range m.entries {
		if strings.HasPrefix(key, prefix) && key > after {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b control.Entry) int { return strings.Compare(a.Key, b.Key) })
	if limit > 0 && len(found) > limit {
		found = found[:limit]
	}
	return found, m.revision, nil
}

func (m *memory) Put(_ context.Context, key string, value []byte, cond control.Precondition) (int64, error) {
	return m.write(key, cond, func() {
		m.entries[key] = control.Entry{Key: key, Value: slices.Clone(value), ModRevision: m.revision}
	})
}

func (m *memory) Delete(_ context.Context, key string, cond control.Precondition) (int64, error) {
	if m.value(key) == "" && m.fail == nil {
		return 0, control.ErrNotFound
	}
	return m.write(key, cond, func() { delete(m.entries, key) })
}

func (m *memory) Commit(_ context.Context, ops []control.Op, guards ...control.Guard) (int64, error) {
	if m.meddle != nil {
		m.meddle()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return 0, m.fail
	}
	for _, op := range ops {
		e, exists := m.entries[op.Key]
		if op.If == (control.Precondition{}) {
			return 0, errors.New("BUG: a write of a transaction without a precondition")
		}
		if op.If.Absent && exists || op.If.Revision != 0 && e.ModRevision != op.If.Revision {
			return 0, control.ErrConflict
		}
	}
	for _, g := range guards {
		for key, e := range m.entries {
			if strings.HasPrefix(key, g.Prefix) && e.ModRevision > g.Revision {
				return 0, control.ErrConflict
			}
		}
	}
	m.revision++
	m.writes++
	for _, op := range ops {
		if op.Value == nil {
			delete(m.entries, op.Key)
		} else {
			m.entries[op.Key] = control.Entry{Key: op.Key, Value: slices.Clone(op.Value), ModRevision: m.revision, Leased: m.entries[op.Key].Leased}
		}
	}
	return m.revision, nil
}

func (m *memory) Latest(ctx context.Context, prefix string, before int64, limit int) ([]control.Entry, int64, error) {
	found, revision, err := m.List(ctx, prefix, "", 0)
	found = slices.DeleteFunc(found, func(e control.Entry) bool { return before > 0 && e.ModRevision >= before })
	slices.SortStableFunc(found, func(a, b control.Entry) int { return int(b.ModRevision - a.ModRevision) })
	if limit > 0 && len(found) > limit {
		found = found[:limit]
	}
	return found, revision, err
}

func (m *memory) write(key string, cond control.Precondition, do func()) (int64, error) {
	if m.meddle != nil {
		m.meddle()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e, exists := m.entries[key]
	switch {
	case m.fail != nil:
		return 0, m.fail
	case cond.Absent && exists, cond.Revision != 0 && e.ModRevision != cond.Revision:
		return 0, control.ErrConflict
	}
	m.revision++
	m.writes++
	do()
	return m.revision, nil
}

var _ control.Store = (*memory)(nil)
