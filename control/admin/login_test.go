package admin

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"sluice/control"
)

// withAccount adds an account with [testPassword].
func (g *gateway) withAccount(name string, role Role) *gateway {
	g.t.Helper()
	a := NewAccounts(g.store, control.Author{})
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
	accounts := NewAccounts(g.store, control.Author{})
	accounts.hashing = quickly
	if err := accounts.Change(t.Context(), "alice", testPassword, ""); err != nil {
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
	if err := NewAccounts(g.store, control.Author{}).Change(t.Context(), "bob", "", RoleAdmin); err != nil {
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

// A wrong name and a wrong password are no error of the gateway's, and the log has none; a hash that cannot be read is.
func TestAFailedLoginHasAnErrorInTheLogOnlyWhereThereIsOne(t *testing.T) {
	var logs strings.Builder
	var mu sync.Mutex
	g := newGateway(t, func(d *Deps) { d.Log = slog.New(slog.NewTextHandler(locked{&mu, &logs}, nil)) }).withAccount("alice", RoleAdmin).withAccount("eve", RoleAdmin)
	var eve account
	(&answer{t: t, body: g.store.value("users/eve")}).into(&eve)
	eve.Password = "plain"
	g.store.set("users/eve", string(eve.encode()))
	g.login("alice", "close sesame")
	g.login("nobody", testPassword)
	g.login("eve", testPassword)
	mu.Lock()
	defer mu.Unlock()
	var failed []string
	for line := range strings.Lines(logs.String()) {
		if strings.Contains(line, "login failed") {
			failed = append(failed, line)
		}
	}
	if len(failed) != 3 || strings.Contains(failed[0], "error=") || strings.Contains(failed[1], "error=") || !strings.Contains(failed[2], "error=") {
		t.Errorf("%q", failed)
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
		for _, path := range slices.Compact([]string{call[1], strings.Replace(call[1], "/x", "/alice", 1)}) {
			if path == profilePath+"profile" {
				path += "?seconds=1" // it would take 30 s
			}
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
