package admin

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sluice/control"
)

const (
	sessionTime = 8 * time.Hour // a working day: who logs in in the morning need not do so again

	// secretKey is where the key that signs sessions is stored. It belongs to no kind of resource, so that no call lists or shows it.
	secretKey   = "secrets/sessions"
	secretBytes = 32          // RFC 7518 §3.2: as many as HS256 gives
	secretAge   = time.Minute // after which it is read again: somebody may have replaced or deleted it
	maxSession  = 2048        // bytes of a token; ours have some 300
)

// sessions signs and checks the tokens of logins. A token holds while the account is there, its generation is the token's, and it was not logged out: all of that is in the
// store, so that all gateways agree.
type sessions struct {
	accounts *Accounts

	mu     sync.Mutex // guards the rest
	secret []byte
	readAt time.Time
	seen   map[string]account // by name, as read last: what holds while the store is away
}

// maxSeen bounds the accounts that are remembered.
const maxSeen = 1024

// claims are what a token says.
type claims struct {
	jwt.Claims
	Generation string `json:"gen"`
}

var errNoSession = errors.New("admin: not the token of a session")

// open returns a token for an account that has logged in.
func (s *sessions) open(ctx context.Context, name string, a *account) (string, error) {
	secret, err := s.key(ctx)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("admin: session: %w", err)
	}
	now := s.accounts.now()
	token, err := jwt.Signed(signer).Claims(claims{
		Claims:     jwt.Claims{Subject: name, ID: randomID(), IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(sessionTime))},
		Generation: a.Generation,
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("admin: session: %w", err)
	}
	return token, nil
}

// check returns whose token it is.
func (s *sessions) check(ctx context.Context, token string) (who Identity, said claims, err error) {
	if len(token) == 0 || len(token) > maxSession {
		return who, said, errNoSession
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return who, said, errNoSession
	}
	secret, err := s.key(ctx)
	if err != nil {
		return who, said, err
	}
	if parsed.Claims(secret, &said) != nil {
		return who, said, errNoSession
	}
	if said.Expiry == nil || said.ValidateWithLeeway(jwt.Expected{Time: s.accounts.now()}, 0) != nil {
		return who, said, errNoSession
	}
	stored, err := s.account(ctx, said.Subject)
	if err != nil {
		return who, said, err
	}
	ended := slices.ContainsFunc(stored.Ended, func(one session) bool { return one.ID == said.ID })
	if ended || stored.Generation != said.Generation {
		return who, said, errNoSession
	}
	return Identity{Name: said.Subject, Role: stored.Role}, said, nil
}

// account reads an account, or remembers it while the store cannot be reached.
func (s *sessions) account(ctx context.Context, name string) (*account, error) {
	stored, _, err := s.accounts.get(ctx, name)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		if s.seen == nil || len(s.seen) >= maxSeen {
			s.seen = make(map[string]account)
		}
		s.seen[name] = *stored
	case errors.Is(err, control.ErrUnavailable):
		if kept, ok := s.seen[name]; ok {
			return &kept, nil
		}
	default:
		delete(s.seen, name)
	}
	return stored, err
}

// key returns the key that sessions are signed with. The first gateway that needs one makes it. One that was read a while ago is read again, or kept while the store is away.
func (s *sessions) key(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	secret, age := s.secret, s.accounts.now().Sub(s.readAt)
	s.mu.Unlock()
	if secret != nil && age < secretAge {
		return secret, nil
	}
	read, err := s.readKey(ctx)
	if secret != nil && errors.Is(err, control.ErrUnavailable) {
		return secret, nil
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret, s.readAt = read, s.accounts.now()
	return read, nil
}

func (s *sessions) readKey(ctx context.Context) ([]byte, error) {
	for range attempts {
		e, err := s.accounts.store.Get(ctx, secretKey)
		if err == nil {
			secret, err := base64.RawStdEncoding.DecodeString(string(e.Value))
			if err != nil || len(secret) < secretBytes {
				return nil, fmt.Errorf("admin: what is stored at %s is not a key: delete it, and a new one is made", secretKey)
			}
			return secret, nil
		}
		if !errors.Is(err, control.ErrNotFound) {
			return nil, err
		}
		made := make([]byte, secretBytes)
		rand.Read(made)
		_, err = s.accounts.store.Put(ctx, secretKey, []byte(base64.RawStdEncoding.EncodeToString(made)), control.Precondition{Absent: true})
		if err != nil && !errors.Is(err, control.ErrConflict) {
			return nil, err
		}
		// Whoever was first decides.
	}
	return nil, control.ErrConflict
}

// identify is the sessions' authenticator: the field X-Token.
func (s *sessions) identify(r *http.Request) (Identity, bool) {
	who, _, err := s.check(r.Context(), r.Header.Get("X-Token"))
	return who, err == nil
}
