package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"sync/atomic"
)

// open are the calls that need no token: what a load balancer and a Prometheus ask, and the one that gives a token for a password.
var open = map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true, loginPath: true}

// token is what callers must show. It may change while calls are under way. The zero value lets nobody in.
type token struct {
	hash atomic.Pointer[[sha256.Size]byte]
}

// set changes the token; "" lets nobody in.
func (t *token) set(secret string) {
	if secret == "" {
		t.hash.Store(nil)
		return
	}
	hash := sha256.Sum256([]byte(secret))
	t.hash.Store(&hash)
}

// is reports whether shown is the token. Hashes are of one length: the time of the comparison tells neither content nor length.
func (t *token) is(shown string) bool {
	want := t.hash.Load()
	if want == nil {
		return false
	}
	got := sha256.Sum256([]byte(shown))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// identify is the token's authenticator: Authorization, or X-Api-Token.
func (t *token) identify(r *http.Request) (Identity, bool) {
	return Identity{Name: TokenName, Role: RoleAdmin}, t.is(bearer(r)) || t.is(r.Header.Get("X-Api-Token"))
}

// authenticated lets requests through whose author one of the ways tells, and puts him into their context. All others get one and the same answer, whether or
// not there is something at the path, so that nothing can be learnt without a token.
//
// The token also is the defence against pages in an operator's browser (DNS rebinding, forged forms): none of them knows it, and it is
// never in a cookie.
func authenticated(next http.Handler, ways ...authenticator) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open[r.URL.Path] {
			next.ServeHTTP(w, r)
			return
		}
		for _, way := range ways {
			who, ok := way(r)
			switch {
			case !ok:
			case who.Role.may(r):
				next.ServeHTTP(w, withIdentity(r, who))
				return
			default:
				writeProblem(w, http.StatusForbidden, "a "+string(who.Role)+" may look at everything but profiles, and change nothing")
				return
			}
		}
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110 §11.6.1: a 401 has it
		writeProblem(w, http.StatusUnauthorized, "")
	})
}

// bearer returns the token of an Authorization field, or "". RFC 6750 §2.1; the scheme's case does not matter, RFC 9110 §11.1.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " ")
}
