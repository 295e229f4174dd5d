package admin

import (
	"context"
	"net/http"
	"strings"

	"sluice/control"
)

// Role is what somebody may do.
type Role string

// The roles.
const (
	RoleAdmin  Role = "admin"  // everything
	RoleViewer Role = "viewer" // look at everything that is no secret and no profile
)

// Identity is who makes a request. It is what the history says of a change.
type Identity struct {
	Name string // of the account; TokenName for whoever has the token
	Role Role
}

// TokenName is the name of whoever shows the admin token.
const TokenName = "admin-token"

// authenticator finds out who makes a request; ok is false where it cannot tell. It is called by many goroutines at once.
type authenticator func(r *http.Request) (who Identity, ok bool)

type callerKey struct{}

// caller is what the context of a request knows of it.
type caller struct {
	Identity
	from string // address
	call string // method and path
}

// withIdentity returns the request with a context that knows who makes it.
func withIdentity(r *http.Request, who Identity) *http.Request {
	c := caller{who, clientOf(r).String(), r.Method + " " + r.URL.EscapedPath()}
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

// identityOf returns who makes the request of a context. The zero Identity is nobody, and may do nothing.
func identityOf(ctx context.Context) Identity {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c.Identity
}

// authorOf returns what the history says of a change that the request of a context makes.
func authorOf(ctx context.Context) control.Author {
	c, _ := ctx.Value(callerKey{}).(caller)
	return control.Author{Name: c.Name, Role: string(c.Role), From: c.from, Call: c.call}
}

// asking are calls that change nothing although they may be POST.
var asking = map[string]bool{
	"/v1/explain": true, "/admin/user/info": true, "/admin/logout": true,
	"/admin/routes/list": true, "/admin/services/list": true, "/admin/plugins/list": true,
}

// may reports whether a request is within a role.
func (role Role) may(r *http.Request) bool {
	switch role {
	case RoleAdmin:
		return true
	case RoleViewer:
		switch {
		case strings.HasPrefix(r.URL.Path, "/admin/"):
			return asking[r.URL.Path] // ws-cloud-gateway takes writes by GET too
		case strings.HasPrefix(r.URL.Path, profilePath):
			return false
		}
		return r.Method == http.MethodGet || r.Method == http.MethodHead || asking[r.URL.Path]
	}
	return false
}
