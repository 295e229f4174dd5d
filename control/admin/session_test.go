package admin

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sluice/control"
)

// A token is taken for what it says only with the stored key's signature, with HS256, and within its eight hours.
func TestAForgedTokenIsNone(t *testing.T) {
	store, c := newMemory(), newClock()
	a := accountsOf(store, c)
	if err := a.Add(t.Context(), "alice", testPassword, RoleAdmin); err != nil {
		t.Fatal(err)
	}
	s := &sessions{accounts: a}
	stored, _, err := a.get(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	good, err := s.open(t.Context(), "alice", stored)
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := s.key(t.Context())
	sign := func(alg jose.SignatureAlgorithm, key []byte, c any) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Signed(signer).Claims(c).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	said := func(change func(*claims)) claims {
		made := claims{Claims: jwt.Claims{Subject: "alice", ID: "x", Expiry: jwt.NewNumericDate(c.Now().Add(time.Hour))}, Generation: stored.Generation}
		change(&made)
		return made
	}
	same := func(*claims) {}
	if _, _, err := s.check(t.Context(), sign(jose.HS256, secret, said(same))); err != nil {
		t.Errorf("one that is made as ours are: %v", err)
	}
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"nothing":             "",
		"text":                "alice",
		"another key":         sign(jose.HS256, make([]byte, 32), said(same)),
		"another algorithm":   sign(jose.HS512, append(secret, secret...), said(same)),
		"no algorithm":        "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"no signature":        parts[0] + "." + parts[1] + ".",
		"other claims":        parts[0] + "." + "eyJzdWIiOiJhbGljZSJ9" + "." + parts[2],
		"no end":              sign(jose.HS256, secret, said(func(c *claims) { c.Expiry = nil })),
		"an end that is past": sign(jose.HS256, secret, said(func(c *claims) { c.Expiry = jwt.NewNumericDate(time.Unix(1, 0)) })),
		"another generation":  sign(jose.HS256, secret, said(func(c *claims) { c.Generation = "x" })),
		"nobody's":            sign(jose.HS256, secret, said(func(c *claims) { c.Subject = "bob" })),
		"no name":             sign(jose.HS256, secret, said(func(c *claims) { c.Subject = "" })),
		"somebody's key":      sign(jose.HS256, secret, said(func(c *claims) { c.Subject = "../secrets/sessions" })),
		"too long":            good + strings.Repeat("A", maxSession),
	} {
		if who, _, err := s.check(t.Context(), token); err == nil {
			t.Errorf("%s: taken for %+v", name, who)
		}
	}
	c.pass(sessionTime - time.Second)
	if who, _, err := s.check(t.Context(), good); err != nil || who != (Identity{"alice", RoleAdmin}) {
		t.Errorf("after nearly eight hours: %+v %v", who, err)
	}
	c.pass(2 * time.Second)
	if _, _, err := s.check(t.Context(), good); !errors.Is(err, errNoSession) {
		t.Errorf("after eight hours: %v", err)
	}
}

// Whoever replaces the key ends all sessions, and the gateways find out by themselves.
func TestAReplacedKeyEndsAllSessions(t *testing.T) {
	store, c := newMemory(), newClock()
	a := accountsOf(store, c)
	if err := a.Add(t.Context(), "alice", testPassword, RoleAdmin); err != nil {
		t.Fatal(err)
	}
	stored, _, _ := a.get(t.Context(), "alice")
	here, there := &sessions{accounts: a}, &sessions{accounts: a}
	old, _ := here.open(t.Context(), "alice", stored)
	if _, err := store.Delete(t.Context(), secretKey, control.Precondition{}); err != nil {
		t.Fatal(err)
	}
	fresh, err := there.open(t.Context(), "alice", stored)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := here.check(t.Context(), fresh); !errors.Is(err, errNoSession) {
		t.Errorf("right away the new one is not known: %v", err)
	}
	c.pass(secretAge)
	if _, _, err := here.check(t.Context(), fresh); err != nil {
		t.Errorf("a minute later: %v", err)
	}
	if _, _, err := here.check(t.Context(), old); err == nil {
		t.Error("the old one still holds")
	}
	// No new login is needed for that.
	if _, err := store.Delete(t.Context(), secretKey, control.Precondition{}); err != nil {
		t.Fatal(err)
	}
	c.pass(secretAge)
	if _, _, err := here.check(t.Context(), fresh); !errors.Is(err, errNoSession) {
		t.Errorf("a minute after the key was deleted: %v", err)
	}
}

// While the store is away, who was logged in can still look at the gateway.
func TestASessionOutlivesAnOutageOfTheStore(t *testing.T) {
	store, c := newMemory(), newClock()
	a := accountsOf(store, c)
	if err := a.Add(t.Context(), "alice", testPassword, RoleAdmin); err != nil {
		t.Fatal(err)
	}
	s := &sessions{accounts: a}
	stored, _, _ := a.get(t.Context(), "alice")
	token, _ := s.open(t.Context(), "alice", stored)
	store.fail = control.ErrUnavailable
	if _, _, err := s.check(t.Context(), token); !errors.Is(err, control.ErrUnavailable) {
		t.Errorf("one that was never checked: %v", err)
	}
	store.fail = nil
	_, _, first := s.check(t.Context(), token)
	store.fail = control.ErrUnavailable
	if _, _, err := s.check(t.Context(), token); first != nil || err != nil {
		t.Errorf("%v, then %v", first, err)
	}
	c.pass(secretAge) // when the key is to be read again
	if _, _, err := s.check(t.Context(), token); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

// What an account remembers is bounded: too many logouts end everything.
func TestEndedSessionsAreForgottenOrEndAll(t *testing.T) {
	store, c := newMemory(), newClock()
	a := accountsOf(store, c)
	if err := a.Add(t.Context(), "alice", testPassword, RoleAdmin); err != nil {
		t.Fatal(err)
	}
	before, _, _ := a.get(t.Context(), "alice")
	end := func(id string) *account {
		t.Helper()
		if err := a.end(t.Context(), "alice", session{ID: id, Until: c.Now().Add(sessionTime).Unix()}); err != nil {
			t.Fatal(err)
		}
		stored, _, err := a.get(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		return stored
	}
	for i := range maxEnded {
		if now := end(fmt.Sprint(i)); len(now.Ended) != i+1 || now.Generation != before.Generation {
			t.Fatalf("after %d: %+v", i, now)
		}
	}
	c.pass(sessionTime)
	if now := end("x"); len(now.Ended) != 1 || now.Generation != before.Generation {
		t.Errorf("eight hours later: %+v", now)
	}
	for i := range maxEnded {
		end(fmt.Sprint("y", i))
	}
	if now, _, _ := a.get(t.Context(), "alice"); len(now.Ended) != 0 || now.Generation == before.Generation {
		t.Errorf("too many: %+v", now)
	}
}
