package acme

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"sluice/control"
)

// solver makes challenges known to all gateways, by the way that every change takes: the store, the watch, the snapshot. Whichever of them the authority asks can
// answer, without a look elsewhere.
type solver struct {
	store   control.Store
	applied func() int64  // the revision that is in force here
	margin  time.Duration // what the other gateways have to catch up
}

// settle is how long after this gateway the others may have a change: one is in force within 100 ms of its write.
const settle = 500 * time.Millisecond

// Present writes the challenge and waits until it is in force.
func (s *solver) Present(ctx context.Context, c acme.Challenge) error {
	stored := control.Challenge{Token: c.Token, Answer: c.KeyAuthorization}
	if c.Type == acme.ChallengeTypeTLSALPN01 {
		pair, err := acmez.TLSALPN01ChallengeCert(c)
		if err != nil {
			return err
		}
		der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
		if err != nil {
			return err
		}
		stored = control.Challenge{
			Name: c.Identifier.Value,
			Cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})),
			Key:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		}
	}
	b, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	revision, err := s.store.Put(ctx, challengeKey(c), b, control.Precondition{})
	if err != nil {
		return err
	}
	for s.applied() < revision {
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return sleep(ctx, s.margin)
}

// CleanUp takes the challenge away.
func (s *solver) CleanUp(ctx context.Context, c acme.Challenge) error {
	_, err := s.store.Delete(context.WithoutCancel(ctx), challengeKey(c), control.Precondition{})
	if errors.Is(err, control.ErrNotFound) {
		return nil
	}
	return err
}

// challengeKey names a challenge by what is asked: tokens are the authority's and could be anything.
func challengeKey(c acme.Challenge) string {
	sum := sha256.Sum256([]byte(c.Type + " " + c.Identifier.Value + " " + c.Token))
	return control.ChallengeFolder + hex.EncodeToString(sum[:16])
}
