package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/control"
)

// quickly is a hash that costs nothing, for tests of all else.
var quickly = hashing{memory: 8, passes: 1, threads: 1}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// accountsOf returns accounts in a store, at a time that tests move.
func accountsOf(store control.Store, c *clock) *Accounts {
	return &Accounts{store: store, journal: control.NewJournal(store, nil), hashing: quickly, now: c.Now}
}

const testPassword = "open sesame"

// RFC 9106, in the PHC form. Each hash has its own salt, and what the store asks a check to cost is bounded.
func TestPasswordsAreHashed(t *testing.T) {
	one, other := standardHashing.encode(testPassword), quickly.encode(testPassword)
	if !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") || one == standardHashing.encode(testPassword) {
		t.Errorf("%s", one)
	}
	for _, hash := range []string{one, other} {
		if same, err := matchesHash(hash, testPassword); !same || err != nil {
			t.Errorf("%s: %v %v", hash, same, err)
		}
		if same, err := matchesHash(hash, testPassword+" "); same || err != nil {
			t.Errorf("%s with another: %v %v", hash, same, err)
		}
	}
	for _, bad := range []string{
		"", "x", "$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA", strings.Replace(other, "m=8", "m=99999999", 1), strings.Replace(other, "t=1", "t=0", 1),
		strings.Replace(other, "p=1", "p=0", 1), strings.Replace(other, "v=19", "v=16", 1), other[:len(other)-30], other + "!",
	} {
		if same, err := matchesHash(bad, testPassword); same || !errors.Is(err, errBadHash) {
			t.Errorf("%s: %v %v", bad, same, err)
		}
	}
}

func TestAccountsAreChecked(t *testing.T) {
	a := accountsOf(newMemory(), newClock())
	for _, tc := range []struct {
		name, password string
		role           Role
	}{
		{"", testPassword, RoleAdmin}, {"a/b", testPassword, RoleAdmin}, {"a b", testPassword, RoleAdmin}, {strings.Repeat("a", 65), testPassword, RoleAdmin},
		{TokenName, testPassword, RoleAdmin}, {"alice", "short", RoleAdmin}, {"alice", strings.Repeat("a", maxPassword+1), RoleAdmin}, {"alice", testPassword, "root"}, {"alice", testPassword, ""},
	} {
		if err := a.Add(t.Context(), tc.name, tc.password, tc.role); err == nil {
			t.Errorf("%+v was taken", tc)
		}
	}
	if err := a.Add(t.Context(), "alice@example.com", testPassword, RoleViewer); err != nil {
		t.Error(err)
	}
	if err := a.Add(t.Context(), "alice@example.com", testPassword, RoleAdmin); !errors.Is(err, ErrAccountExists) {
		t.Errorf("a second time: %v", err)
	}
	for what, err := range map[string]error{
		"password": a.Change(context.Background(), "bob", testPassword, ""), "role": a.Change(context.Background(), "bob", "", RoleAdmin), "remove": a.Remove(context.Background(), "bob"),
	} {
		if !errors.Is(err, ErrNoAccount) {
			t.Errorf("%s of nobody: %v", what, err)
		}
	}
}

// A call on accounts has no dry run: asked for one, it writes nothing.
func TestAccountsHaveNoDryRun(t *testing.T) {
	g := newGateway(t)
	const bob = `{"name":"bob","role":"viewer","password":"` + testPassword + `"}`
	g.do("POST", "/v1/users", bob).want(204)
	before := g.store.writes
	for _, query := range []string{"?dry_run=1", "?dry_run"} {
		g.do("POST", "/v1/users"+query, strings.Replace(bob, "bob", "eve", 1)).want(422)
		g.do("PATCH", "/v1/users/bob"+query, `{"role":"admin"}`).want(422)
		g.do("DELETE", "/v1/users/bob"+query, "").want(422)
	}
	if g.store.writes != before {
		t.Errorf("%d writes", g.store.writes-before)
	}
}

// A problem says where it is, and not what was sent: an object with an unknown key may be right in what is secret.
func TestProblemsDoNotShowWhatWasSent(t *testing.T) {
	g := newGateway(t)
	for path, body := range map[string]string{
		"/v1/users": `{"name":"bob","role":"viewer","password":"` + testPassword + `","pasword":"x"}`,
		"/v1/apply": `{"resources":[{"key":"consumers/a","value":{"credentials":{"key-auth":{"key":"` + testPassword + `"}}}}],"prune":"` + testPassword + `"}`,
	} {
		if got := g.do("POST", path, body).want(422); strings.Contains(got.body, testPassword) || !strings.Contains(got.body, `"location":"body`) {
			t.Errorf("%s: %s", path, got.body)
		}
	}
}

// The calls on accounts do what the commands do, and show names and roles alone.
func TestAccountsCanBeAdministeredOverTheAPI(t *testing.T) {
	g := newGateway(t)
	g.do("GET", "/v1/users", "").want(200).wantBody(`{"items":[]}` + "\n")
	const alice = `{"name":"alice","role":"viewer","password":"` + testPassword + `"}`
	g.do("POST", "/v1/users", alice).want(204)
	g.do("POST", "/v1/users", alice).want(409)
	g.do("POST", "/v1/users", `{"name":"a b","role":"viewer","password":"`+testPassword+`"}`).want(422)
	if _, at := g.do("POST", "/v1/users", `{"name":"a b","role":"viewer","password":"abc"}`).want(422).problems(); !slices.Equal(at, []string{"body.name", "body.password"}) {
		t.Errorf("wrong: %v", at)
	}
	g.do("POST", "/v1/users", `{"name":"bob","role":"root","password":"`+testPassword+`"}`).want(422)
	token := g.token("alice")
	if read, write := g.asks("GET", "/v1/users", token), g.asks("DELETE", "/v1/users/alice", token); read != 200 || write != 403 {
		t.Errorf("as a viewer: %d, %d", read, write)
	}
	if _, at := g.do("PATCH", "/v1/users/alice", `{}`).want(422).problems(); !slices.Equal(at, []string{"body"}) {
		t.Errorf("wrong: %v", at)
	}
	g.do("PATCH", "/v1/users/bob", `{"role":"admin"}`).want(404)
	before := g.store.value("users/alice")
	g.do("PATCH", "/v1/users/alice", `{"role":"admin","password":"abc"}`).want(422)
	if g.store.value("users/alice") != before {
		t.Error("half of a change that is refused was made")
	}
	g.do("PATCH", "/v1/users/alice", `{"role":"admin","password":"`+testPassword+`2"}`).want(204)
	if got := g.asks("GET", "/v1/users", token); got != 401 {
		t.Errorf("the session before the new password: %d", got)
	}
	var page UserPage
	g.do("GET", "/v1/users", "").want(200).into(&page)
	if len(page.Items) != 1 || page.Items[0].Name != "alice" || page.Items[0].Role != RoleAdmin || page.Items[0].Changed.IsZero() {
		t.Errorf("%+v", page)
	}
	if got := g.login("alice", testPassword+"2"); got.status != 200 {
		t.Errorf("the new password: %d", got.status)
	}
	g.do("DELETE", "/v1/users/alice", "").want(204)
	g.do("DELETE", "/v1/users/alice", "").want(404)
	// The history has who did what, and no more.
	history := g.do("GET", "/v1/history", "").want(200).body
	if strings.Count(history, `"resource":"users/alice"`) != 3 || !strings.Contains(history, `"by":"admin-token"`) || strings.Contains(history, "argon2") {
		t.Errorf("history: %s", history)
	}
	for key := range g.store.entries {
		if value := g.store.value(key); strings.Contains(value, "argon2") {
			t.Errorf("%s still has a hash: %s", key, value)
		}
	}
}
