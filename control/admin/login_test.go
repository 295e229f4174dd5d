package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

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
	return &Accounts{store: store, hashing: quickly, now: c.Now}
}

const testPassword = "open sesame"

// withAccount adds an account with [testPassword].
func (g *gateway) withAccount(name string, role Role) *gateway {
	g.t.Helper()
	a := NewAccounts(g.store)
	a.hashing = quickly
	if err := a.Add(g.t.Context(), name, testPassword, role); err != nil {
		g.t.Fatal(err)
	}
	return g
}

func (g *gateway) login(name, password string) *answer {
	g.t.Helper()
	return g.send("POST", loginPath, fmt.Sprintf(`{"username":%q,"password":%q}`, name, password), "Content-Type", "application/x-www-form-urlencoded")
}

// token logs in.
func (g *gateway) token(name string) string {
	g.t.Helper()
	var said struct{ Token string }
	got := g.login(name, testPassword)
	if got.status != 200 || !strings.HasSuffix(got.body, "}\n") {
		g.t.Fatalf("login: %d %s", got.status, got.body)
	}
	got.into(&said)
	return said.Token
}

// asks returns the status of a call with a session's token.
func (g *gateway) asks(method, path, token string) int {
	g.t.Helper()
	return g.send(method, path, "{}", "X-Token", token).status
}

// Contract, section 4: a login's token in X-Token, and ws-cloud-gateway's bodies.
func TestALoginGivesATokenForX_Token(t *testing.T) {
	g := newGateway(t).withAccount("alice", RoleAdmin)
	token := g.token("alice")
	if status := g.asks("GET", "/v1/routes", token); status != 200 {
		t.Errorf("with the token: %d", status)
	}
	for _, method := range []string{"GET", "POST"} {
		g.send(method, "/admin/user/info", "", "X-Token", token).wantBody(
			`{"roles":["admin"],"introduction":"","avatar":"","name":"alice","username":"alice"}` + "\n")
	}
	g.do("GET", "/admin/user/info", "").wantBody(`{"roles":["admin"],"introduction":"","avatar":"","name":"admin-token","username":"admin-token"}` + "\n")
	g.send("GET", "/v1/routes", "", "Authorization", "Bearer "+token).want(401)
	g.send("GET", "/v1/routes", "", "X-Api-Token", token).want(401)
	g.send("GET", "/v1/routes", "", "X-Token", "").want(401)
	g.send("GET", "/admin/user/info", "").want(401)
}

// No account exists at first, and a wrong name is not told from a wrong password.
func TestAWrongLoginSaysNothing(t *testing.T) {
	g := newGateway(t)
	if got := g.login("admin", "admin1"); got.status != 500 || got.body != seedBadLogin {
		t.Fatalf("%d %s", got.status, got.body)
	}
	g.withAccount("alice", RoleAdmin)
	unknown, wrong := g.login("bob", testPassword), g.login("alice", "close sesame")
	if unknown.status != 500 || unknown.body != seedBadLogin || wrong.status != unknown.status || wrong.body != unknown.body {
		t.Errorf("%d %s, %d %s", unknown.status, unknown.body, wrong.status, wrong.body)
	}
	for _, body := range []string{`{}`, `{"username":"alice"}`, `{"username":"","password":"x"}`, `{"username":"alice","password":7}`} {
		if got := g.send("POST", loginPath, body); got.status != 500 || got.body != seedNoLogin {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	if got := g.send("POST", loginPath, ""); got.status != 500 || got.body != seedNoBody {
		t.Errorf("nothing: %d %s", got.status, got.body)
	}
	g.send("GET", loginPath, "").want(405)
}

func TestASessionEndsWhenItIsToldTo(t *testing.T) {
	g := newGateway(t).withAccount("alice", RoleAdmin)
	first, second := g.token("alice"), g.token("alice")
	if got := g.send("POST", "/admin/logout", "", "X-Token", first); got.status != 200 || got.body != "ok" {
		t.Fatalf("logout: %d %s", got.status, got.body)
	}
	if a, b := g.asks("GET", "/v1/routes", first), g.asks("GET", "/v1/routes", second); a != 401 || b != 200 {
		t.Errorf("after the logout of the first: %d, %d", a, b)
	}
	accounts := NewAccounts(g.store)
	accounts.hashing = quickly
	if err := accounts.SetPassword(t.Context(), "alice", testPassword); err != nil {
		t.Fatal(err)
	}
	if status := g.asks("GET", "/v1/routes", second); status != 401 {
		t.Errorf("after a new password: %d", status)
	}
	third := g.token("alice")
	if err := accounts.Remove(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if status := g.asks("GET", "/v1/routes", third); status != 401 {
		t.Errorf("after the account's end: %d", status)
	}
	g.do("GET", "/admin/logout", "").wantBody("ok")
}

// A role counts from the moment it is given, also in sessions that are open.
func TestAViewerChangesNothing(t *testing.T) {
	g := newGateway(t).withAccount("bob", RoleViewer)
	token := g.token("bob")
	for call, status := range map[string]int{
		"GET /v1/routes": 200, "POST /admin/routes/list": 200, "GET /admin/user/info": 200, "POST /admin/routes/save": 403, "GET /admin/routes/save": 403,
		"GET /admin/services/remove": 403, "PUT /v1/routes/a": 403, "DELETE /v1/routes/a": 403,
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := g.asks(method, path, token); got != status {
			t.Errorf("%s: %d, want %d", call, got, status)
		}
	}
	if err := NewAccounts(g.store).SetRole(t.Context(), "bob", RoleAdmin); err != nil {
		t.Fatal(err)
	}
	if got := g.asks("DELETE", "/v1/routes/a", token); got != 404 {
		t.Errorf("as an admin: %d", got)
	}
}

// The gateways of one store take one another's tokens.
func TestAllGatewaysOfAStoreAgreeOnASession(t *testing.T) {
	g := newGateway(t).withAccount("alice", RoleAdmin)
	other := newGateway(t, func(d *Deps) { d.Store = g.store })
	token := g.token("alice")
	if got := other.asks("GET", "/v1/routes", token); got != 200 {
		t.Errorf("at the other: %d", got)
	}
	other.send("POST", "/admin/logout", "", "X-Token", token)
	if got := g.asks("GET", "/v1/routes", token); got != 401 {
		t.Errorf("after a logout at the other: %d", got)
	}
}

func TestTooManyFailedLoginsAreSlowedAndCounted(t *testing.T) {
	g := newGateway(t).withAccount("alice", RoleAdmin)
	for range freeFailures + 1 {
		g.login("alice", "close sesame")
	}
	slow := g.login("alice", testPassword)
	if slow.status != http.StatusTooManyRequests || slow.body != seedTooMany || slow.header.Get("Retry-After") != "1" {
		t.Errorf("%d %s, Retry-After %q", slow.status, slow.body, slow.header.Get("Retry-After"))
	}
	metrics := g.send("GET", "/metrics", "").body
	for _, want := range []string{`sluice_admin_logins_total{result="failed"} 4`, `sluice_admin_logins_total{result="slowed"} 1`, `sluice_admin_logins_total{result="ok"} 0`} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

// Secrets leave through no call, no log and no metric.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	var logs strings.Builder
	var mu sync.Mutex
	g := newGateway(t, func(d *Deps) {
		d.Log = slog.New(slog.NewTextHandler(locked{&mu, &logs}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	g.withAccount("alice", RoleAdmin)
	g.login("alice", "close sesame")
	g.login("wrong field: open sesame", "alice")
	token := g.token("alice")
	var stored account
	(&answer{t: t, body: g.store.value("users/alice")}).into(&stored)
	secrets := []string{stored.Password, strings.Split(stored.Password, "$")[5], stored.Generation, g.store.value(secretKey), testPassword, "close sesame", token}
	for _, one := range secrets {
		if len(one) < 10 {
			t.Fatalf("the test has no secret: %q", secrets)
		}
	}
	for _, call := range everyCall(t, g) {
		if call[0] != "GET" {
			continue
		}
		for _, path := range []string{call[1], strings.Replace(call[1], "/x", "/alice", 1)} {
			body := g.do("GET", path, "").body
			for _, one := range secrets {
				if strings.Contains(body, one) {
					t.Errorf("GET %s shows %s", path, one)
				}
			}
		}
	}
	for _, path := range []string{"/v1/secrets", "/v1/secrets/sessions", "/v1/routes/..%2Fusers%2Falice", "/v1/nodes/..%2Fsecrets%2Fsessions"} {
		if got := g.do("GET", path, ""); got.status != 404 || strings.Contains(got.body, "argon2") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, one := range secrets {
		if strings.Contains(logs.String(), one) {
			t.Errorf("the log has %s:\n%s", one, logs.String())
		}
	}
}

type locked struct {
	mu *sync.Mutex
	w  *strings.Builder
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

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
	secret, _ := s.key(t.Context(), false)
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

func TestTheWaitGrowsAndIsBounded(t *testing.T) {
	c := newClock()
	s := slowdown{longest: 30 * time.Second, now: c.Now}
	for i, want := range []time.Duration{0, 0, 0, 1, 2, 4, 8, 16, 30, 30} {
		s.fail("a")
		if got := s.wait("a"); got != want*time.Second {
			t.Errorf("after %d failures: %v, want %v", i+1, got, want*time.Second)
		}
	}
	if s.wait("b") != 0 {
		t.Error("somebody else waits too")
	}
	c.pass(29 * time.Second)
	if got := s.wait("a"); got != time.Second {
		t.Errorf("29 s later: %v", got)
	}
	s.succeed("a")
	if s.wait("a") != 0 || len(s.failed) != 0 {
		t.Error("a success is not the end of it")
	}
	for range 5 {
		s.fail("a")
	}
	c.pass(forgetAfter + time.Second)
	s.fail("a")
	if s.wait("a") != 0 {
		t.Error("old failures still count")
	}
	for i := range 2 * maxSlowed {
		s.fail(fmt.Sprint(i))
	}
	last := fmt.Sprint(2*maxSlowed - 1)
	if n := len(s.failed) + len(s.before); n > maxSlowed || n < maxSlowed/2 || s.of(last).count != 1 {
		t.Errorf("%d are remembered; the last: %+v", n, s.of(last))
	}
	for range freeFailures {
		s.fail(last)
	}
	if s.wait(last) != time.Second {
		t.Errorf("the last waits for %v", s.wait(last))
	}
}

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
		"password": a.SetPassword(context.Background(), "bob", testPassword), "role": a.SetRole(context.Background(), "bob", RoleAdmin), "remove": a.Remove(context.Background(), "bob"),
	} {
		if !errors.Is(err, ErrNoAccount) {
			t.Errorf("%s of nobody: %v", what, err)
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
	g.do("POST", "/v1/users", `{"name":"bob","role":"root","password":"`+testPassword+`"}`).want(422)
	token := g.token("alice")
	if read, write := g.asks("GET", "/v1/users", token), g.asks("DELETE", "/v1/users/alice", token); read != 200 || write != 403 {
		t.Errorf("as a viewer: %d, %d", read, write)
	}
	g.do("PATCH", "/v1/users/alice", `{}`).want(422)
	g.do("PATCH", "/v1/users/bob", `{"role":"admin"}`).want(404)
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
}
