package control

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Where the keys of TLS session tickets are. Neither is a resource: no call of the admin API shows them.
const (
	TicketsKey      = "secrets/tickets"        // the keys, encrypted
	TicketSecretKey = "secrets/tickets-secret" // what they are encrypted with where no gateway was given a secret
)

// How keys live. A ticket is good as long as its key is there, so that a stolen key opens what was recorded in a day at most.
const (
	ticketRotation = 8 * time.Hour                // a new key is made
	ticketLife     = 3 * ticketRotation           // a key is dropped
	ticketPoll     = time.Minute                  // every gateway looks
	ticketSettled  = 2*ticketPoll + 5*time.Second // from when on tickets are made with a key: every gateway has it by then
)

// Tickets keeps the keys of TLS session tickets, which all gateways of a store share: a client that comes to another gateway, or to the successor of an upgrade, goes on
// with its session. Whoever finds that a new key is due makes it, in a transaction that only one can win.
//
//	made ──2 min──► makes tickets ──8 h──► only opens them ──16 h──► gone
type Tickets struct {
	Store  Store
	Secret string                // what keys are encrypted with in the store, the same for all gateways; "" = one that is kept in the store itself
	Use    func(keys [][32]byte) // puts keys in force: tickets are made with the first
	Log    *slog.Logger
	Now    func() time.Time // nil = time.Now
}

// ticketKeys is the value at TicketsKey.
type ticketKeys struct {
	Keys []ticketKey `json:"keys"` // the newest first
}

type ticketKey struct {
	Made   time.Time `json:"made"`
	Sealed []byte    `json:"sealed"` // nonce and AES-256-GCM of the 32 bytes; Made is bound to it
}

// Run looks every minute until ctx ends. What goes wrong is written to the log when it begins to; the keys of before stay in force.
func (t *Tickets) Run(ctx context.Context) {
	again := time.NewTicker(ticketPoll)
	defer again.Stop()
	failing := false
	for {
		err := t.Refresh(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			t.Log.Warn("the keys of TLS session tickets are not brought up to date", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// Refresh reads the keys, makes a new one if it is time, and puts them in force.
func (t *Tickets) Refresh(ctx context.Context) error {
	for {
		err := t.refresh(ctx)
		if !errors.Is(err, ErrConflict) { // another gateway was faster: its key is as good
			return err
		}
	}
}

func (t *Tickets) refresh(ctx context.Context) error {
	aead, err := t.cipher(ctx)
	if err != nil {
		return err
	}
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	entry, err := t.Store.Get(ctx, TicketsKey)
	cond := Precondition{Revision: entry.ModRevision}
	if errors.Is(err, ErrNotFound) {
		cond = Precondition{Absent: true}
	} else if err != nil {
		return err
	}
	opened := openKeys(entry.Value, aead, now())
	if len(opened) == 0 || now().Sub(opened[0].made) >= ticketRotation {
		fresh := openKey{made: now().UTC()}
		_, _ = rand.Read(fresh.key[:]) // never fails
		opened = append([]openKey{fresh}, opened...)
		if _, err := t.Store.Put(ctx, TicketsKey, sealKeys(opened, aead), cond); err != nil {
			return err
		}
	}
	t.Use(inOrder(opened, now()))
	return nil
}

// cipher returns what keys are encrypted with.
func (t *Tickets) cipher(ctx context.Context) (cipher.AEAD, error) {
	secret := []byte(t.Secret)
	if len(secret) == 0 {
		var err error
		if secret, err = t.storedSecret(ctx); err != nil {
			return nil, err
		}
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "sluice session tickets", 32)
	if err != nil {
		return nil, fmt.Errorf("control: ticket keys: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("control: ticket keys: %w", err)
	}
	return cipher.NewGCM(block)
}

// storedSecret returns the secret that is kept in the store, and makes it when there is none.
func (t *Tickets) storedSecret(ctx context.Context) ([]byte, error) {
	entry, err := t.Store.Get(ctx, TicketSecretKey)
	if !errors.Is(err, ErrNotFound) {
		return entry.Value, err
	}
	secret := []byte(rand.Text() + rand.Text())
	_, err = t.Store.Put(ctx, TicketSecretKey, secret, Precondition{Absent: true})
	return secret, err
}

// openKey is a key in the clear.
type openKey struct {
	made time.Time
	key  [32]byte
}

// openKeys returns the keys of a stored value that can be opened and are not too old. What cannot was sealed with another secret: it is as if it were not there.
func openKeys(value []byte, aead cipher.AEAD, now time.Time) (keys []openKey) {
	var stored ticketKeys
	if len(value) == 0 || json.Unmarshal(value, &stored) != nil {
		return nil
	}
	for _, k := range stored.Keys {
		one := openKey{made: k.Made}
		if len(k.Sealed) < aead.NonceSize() || now.Sub(k.Made) >= ticketLife {
			continue
		}
		nonce, sealed := k.Sealed[:aead.NonceSize()], k.Sealed[aead.NonceSize():]
		plain, err := aead.Open(nil, nonce, sealed, bound(k.Made))
		if err == nil && copy(one.key[:], plain) == len(one.key) {
			keys = append(keys, one)
		}
	}
	return keys
}

func sealKeys(keys []openKey, aead cipher.AEAD) []byte {
	var stored ticketKeys
	for _, k := range keys {
		nonce := make([]byte, aead.NonceSize())
		_, _ = rand.Read(nonce) // never fails
		stored.Keys = append(stored.Keys, ticketKey{Made: k.made, Sealed: aead.Seal(nonce, nonce, k.key[:], bound(k.made))})
	}
	value, err := json.Marshal(stored)
	if err != nil {
		panic("BUG: ticket keys that are no JSON: " + err.Error())
	}
	return value
}

// bound is what a sealed key is bound to, so that an old one cannot be made young.
func bound(made time.Time) []byte { return []byte(made.UTC().Format(time.RFC3339Nano)) }

// inOrder returns the keys with the one in front that tickets are made with: the newest that every gateway has.
func inOrder(keys []openKey, now time.Time) [][32]byte {
	first := 0
	for i := range keys {
		if now.Sub(keys[i].made) >= ticketSettled {
			first = i
			break
		}
	}
	ordered := [][32]byte{keys[first].key}
	for i := range keys {
		if i != first {
			ordered = append(ordered, keys[i].key)
		}
	}
	return ordered
}
