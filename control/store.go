// Package control turns what is wanted, the resources in the store, into what is in force: an immutable snapshot.
//
// Data flows one way. A store hands batches of changes to the [Engine]; the engine keeps the documents, compiles what
// changed and publishes a new snapshot by one atomic swap. Whoever wants to change something writes to the store.
//
// Where to begin reading: this file has what a store promises; apply.go follows a batch through the engine to the snapshot; validate.go, compile.go, services.go and others.go have what
// each kind of resource needs on the way. journal.go is the other direction: a write together with the record of who made it.
package control

import (
	"context"
	"errors"
)

// Entry is one stored resource.
type Entry struct {
	Key         string // below the prefix, such as "routes/demo1"
	Value       []byte // JSON, as it was written
	ModRevision int64  // revision of the store at which this value was written; its ETag
	Leased      bool   // under a lease: it goes when whoever registered it is gone. Known to what was read, not to changes
}

// Change is a write or, where Deleted, the removal of a key.
type Change struct {
	Entry
	Deleted bool
	Lease   int64 // that the key is under, or was; 0 = none, as far as is known
}

// Batch is what the store said at one revision: it is applied whole or not at all.
type Batch struct {
	Revision int64 // of the store once the changes are in
	Full     bool  // Changes are all there is: a key that is not among them is gone
	Changes  []Change
}

// Sink takes what a store says. Apply is called by one goroutine at a time, in the order of revisions.
type Sink interface {
	Apply(b Batch)
}

// Store is where resources are kept. All methods may be called by any goroutine and end with ctx.
type Store interface {
	// Get returns one entry, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry, error)
	// List returns up to limit entries (0 = all) whose keys begin with prefix and sort after the key after, in order of keys,
	// and the revision at which they were read.
	List(ctx context.Context, prefix, after string, limit int) ([]Entry, int64, error)
	// Put writes a value if cond holds, and returns the revision at which it stands. ErrConflict when cond does not hold.
	Put(ctx context.Context, key string, value []byte, cond Precondition) (int64, error)
	// Delete removes a key if cond holds, and returns the revision. ErrNotFound when there is none, ErrConflict when cond does not hold.
	Delete(ctx context.Context, key string, cond Precondition) (int64, error)
	// Commit makes all writes in one transaction if all of their preconditions and the guards hold, and returns the revision, which is that of all
	// of them. ErrConflict when one does not hold, ErrTooLarge when it is more than the store takes at once: nothing was written then.
	Commit(ctx context.Context, ops []Op, guards ...Guard) (int64, error)
	// Latest returns up to limit entries (0 = all) whose keys begin with prefix and that were written below the revision before (0 = at any),
	// the last written first, and the revision at which they were read.
	Latest(ctx context.Context, prefix string, before int64, limit int) ([]Entry, int64, error)
}

// Op is one write of a transaction: the value at the key or, where it is nil, the removal of the key. A key keeps its lease.
type Op struct {
	Key   string
	Value []byte
	If    Precondition // one of its two fields must be set: a transaction knows what it writes over
}

// Guard holds while nothing below a prefix was written after a revision. Removals it does not see: they are the preconditions of those who read the key.
type Guard struct {
	Prefix   string
	Revision int64
}

// Precondition guards a write by the revision its author has seen. The zero value always holds.
type Precondition struct {
	Revision int64 // the entry's ModRevision must be this; 0 = any
	Absent   bool  // the key must not exist
}

// What stores answer.
var (
	ErrNotFound    = errors.New("control: no such resource")
	ErrConflict    = errors.New("control: the resource has changed since it was read")
	ErrUnavailable = errors.New("control: the store cannot be reached")
	ErrTooLarge    = errors.New("control: more than the store takes in one transaction")
	ErrFull        = errors.New("control: the store is full and takes no writes")
)
