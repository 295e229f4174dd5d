package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"sluice/control"
)

// The keys of what certmagic keeps: accounts, certificates with their keys, and its locks.
const (
	storageFolder = control.ACMEFolder + "storage/"
	lockFolder    = control.ACMEFolder + "lock/"
)

// storage is certmagic's store in ours. Every gateway has the same, so whatever one has obtained is there for all.
type storage struct {
	store control.Store
	lock  lockTimes

	mu   sync.Mutex // guards held
	held map[string]*held
}

// lockTimes are how long locks live. A holder writes its lock anew every third of life; whoever waits takes a lock over that was not written for all of it, by
// its own clock: gateways need not agree on the time.
type lockTimes struct{ life, look time.Duration }

var defaultLockTimes = lockTimes{life: 30 * time.Second, look: time.Second}

func newStorage(store control.Store, times lockTimes) *storage {
	return &storage{store: store, lock: times, held: make(map[string]*held)}
}

// wrapped is how bytes stand in a store whose values are JSON.
type wrapped struct {
	Value    []byte    `json:"value"`
	Modified time.Time `json:"modified"`
}

func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	b, err := json.Marshal(wrapped{value, time.Now().UTC()})
	if err != nil {
		return err
	}
	_, err = s.store.Put(ctx, storageFolder+key, b, control.Precondition{})
	return err
}

func (s *storage) Load(ctx context.Context, key string) ([]byte, error) {
	w, err := s.load(ctx, key)
	return w.Value, err
}

func (s *storage) load(ctx context.Context, key string) (w wrapped, err error) {
	e, err := s.store.Get(ctx, storageFolder+key)
	if errors.Is(err, control.ErrNotFound) {
		return w, fs.ErrNotExist
	}
	if err != nil {
		return w, err
	}
	return w, json.Unmarshal(e.Value, &w)
}

func (s *storage) Delete(ctx context.Context, key string) error {
	keys, err := s.List(ctx, key, true)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, k := range append(keys, key) {
		if _, err := s.store.Delete(ctx, storageFolder+k, control.Precondition{}); err != nil && !errors.Is(err, control.ErrNotFound) {
			return err
		}
	}
	return nil
}

func (s *storage) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

func (s *storage) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	prefix := storageFolder + strings.TrimSuffix(path, "/")
	if path != "" {
		prefix += "/"
	}
	entries, _, err := s.store.List(ctx, prefix, "", 0)
	if err != nil {
		return nil, err
	}
	var keys []string
	seen := map[string]bool{}
	for _, e := range entries {
		rest := strings.TrimPrefix(e.Key, prefix)
		if first, _, deeper := strings.Cut(rest, "/"); deeper && !recursive {
			rest = first
		}
		if !seen[rest] {
			seen[rest] = true
			keys = append(keys, strings.TrimPrefix(prefix, storageFolder)+rest)
		}
	}
	if len(keys) == 0 {
		return nil, fs.ErrNotExist
	}
	return keys, nil
}

func (s *storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	w, err := s.load(ctx, key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: w.Modified, Size: int64(len(w.Value)), IsTerminal: true}, nil
	}
	if keys, listErr := s.List(ctx, key, true); listErr == nil && len(keys) > 0 {
		return certmagic.KeyInfo{Key: key}, nil
	}
	return certmagic.KeyInfo{}, err
}

// held is a lock that this process holds.
type held struct {
	stop  context.CancelFunc
	ended chan struct{}

	revision int64 // at which it was written last; owned by the goroutine that keeps it, until ended
}

// Lock takes a lock, and waits while another process holds it.
func (s *storage) Lock(ctx context.Context, name string) error {
	key := lockFolder + name
	var seen int64 // the revision of the lock that stands in the way
	var since time.Time
	for {
		cond := control.Precondition{Absent: true}
		e, err := s.store.Get(ctx, key)
		switch {
		case errors.Is(err, control.ErrNotFound):
		case err != nil:
			return fmt.Errorf("acme: lock %s: %w", name, err)
		case e.ModRevision != seen:
			seen, since = e.ModRevision, time.Now()
			fallthrough
		case time.Since(since) < s.lock.life:
			if err := sleep(ctx, s.lock.look/2+rand.N(s.lock.look)); err != nil {
				return err
			}
			continue
		default:
			cond = control.Precondition{Revision: seen} // who held it is gone
		}
		revision, err := s.store.Put(ctx, key, []byte("{}"), cond)
		if err == nil {
			s.keep(name, key, revision)
			return nil
		}
		if !errors.Is(err, control.ErrConflict) {
			return fmt.Errorf("acme: lock %s: %w", name, err)
		}
	}
}

// keep writes a lock again and again until Unlock.
func (s *storage) keep(name, key string, revision int64) {
	ctx, stop := context.WithCancel(context.Background())
	h := &held{stop: stop, ended: make(chan struct{}), revision: revision}
	s.mu.Lock()
	s.held[name] = h
	s.mu.Unlock()
	go func() {
		defer close(h.ended)
		for sleep(ctx, s.lock.life/3) == nil {
			if next, err := s.store.Put(ctx, key, []byte("{}"), control.Precondition{Revision: h.revision}); err == nil {
				h.revision = next
			} else if errors.Is(err, control.ErrConflict) {
				return // it was taken over: Unlock will find nothing of ours
			}
		}
	}()
}

// Unlock gives a lock back.
func (s *storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	h := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if h == nil {
		return fmt.Errorf("acme: lock %s is not held", name)
	}
	h.stop()
	<-h.ended
	_, err := s.store.Delete(ctx, lockFolder+name, control.Precondition{Revision: h.revision})
	if errors.Is(err, control.ErrNotFound) || errors.Is(err, control.ErrConflict) {
		return nil
	}
	return err
}

// sleep rests for d, or returns why ctx has ended.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

var _ certmagic.Storage = (*storage)(nil)
