package control

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// shelf is a store of single keys, as far as tickets need one.
type shelf struct {
	Store
	entries  map[string]Entry
	revision int64
	before   func() // called once ahead of the next Put
}

func newShelf() *shelf { return &shelf{entries: map[string]Entry{}} }

func (s *shelf) Get(_ context.Context, key string) (Entry, error) {
	e, ok := s.entries[key]
	if !ok {
		return Entry{}, ErrNotFound
	}
	return e, nil
}

func (s *shelf) Put(_ context.Context, key string, value []byte, cond Precondition) (int64, error) {
	if f := s.before; f != nil {
		s.before = nil
		f()
	}
	e, there := s.entries[key]
	if cond.Absent && there || cond.Revision > 0 && e.ModRevision != cond.Revision {
		return 0, ErrConflict
	}
	s.revision++
	s.entries[key] = Entry{Key: key, Value: value, ModRevision: s.revision}
	return s.revision, nil
}

// keeper is one gateway's Tickets and what it has put in force.
type keeper struct {
	Tickets
	keys [][32]byte
}

func newKeeper(store Store, secret string, now *time.Time) *keeper {
	k := &keeper{}
	k.Tickets = Tickets{Store: store, Secret: secret, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return *now },
		Use: func(keys [][32]byte) { k.keys = keys }}
	return k
}

func (k *keeper) refresh(t *testing.T) {
	t.Helper()
	if err := k.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// All gateways have the same keys, whoever makes them; the store shows none.
func TestGatewaysShareTicketKeys(t *testing.T) {
	for _, secret := range []string{"", "a secret of the fleet's own"} {
		now, store := time.Unix(1_000_000, 0), newShelf()
		a, b := newKeeper(store, secret, &now), newKeeper(store, secret, &now)
		store.before = func() { b.refresh(t) } // b is faster
		a.refresh(t)
		b.refresh(t)
		if len(a.keys) != 1 || !slices.Equal(a.keys, b.keys) {
			t.Errorf("secret %q: %x, %x", secret, a.keys, b.keys)
		}
		for _, e := range store.entries {
			if bytes.Contains(e.Value, a.keys[0][:]) {
				t.Errorf("a key stands in the clear at %s", e.Key)
			}
		}
		if _, kept := store.entries[TicketSecretKey]; kept != (secret == "") {
			t.Errorf("secret %q: one is kept in the store: %v", secret, kept)
		}
		stranger := newKeeper(store, "another secret", &now)
		stranger.refresh(t)
		if slices.Equal(stranger.keys, a.keys) {
			t.Error("a key can be opened without its secret")
		}
	}
}

// A key makes tickets once every gateway has it, then only opens them, and is gone after a day.
func TestTicketKeysRotate(t *testing.T) {
	now, store := time.Unix(1_000_000, 0), newShelf()
	k := newKeeper(store, "", &now)
	k.refresh(t)
	first := k.keys[0]
	now = now.Add(ticketRotation)
	k.refresh(t)
	if len(k.keys) != 2 || k.keys[0] != first {
		t.Error("a key makes tickets that other gateways may not know yet")
	}
	second := k.keys[1]
	now = now.Add(ticketSettled)
	k.refresh(t)
	if len(k.keys) != 2 || k.keys[0] != second || k.keys[1] != first {
		t.Error("the new key does not make the tickets, or the old one opens none")
	}
	for range 3 {
		now = now.Add(ticketRotation)
		k.refresh(t)
	}
	if slices.Contains(k.keys, first) || slices.Contains(k.keys, second) || len(k.keys) != 3 {
		t.Errorf("%d keys, of which some should be gone", len(k.keys))
	}
}

// What is stored may be nonsense, or made young by somebody: it is no key.
func TestForgedTicketKeysAreNotUsed(t *testing.T) {
	now, store := time.Unix(1_000_000, 0), newShelf()
	k := newKeeper(store, "", &now)
	k.refresh(t)
	first := k.keys[0]
	e := store.entries[TicketsKey]
	e.Value = []byte(strings.Replace(string(e.Value), "1970-01-12", "1970-01-13", 1))
	store.entries[TicketsKey] = e
	k.refresh(t)
	if k.keys[0] == first {
		t.Error("the time of a key can be changed")
	}
	e.Value = []byte("{")
	store.entries[TicketsKey] = e
	k.refresh(t)
}
