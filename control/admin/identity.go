package admin

import (
	"context"
	"net/http"
)

// Role is what somebody may do.
type Role string

// The roles.
const (
	RoleAdmin  Role = "admin"  // everything
	RoleViewer Role = "viewer" // look at everything that is no secret
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

type identityKey struct{}

// withIdentity returns a context that knows who asks.
func withIdentity(ctx context.Context, who Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, who)
}

// identityOf returns who makes the request of a context. The zero Identity is nobody, and may do nothing.
func identityOf(ctx context.Context) Identity {
	who, _ := ctx.Value(identityKey{}).(Identity)
	return who
}

// asking are calls that change nothing although they are POST.
var asking = map[string]bool{"/v1/explain": true}

// may reports whether a request is within a role.
func (role Role) may(r *http.Request) bool {
	switch role {
	case RoleAdmin:
		return true
	case RoleViewer:
		return r.Method == http.MethodGet || r.Method == http.MethodHead || asking[r.URL.Path]
	}
	return false
}
