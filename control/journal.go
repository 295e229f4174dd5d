package control

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Journal writes changes to a store, each together with the record of who made it: both are one transaction, so that neither is there without the other. The
// records are ordinary entries below history/, and do not depend on the store's own history, which it forgets.
//
// Changes that others make directly in the store, and the ends of leases, are not recorded.
type Journal struct {
	store Store
	log   *slog.Logger

	mu      sync.Mutex // guards the rest
	trimmed bool       // once
	commits int        // since
	bytes   int        // of their records
}

// Edit is one change of a resource: from what its author has read to what shall stand.
type Edit struct {
	Key    string
	Before *Entry // as it was read; nil = there was nothing
	After  []byte // nil = there shall be nothing
}

// historyFolder is where the records are.
const historyFolder = "history/"

// How much is kept. A gateway reads all of it at its start, and whoever rolls back does.
const (
	maxRecords = 1000     // two weeks of 70 changes a day
	maxHistory = 16 << 20 // bytes: 40 records of the largest size, or 1,000 of one route of 8 KiB before and after

	// A gateway trims after so many commits of its own, or bytes. That much, and what the others have, may be there beyond the bounds: a look at all records costs as
	// much as some twenty writes, and at a thousand writes a second it must not be what they wait for.
	trimEvery = maxRecords / 4
	trimBytes = maxHistory / 16
)

// NewJournal returns the journal of a store. log may be nil.
func NewJournal(store Store, log *slog.Logger) *Journal {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Journal{store: store, log: log}
}

// Commit makes all edits and records them, as one transaction, and returns its revision. ErrConflict: a resource is no more what its author has read, or a guard
// does not hold.
func (j *Journal) Commit(ctx context.Context, by Author, edits []Edit, guards ...Guard) (int64, error) {
	record, err := newRecord(by, edits).encode()
	if err != nil {
		return 0, err
	}
	ops := make([]Op, 0, len(edits)+1)
	for _, e := range edits {
		only := Precondition{Absent: true}
		if e.Before != nil {
			only = Precondition{Revision: e.Before.ModRevision}
		}
		ops = append(ops, Op{Key: e.Key, Value: e.After, If: only})
	}
	ops = append(ops, Op{Key: recordKey(time.Now()), Value: record, If: Precondition{Absent: true}})
	revision, err := j.store.Commit(ctx, ops, guards...)
	if err != nil {
		return 0, err
	}
	if j.due(len(record)) {
		j.trim(ctx)
	}
	return revision, nil
}

// due notes a record of so many bytes, and reports whether it is time to trim.
func (j *Journal) due(size int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.commits++
	j.bytes += size
	if j.trimmed && j.commits < trimEvery && j.bytes < trimBytes {
		return false
	}
	j.trimmed, j.commits, j.bytes = true, 0, 0
	return true
}

// recordKey returns a key that nobody else makes. The order of the records is that of their revisions; the time is in it for people.
func recordKey(now time.Time) string {
	var chance [6]byte
	rand.Read(chance[:]) // never fails: it ends the program instead
	return historyFolder + strconv.FormatInt(now.UnixMilli(), 10) + "-" + hex.EncodeToString(chance[:])
}

// trim deletes the oldest records beyond the bounds. Whatever goes wrong, the next one finds it again.
func (j *Journal) trim(ctx context.Context) {
	entries, _, err := j.store.Latest(ctx, historyFolder, 0, 0)
	if err != nil {
		j.log.Debug("history not trimmed", "error", err)
		return
	}
	bytes, keep := 0, 0
	for ; keep < min(len(entries), maxRecords); keep++ {
		if bytes += len(entries[keep].Value); bytes > maxHistory {
			break
		}
	}
	const together = 100 // any etcd takes 128 operations
	for old := entries[keep:]; len(old) > 0; {
		n := min(together, len(old))
		ops := make([]Op, n)
		for i, e := range old[:n] {
			ops[i] = Op{Key: e.Key, If: Precondition{Revision: e.ModRevision}}
		}
		if _, err := j.store.Commit(ctx, ops); err != nil {
			j.log.Debug("history not trimmed", "error", err) // another gateway trims at the same time
			return
		}
		old = old[n:]
	}
}

// Records returns up to limit records (0 = all) below the revision before (0 = any), the last one first, and the revision of the store.
func (j *Journal) Records(ctx context.Context, before int64, limit int) ([]Record, int64, error) {
	entries, revision, err := j.store.Latest(ctx, historyFolder, before, limit)
	if err != nil {
		return nil, 0, err
	}
	records := make([]Record, len(entries))
	for i, e := range entries {
		if records[i], err = decodeRecord(e); err != nil {
			// It stands for a change all the same: an undo must not take it for none.
			j.log.Warn("a record of the history cannot be read", "key", e.Key, "revision", e.ModRevision, "error", err)
			records[i] = Record{Revision: e.ModRevision, Unreadable: true}
		}
	}
	return records, revision, nil
}

// Record returns the record of a revision, or ErrNotFound.
func (j *Journal) Record(ctx context.Context, revision int64) (Record, error) {
	records, _, err := j.Records(ctx, revision+1, 1)
	if err == nil && (len(records) == 0 || records[0].Revision != revision) {
		err = ErrNotFound
	}
	if err != nil {
		return Record{}, err
	}
	return records[0], nil
}

// Reasons why an undo is not possible, and why one leaves a resource out.
var (
	ErrForgotten = errors.New("the history does not reach back so far")
	ErrFuture    = errors.New("the store has not reached this revision yet")
)

// Undo is what brings resources back to how they stood.
type Undo struct {
	Edits   []Edit            // of what is different now
	LeftOut map[string]string // why, by key
}

// Undo returns the edits that bring everything that was changed through a journal after a revision back to how it stood then; key names one resource, "" all. A
// resource that somebody has changed past the journal comes back to how the first change after the revision found it. ErrNotFound: key was not there then, nor has been since.
//
// Accounts are left out, since a password that was taken away must not come back by that, and nodes under a lease, since they come and go with their instances.
func (j *Journal) Undo(ctx context.Context, revision int64, key string) (*Undo, error) {
	records, now, err := j.Records(ctx, 0, 0)
	if err != nil {
		return nil, err
	}
	switch {
	case revision > now:
		return nil, fmt.Errorf("control: revision %d: %w: it is at %d", revision, ErrFuture, now)
	case len(records) == 0 || revision < records[len(records)-1].Revision-1:
		return nil, fmt.Errorf("control: revision %d: %w", revision, ErrForgotten)
	}
	then, err := firstChanges(records, revision, key)
	if err != nil {
		return nil, err
	}
	if key != "" && len(then) == 0 {
		if _, err := j.store.Get(ctx, key); err != nil { // one that is there has just not been changed
			return nil, err
		}
	}
	u := &Undo{LeftOut: make(map[string]string)}
	for _, key := range slices.Sorted(maps.Keys(then)) {
		if err := j.undoOne(ctx, u, then[key]); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// firstChanges returns the first change of each resource, or of one alone, after a revision. The records are those of Records: the last one first.
func firstChanges(records []Record, revision int64, key string) (map[string]RecordedChange, error) {
	first := make(map[string]RecordedChange)
	for _, r := range records {
		if r.Revision <= revision {
			break
		}
		if r.Unreadable {
			return nil, fmt.Errorf("control: revision %d: %w: the record of revision %d cannot be read", revision, ErrForgotten, r.Revision)
		}
		for _, c := range r.Changes {
			if key == "" || c.Key == key {
				first[c.Key] = c
			}
		}
	}
	return first, nil
}

// undoOne adds what undoes one change, and all after it.
func (j *Journal) undoOne(ctx context.Context, u *Undo, c RecordedChange) error {
	if kind, _, _ := SplitKey(c.Key); kind == Users {
		u.LeftOut[c.Key] = "accounts are not rolled back"
		return nil
	}
	if c.Dropped {
		return fmt.Errorf("control: %w: a change of %s was too large for its values to be kept", ErrForgotten, c.Key)
	}
	var current *Entry
	e, err := j.store.Get(ctx, c.Key)
	switch {
	case err == nil:
		current = &e
	case !errors.Is(err, ErrNotFound):
		return err
	}
	was := []byte(c.Before)
	switch {
	case c.Leased || current != nil && current.Leased:
		u.LeftOut[c.Key] = "it is, or was, under a lease, and comes and goes with its instance"
	case current == nil && was == nil, current != nil && was != nil && string(current.Value) == string(was):
	default:
		u.Edits = append(u.Edits, Edit{Key: c.Key, Before: current, After: was})
	}
	return nil
}
