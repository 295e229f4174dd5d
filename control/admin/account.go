package admin

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/control"
)

// account is what is stored at users/<name>. No call shows it.
type account struct {
	Role       Role      `json:"role"`
	Password   string    `json:"password"`          // argon2id, in the PHC form
	Generation string    `json:"generation"`        // of the sessions that hold; another one ends all of them
	Ended      []session `json:"ended,omitempty"`   // sessions that were logged out before their time
	Changed    time.Time `json:"changed,omitempty"` // the password was
}

// session is one login that has ended.
type session struct {
	ID    string `json:"id"`
	Until int64  `json:"until"` // seconds since 1970: it would have ended by itself then
}

// maxEnded bounds the sessions that an account remembers as ended. With more than that within their eight hours, all of the account's are.
const maxEnded = 64

// What accounts answer.
var (
	ErrNoAccount     = errors.New("admin: there is no such account")
	ErrAccountExists = errors.New("admin: there is an account of that name")
)

// AccountError is what is wrong with a name, a password or a role that somebody has chosen.
type AccountError struct {
	Field string // "name", "password" or "role"; "" = all of them
	text  string
}

func (e *AccountError) Error() string { return e.text }

func accountError(field, format string, args ...any) error {
	return &AccountError{field, fmt.Sprintf(format, args...)}
}

// accountErrors returns what err, which may be several joined, says of the fields of an account; none where it is about something else.
func accountErrors(err error) (list []*AccountError) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range several.Unwrap() {
			list = append(list, accountErrors(one)...)
		}
		return list
	}
	var one *AccountError
	if errors.As(err, &one) {
		list = append(list, one)
	}
	return list
}

// Accounts are those of the control panel. None exists at first, and none is ever made by itself. All gateways of a store share them. The history has who changed
// which, and nothing of what is in them.
type Accounts struct {
	store   control.Store
	journal *control.Journal
	by      control.Author // of changes that no request makes
	hashing hashing
	now     func() time.Time
}

// NewAccounts returns the accounts in a store. by is who makes changes that do not come with a request.
func NewAccounts(store control.Store, by control.Author) *Accounts {
	return &Accounts{store: store, journal: control.NewJournal(store, nil), by: by, hashing: standardHashing, now: time.Now}
}

// commit makes one change and records it.
func (a *Accounts) commit(ctx context.Context, edit control.Edit) error {
	by := authorOf(ctx)
	if by.Name == "" {
		by = a.by
	}
	_, err := a.journal.Commit(ctx, by, []control.Edit{edit})
	return err
}

// CheckAccountName reports what is wrong with a name.
func CheckAccountName(name string) error {
	switch {
	case name == TokenName:
		return accountError("name", "%q is what whoever has the admin token is called", name)
	case len(name) > 64:
		return accountError("name", "the name is longer than 64 bytes")
	case name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("._@-+", r) && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z')
	}):
		return accountError("name", "%q is not a name: letters, digits and . _ @ - + are", name)
	}
	return nil
}

// Add makes an account.
func (a *Accounts) Add(ctx context.Context, name, password string, role Role) error {
	if err := errors.Join(CheckAccountName(name), checkPassword(password), checkRole(role)); err != nil {
		return err
	}
	made := account{Role: role, Password: a.hashing.encode(password), Generation: randomID(), Changed: a.now().UTC().Truncate(time.Second)}
	err := a.commit(ctx, control.Edit{Key: control.Users.Key(name), After: made.encode()})
	if errors.Is(err, control.ErrConflict) {
		return ErrAccountExists
	}
	return err
}

// Change gives an account another password, which ends all of its sessions, another role, which counts in those that it has, or both: all of it or nothing. What is ""
// stays.
func (a *Accounts) Change(ctx context.Context, name, password string, role Role) error {
	if password == "" && role == "" {
		return accountError("", "neither a role nor a password is given")
	}
	var wrong []error
	if role != "" {
		wrong = append(wrong, checkRole(role))
	}
	if password != "" {
		wrong = append(wrong, checkPassword(password))
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	hash := ""
	if password != "" {
		hash = a.hashing.encode(password)
	}
	return a.change(ctx, name, func(was *account) {
		if role != "" {
			was.Role = role
		}
		if hash != "" {
			was.Password, was.Generation, was.Ended, was.Changed = hash, randomID(), nil, a.now().UTC().Truncate(time.Second)
		}
	})
}

// Remove takes an account away, and so ends its sessions.
func (a *Accounts) Remove(ctx context.Context, name string) error {
	return a.retry(func() error {
		e, err := a.store.Get(ctx, control.Users.Key(name))
		if errors.Is(err, control.ErrNotFound) {
			return ErrNoAccount
		}
		if err != nil {
			return err
		}
		return a.commit(ctx, control.Edit{Key: e.Key, Before: &e})
	})
}

// retry makes a change anew where somebody else was faster.
func (a *Accounts) retry(change func() error) error {
	for range attempts {
		if err := change(); !errors.Is(err, control.ErrConflict) {
			return err
		}
	}
	return control.ErrConflict
}

// end ends one session. The history does not care.
func (a *Accounts) end(ctx context.Context, name string, one session) error {
	return a.retry(func() error {
		was, e, err := a.get(ctx, name)
		if err != nil {
			return err
		}
		now := a.now().Unix()
		was.Ended = append(slices.DeleteFunc(was.Ended, func(s session) bool { return s.Until <= now || s.ID == one.ID }), one)
		if len(was.Ended) > maxEnded {
			was.Generation, was.Ended = randomID(), nil
		}
		_, err = a.store.Put(ctx, e.Key, was.encode(), control.Precondition{Revision: e.ModRevision})
		return err
	})
}

// get reads an account, and how it is stored; ErrNoAccount where there is none or what is stored is not one.
func (a *Accounts) get(ctx context.Context, name string) (*account, control.Entry, error) {
	if CheckAccountName(name) != nil {
		return nil, control.Entry{}, ErrNoAccount
	}
	e, err := a.store.Get(ctx, control.Users.Key(name))
	if errors.Is(err, control.ErrNotFound) {
		return nil, e, ErrNoAccount
	}
	if err != nil {
		return nil, e, err
	}
	stored := new(account)
	if err := json.Unmarshal(e.Value, stored); err != nil || checkRole(stored.Role) != nil || stored.Generation == "" {
		return nil, e, fmt.Errorf("%w: what is stored at %s is not one", ErrNoAccount, e.Key)
	}
	return stored, e, nil
}

// change rewrites an account.
func (a *Accounts) change(ctx context.Context, name string, edit func(*account)) error {
	return a.retry(func() error {
		stored, e, err := a.get(ctx, name)
		if err != nil {
			return err
		}
		edit(stored)
		return a.commit(ctx, control.Edit{Key: e.Key, Before: &e, After: stored.encode()})
	})
}

func (a *account) encode() []byte {
	value, err := json.Marshal(a)
	if err != nil {
		panic("BUG: admin: an account does not marshal: " + err.Error())
	}
	return value
}

func checkRole(role Role) error {
	if role != RoleAdmin && role != RoleViewer {
		return accountError("role", "%q is not a role: admin and viewer are", role)
	}
	return nil
}

// randomID returns 128 bits of chance.
func randomID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
