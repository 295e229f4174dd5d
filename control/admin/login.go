package admin

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"sluice/core/observe"
	"sluice/internal/strict"
)

// logins are ws-cloud-gateway's calls for people: /admin/login, /admin/logout and /admin/user/info.
type logins struct {
	accounts *Accounts
	sessions *sessions
	names    slowdown
	peers    slowdown
	turns    turns
	decoy    func() string // a hash of nobody's password
	stats    *observe.Registry
	log      *slog.Logger
}

// What the calls say.
const (
	seedNoLogin  = "用户名或密码为空"
	seedBadLogin = "用户名或密码错误"
	seedTooMany  = "登录失败次数过多，请稍后再试"
)

// The bounds of the two slowdowns. Whoever knows a name can keep its owner out for as long as that of names is, so it is short; an address has only itself to blame.
const (
	slowestName = 30 * time.Second
	slowestPeer = 5 * time.Minute
)

func newLogins(accounts *Accounts, stats *observe.Registry, log *slog.Logger) *logins {
	return &logins{
		accounts: accounts,
		sessions: &sessions{accounts: accounts},
		names:    slowdown{longest: slowestName, now: accounts.now},
		peers:    slowdown{longest: slowestPeer, now: accounts.now},
		turns:    turns{slots: make(chan struct{}, hashesAtOnce)},
		decoy:    sync.OnceValue(func() string { return accounts.hashing.encode(randomID()) }),
		stats:    stats,
		log:      log,
	}
}

// calls are the calls, for registerSeed.
func (l *logins) calls() []seedCall {
	both := []string{http.MethodGet, http.MethodPost}
	return []seedCall{
		{path: loginPath, summary: "Log in: a token for the field X-Token", methods: []string{http.MethodPost}, open: true, do: l.login},
		{path: "/admin/logout", summary: "End the session", methods: both, do: l.logout},
		{path: "/admin/user/info", summary: "Ask who is logged in", methods: both, do: l.info},
	}
}

const loginPath = "/admin/login"

// login answers to a name and a password with a token of eight hours.
func (l *logins) login(w http.ResponseWriter, r *http.Request) {
	doc := seedBody(w, r, http.StatusInternalServerError)
	if doc == nil {
		return
	}
	name, password := seedText(doc, "username"), ""
	if n := doc.Get("password"); n != nil && n.Kind == strict.String {
		password = n.Text
	}
	if name == "" || password == "" {
		seedSay(w, http.StatusInternalServerError, seedNoLogin)
		return
	}
	if len(name) > 64 {
		name = name[:64] // no account has such a name, and nobody's log wants it
	}
	peer := addressKey(clientOf(r))
	token, err := l.try(r.Context(), name, password, peer)
	var slow *slowError
	switch {
	case err == nil:
		l.stats.CountLogin(observe.LoginOK)
		l.log.Info("logged in", "account", name, "peer", peer)
		seedShow(w, map[string]string{"token": token})
	case errors.As(err, &slow):
		l.stats.CountLogin(observe.LoginSlowed)
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(slow.wait.Seconds()))))
		seedSay(w, http.StatusTooManyRequests, seedTooMany)
	case errors.Is(err, errWrongLogin):
		l.stats.CountLogin(observe.LoginFailed)
		seedSay(w, http.StatusInternalServerError, seedBadLogin)
	default:
		seedFailed(w, err)
	}
}

// errWrongLogin does not tell a name that does not exist from a password that is wrong.
var errWrongLogin = errors.New("admin: wrong name or password")

// slowError is a login that comes too soon after others that failed.
type slowError struct{ wait time.Duration }

func (e *slowError) Error() string { return "admin: too many failed logins" }

// try checks a name and a password and opens a session. The time it takes does not depend on whether there is such an account.
func (l *logins) try(ctx context.Context, name, password, peer string) (string, error) {
	if err := l.mayTry(name, peer); err != nil {
		return "", err
	}
	if !l.turns.take(ctx) {
		return "", &slowError{time.Second}
	}
	defer l.turns.give()
	if err := l.mayTry(name, peer); err != nil { // some may have failed while this one waited
		return "", err
	}
	stored, _, err := l.accounts.get(ctx, name)
	hash, known := l.decoy(), err == nil
	switch {
	case known:
		hash = stored.Password
	case !errors.Is(err, ErrNoAccount):
		return "", err
	}
	same, err := matchesHash(hash, password)
	if !same || !known {
		l.names.fail(name)
		l.peers.fail(peer)
		if !known {
			name = "(none)" // people type their password where the name belongs
		}
		said := []any{"account", name, "peer", peer}
		if err != nil { // the hash that is stored cannot be read
			said = append(said, "error", err)
		}
		l.log.Warn("login failed", said...)
		return "", errWrongLogin
	}
	l.names.succeed(name)
	l.peers.succeed(peer)
	return l.sessions.open(ctx, name, stored)
}

// mayTry reports whether a name and an address have waited for long enough.
func (l *logins) mayTry(name, peer string) error {
	if wait := max(l.names.wait(name), l.peers.wait(peer)); wait > 0 {
		return &slowError{wait}
	}
	return nil
}

// logout ends the session. Whoever has the admin token has none.
func (l *logins) logout(w http.ResponseWriter, r *http.Request) {
	if token := r.Header.Get("X-Token"); token != "" {
		who, said, err := l.sessions.check(r.Context(), token)
		if err == nil {
			err = l.accounts.end(r.Context(), who.Name, session{ID: said.ID, Until: said.Expiry.Time().Unix()})
		}
		if err != nil && !errors.Is(err, errNoSession) && !errors.Is(err, ErrNoAccount) {
			seedFailed(w, err)
			return
		}
	}
	seedSay(w, http.StatusOK, seedOK)
}

// info answers with who asks.
func (l *logins) info(w http.ResponseWriter, r *http.Request) {
	who := identityOf(r.Context())
	seedShow(w, struct {
		Roles        []Role `json:"roles"`
		Introduction string `json:"introduction"`
		Avatar       string `json:"avatar"`
		Name         string `json:"name"`
		Username     string `json:"username"`
	}{[]Role{who.Role}, "", "", who.Name, who.Name})
}
