package cli

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"

	"sluice/control/admin"
)

// accounts is where the commands on accounts do their work: in the store, or through the admin API.
type accounts interface {
	Add(ctx context.Context, name, password string, role admin.Role) error
	Change(ctx context.Context, name, password string, role admin.Role) error // "" = stays
	Remove(ctx context.Context, name string) error
}

// remoteAccounts are those of a running gateway.
type remoteAccounts struct{ *remote }

// Add implements accounts.
func (a remoteAccounts) Add(ctx context.Context, name, password string, role admin.Role) error {
	return a.send(ctx, http.MethodPost, "/v1/users", map[string]string{"name": name, "role": string(role), "password": password})
}

// Change implements accounts.
func (a remoteAccounts) Change(ctx context.Context, name, password string, role admin.Role) error {
	body := map[string]string{"password": password, "role": string(role)}
	maps.DeleteFunc(body, func(_, value string) bool { return value == "" })
	return a.send(ctx, http.MethodPatch, "/v1/users/"+url.PathEscape(name), body)
}

// Remove implements accounts.
func (a remoteAccounts) Remove(ctx context.Context, name string) error {
	return a.send(ctx, http.MethodDelete, "/v1/users/"+url.PathEscape(name), nil)
}

func (a remoteAccounts) send(ctx context.Context, method, path string, body map[string]string) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	_, err := a.call(ctx, method, path, nil, text)
	return err
}

var (
	_ accounts = remoteAccounts{}
	_ accounts = (*admin.Accounts)(nil)
)
