package lastgood

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sluice/control"
)

// Name is the file's in the data directory.
const Name = "last-good"

// The pace of writing. Changes that come within gather of the first are written together. After a file was written there is a rest of restShare times
// as long as that took: with 100,000 resources that change all the time the disk works one part in twenty.
const (
	gather    = time.Second
	restShare = 20
	restMost  = time.Minute
	restError = 10 * time.Second // after a write that failed, as on a full disk
)

// Keeper keeps the file of one data directory. Keep and Status may be called by any goroutine; Replay comes first, then Run, once.
type Keeper struct {
	path   string
	prefix string
	log    *slog.Logger
	wake   chan struct{} // holds one when there is something to write

	base *os.File // what pending is to be merged into; open, so that it can be read also when somebody removes it; nil = none. Run's after Replay

	mu        sync.Mutex // guards the rest
	pending   map[string]control.Change
	revision  int64
	saving    bool // the file is about to be replaced
	replaying bool
	status    Status
}

// Status is what is known of the file.
type Status struct {
	Loaded   bool      // Replay has handed it on
	Revision int64     // of the store, that it shows
	Current  time.Time // when it last was what the store has, as far as was known; zero = there is none
	Failures uint64    // times that it could not be read or written
	Error    string    // why, the last time; "" once it could
}

// New returns a keeper of the file in dir for what is below prefix in the store.
func New(dir, prefix string, log *slog.Logger) *Keeper {
	return &Keeper{path: filepath.Join(dir, Name), prefix: prefix, log: log, wake: make(chan struct{}, 1), pending: make(map[string]control.Change)}
}

// Replay hands what the file holds to sink, as a full batch, and returns that batch. Where there is no file, or none that can be used, it
// returns nil and sink is not called; what is wrong is in the log and in Status.
func (k *Keeper) Replay(sink control.Sink) *control.Batch {
	k.removeLeftovers()
	file, err := os.Open(k.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		k.unusable(err)
		return nil
	}
	h, resources, err := readAll(file)
	if err == nil && h.Prefix != k.prefix {
		err = fmt.Errorf("%w: %q, and this is %q", ErrPrefix, h.Prefix, k.prefix)
	}
	var info os.FileInfo
	if err == nil {
		info, err = file.Stat()
	}
	if err != nil {
		file.Close()
		k.unusable(err)
		return nil
	}
	k.base = file
	b := &control.Batch{Revision: h.Revision, Full: true, Changes: resources}
	k.note(func() {
		k.replaying = true
		k.revision = h.Revision
		k.status.Loaded, k.status.Revision, k.status.Current = true, h.Revision, info.ModTime()
	})
	sink.Apply(*b)
	k.note(func() { k.replaying = false })
	return b
}

func (k *Keeper) unusable(err error) {
	k.failed(err)
	k.log.Error("the last good state on disk is not used", "file", k.path, "error", err)
}

// readAll reads a whole file.
func readAll(file *os.File) (h header, resources []control.Change, err error) {
	in, err := newReader(file)
	if err != nil {
		return h, nil, err
	}
	for {
		c, err := in.next()
		if errors.Is(err, io.EOF) {
			return in.header, resources, nil
		}
		if err != nil {
			return h, nil, err
		}
		resources = append(resources, c)
	}
}

// Keep notes what has come into force, and what is gone, with the store at a revision. It does not wait for the disk.
func (k *Keeper) Keep(changes []control.Change, revision int64) {
	k.note(func() {
		if k.replaying || len(changes) == 0 {
			return
		}
		for _, c := range changes {
			k.pending[c.Key] = c
		}
		k.revision = revision
		select {
		case k.wake <- struct{}{}:
		default:
		}
	})
}

// Confirm notes that the file, with what is about to be written, is what the store has now: from this moment on it counts as stale.
func (k *Keeper) Confirm() {
	now := time.Now()
	current := false
	k.note(func() { current = len(k.pending) == 0 && !k.saving && !k.status.Current.IsZero() }) // else the file that is about to be written will say so
	if !current || os.Chtimes(k.path, now, now) != nil {
		return
	}
	k.note(func() {
		if k.status.Current.Before(now) {
			k.status.Current = now
		}
	})
}

// Status returns what is known. Any goroutine may call it.
func (k *Keeper) Status() (s Status) {
	k.note(func() { s = k.status })
	return s
}

// note runs f under the lock.
func (k *Keeper) note(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

func (k *Keeper) failed(err error) (first bool) {
	k.note(func() {
		first = k.status.Error == ""
		k.status.Failures++
		k.status.Error = err.Error()
	})
	return first
}

// Run writes what Keep notes until ctx ends, and then once more what is left.
func (k *Keeper) Run(ctx context.Context) {
	defer func() {
		if k.base != nil {
			k.base.Close()
		}
	}()
	for rest := time.Duration(0); ; {
		pause(ctx, rest)
		select {
		case <-k.wake:
		case <-ctx.Done():
		}
		pause(ctx, gather)
		begin := time.Now()
		ok := k.save()
		if ctx.Err() != nil {
			return
		}
		rest = min(restShare*time.Since(begin), restMost)
		if !ok {
			rest = max(rest, restError)
		}
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// save writes what is pending and reports whether it could. What could not be written is pending again.
func (k *Keeper) save() bool {
	var changes map[string]control.Change
	var revision int64
	k.note(func() {
		changes, revision = k.pending, k.revision
		k.pending, k.saving = make(map[string]control.Change), len(changes) > 0
	})
	if len(changes) == 0 {
		return true
	}
	defer k.note(func() { k.saving = false })
	h := header{Prefix: k.prefix, Revision: revision, Saved: time.Now()}
	err := k.replace(h, changes)
	if err == nil {
		k.note(func() { k.status.Revision, k.status.Current, k.status.Error = revision, h.Saved, "" })
		return true
	}
	k.note(func() {
		for key, c := range k.pending {
			changes[key] = c
		}
		k.pending = changes
		select { // there is something to write, whether or not there are more changes
		case k.wake <- struct{}{}:
		default:
		}
	})
	if k.failed(err) {
		k.log.Error("the last good state could not be written to disk; it is tried again", "file", k.path, "error", err)
	}
	return false
}
