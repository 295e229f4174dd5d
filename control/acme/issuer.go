package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"sluice/control"
)

// issuer asks one authority, in the name of one account. It is certmagic's in that certmagic calls it under its lock and keeps what it returns.
type issuer struct {
	config  control.CertificateACME
	storage *storage
	solver  *solver
	log     *slog.Logger
}

// key names authority and account in the storage.
func (i *issuer) key() string {
	host := "authority"
	if u, err := url.Parse(i.config.Directory); err == nil {
		host = u.Host
	}
	sum := sha256.Sum256([]byte(i.config.Directory + " " + i.config.Email))
	return certmagic.StorageKeys.Safe(host) + "-" + hex.EncodeToString(sum[:6])
}

// IssuerKey is key.
func (i *issuer) IssuerKey() string { return i.key() }

// Issue obtains a certificate for a request.
func (i *issuer) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	client, done := i.client()
	defer done()
	account, err := i.account(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("acme: account at %s: %w", i.config.Directory, err)
	}
	order, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return nil, fmt.Errorf("acme: order: %w", err)
	}
	chains, err := client.ObtainCertificate(ctx, order)
	if err != nil {
		return nil, fmt.Errorf("acme: %s: %w", i.config.Directory, err)
	}
	if len(chains) == 0 {
		return nil, errors.New("acme: the authority has sent no certificate")
	}
	return &certmagic.IssuedCertificate{Certificate: chains[0].ChainPEM, Metadata: chains[0]}, nil
}

// client returns what speaks to the authority; done lets its connections go.
func (i *issuer) client() (client *acmez.Client, done func()) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: 10 * time.Second}
	if i.config.CA != "" {
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		transport.TLSClientConfig.RootCAs.AppendCertsFromPEM([]byte(i.config.CA))
	}
	return &acmez.Client{
		Client: &acme.Client{
			Directory: i.config.Directory, UserAgent: "sluice", Logger: i.log,
			HTTPClient: &http.Client{Transport: transport, Timeout: 30 * time.Second},
		},
		ChallengeSolvers: map[string]acmez.Solver{i.config.Challenge: i.solver},
	}, transport.CloseIdleConnections
}

// storedAccount is an account with its key.
type storedAccount struct {
	Account acme.Account `json:"account"`
	Key     []byte       `json:"key"` // PEM
}

// account returns the account at the authority, and makes one at first: one for all gateways.
func (i *issuer) account(ctx context.Context, client *acmez.Client) (acme.Account, error) {
	at := "accounts/" + i.key()
	if err := i.storage.Lock(ctx, "account "+i.key()); err != nil {
		return acme.Account{}, err
	}
	defer func() { _ = i.storage.Unlock(context.WithoutCancel(ctx), "account "+i.key()) }() // it ends by itself too
	b, err := i.storage.Load(ctx, at)
	if err == nil {
		return readAccount(b)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return acme.Account{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return acme.Account{}, err
	}
	account := acme.Account{TermsOfServiceAgreed: i.config.TermsAgreed, PrivateKey: key}
	if i.config.Email != "" {
		account.Contact = []string{"mailto:" + i.config.Email}
	}
	if account, err = client.NewAccount(ctx, account); err != nil {
		return account, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return account, err
	}
	b, err = json.Marshal(storedAccount{account, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})})
	if err != nil {
		return account, err
	}
	return account, i.storage.Store(ctx, at, b)
}

func readAccount(b []byte) (acme.Account, error) {
	var stored storedAccount
	if err := json.Unmarshal(b, &stored); err != nil {
		return acme.Account{}, err
	}
	block, _ := pem.Decode(stored.Key)
	if block == nil {
		return acme.Account{}, errors.New("the stored key is no PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return acme.Account{}, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return acme.Account{}, errors.New("the stored key cannot sign")
	}
	stored.Account.PrivateKey = signer
	return stored.Account, nil
}

var _ certmagic.Issuer = (*issuer)(nil)
