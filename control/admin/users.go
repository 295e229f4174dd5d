package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/control"
	"sluice/internal/problem"
)

// User is an account as the API shows it: no call shows more.
type User struct {
	Name    string    `json:"name"`
	Role    Role      `json:"role" enum:"admin,viewer"`
	Changed time.Time `json:"changed" doc:"when the password was"`
}

// UserPage is all accounts.
type UserPage struct {
	Items []User `json:"items" nullable:"false" doc:"in the order of names"`
}

type usersOutput struct{ Body *UserPage }

type newUserInput struct {
	Body struct {
		Name     string `json:"name"`
		Role     Role   `json:"role" enum:"admin,viewer"`
		Password string `json:"password" writeOnly:"true"`
	}
}

// UserPath is the path of one account. It is exported for the reason that IDPath is.
type UserPath struct {
	Name string `path:"name"`
}

type changeUserInput struct {
	UserPath
	Body struct {
		Role     Role   `json:"role,omitempty" enum:"admin,viewer" doc:"absent = stays"`
		Password string `json:"password,omitempty" writeOnly:"true" doc:"absent = stays; a new one ends all sessions"`
	}
}

// users are the calls on accounts.
type users struct {
	accounts *Accounts
	log      *slog.Logger
}

func registerUsers(api huma.API, accounts *Accounts, log *slog.Logger) {
	u := &users{accounts, log}
	operation := func(id, method, path, summary string, status int) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"users"}, DefaultStatus: status, MaxBodyBytes: 16 << 10}
	}
	const all, one = "/v1/users", "/v1/users/{name}"
	huma.Register(api, operation("list-users", http.MethodGet, all, "List accounts", http.StatusOK), func(ctx context.Context, _ *struct{}) (*usersOutput, error) {
		page, err := u.list(ctx)
		if err != nil {
			return nil, err
		}
		return &usersOutput{page}, nil
	})
	huma.Register(api, operation("add-user", http.MethodPost, all, "Make an account", http.StatusNoContent), func(ctx context.Context, in *newUserInput) (*struct{}, error) {
		return nil, u.done(ctx, "account made", in.Body.Name, accounts.Add(ctx, in.Body.Name, in.Body.Password, in.Body.Role))
	})
	huma.Register(api, operation("change-user", http.MethodPatch, one, "Give an account another password, or role", http.StatusNoContent),
		func(ctx context.Context, in *changeUserInput) (*struct{}, error) {
			return nil, u.done(ctx, "account changed", in.Name, accounts.Change(ctx, in.Name, in.Body.Password, in.Body.Role))
		})
	huma.Register(api, operation("remove-user", http.MethodDelete, one, "Remove an account, and end its sessions", http.StatusNoContent),
		func(ctx context.Context, in *UserPath) (*struct{}, error) {
			return nil, u.done(ctx, "account removed", in.Name, accounts.Remove(ctx, in.Name))
		})
}

// list answers with all accounts.
func (u *users) list(ctx context.Context) (*UserPage, error) {
	entries, _, err := u.accounts.store.List(ctx, control.Users.Folder(), "", 0)
	if err != nil {
		return nil, storeFailed(err)
	}
	page := &UserPage{Items: []User{}}
	for _, e := range entries {
		var stored account
		if json.Unmarshal(e.Value, &stored) == nil {
			page.Items = append(page.Items, User{strings.TrimPrefix(e.Key, control.Users.Folder()), stored.Role, stored.Changed})
		}
	}
	return page, nil
}

// done answers to what became of a change.
func (u *users) done(ctx context.Context, said, name string, err error) error {
	wrong := accountErrors(err)
	switch {
	case err == nil:
		u.log.Info(said, "account", name, "by", identityOf(ctx).Name)
		return nil
	case len(wrong) > 0:
		var p problem.Problems
		for _, one := range wrong {
			p.Add(one.Field, "%v", one)
		}
		return refused("body", p)
	case errors.Is(err, ErrAccountExists):
		return huma.NewError(http.StatusConflict, err.Error())
	case errors.Is(err, ErrNoAccount):
		return huma.NewError(http.StatusNotFound, err.Error())
	case errors.Is(err, control.ErrConflict):
		return errContended
	}
	return writeFailed(err)
}
