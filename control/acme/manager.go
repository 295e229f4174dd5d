// Package acme obtains certificates from authorities (ACME, RFC 8555) and renews them, off the event loops. certmagic does the work under its locks, with its storage in the
// store that all gateways share; so one of them asks the authority, whatever their number.
//
//	certificates/<id> with "acme" ──► engine ──► Manager ──► certmagic ──► authority
//	                                    ▲                                     │ asks any gateway
//	       acme/issued/<name>, acme/challenge/<…> ◄── what came of it ────────┘
package acme

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"sluice/control"
)

// Options is what a [Manager] works with. All but Every is needed.
type Options struct {
	Store   control.Store
	Wanted  func() []control.ACMEName // what is wanted, and what is in force of it
	Applied func() int64              // the revision of the store that is in force
	Log     *slog.Logger
	Every   time.Duration // how often it looks; 0 = every ten seconds

	locks  lockTimes     // zero = the default ones; for tests
	margin time.Duration // the same
}

// Manager obtains what is wanted.
type Manager struct {
	options Options
	storage *storage
	cache   *certmagic.Cache
	failed  map[string]failure // by name, as far as this gateway has heard
}

// failure is how often in a row a name could not be had, and from when on it is tried again. It is kept in the storage: a fleet that is refused must not be refused
// once for each of its gateways.
type failure struct {
	Times int       `json:"times"`
	Until time.Time `json:"until"`
}

const failureFolder = "failures/"

// Waits after a failure: doubled from a minute to six hours. Authorities bound failures by account, name and hour (Let's Encrypt: five).
const (
	firstRetry = time.Minute
	lastRetry  = 6 * time.Hour
)

const (
	lookEvery   = 10 * time.Second
	obtainLimit = 5 * time.Minute // for one name
)

// NewManager returns a manager. Run follows.
func NewManager(o Options) *Manager {
	if o.Every == 0 {
		o.Every = lookEvery
	}
	if o.locks.life == 0 {
		o.locks = defaultLockTimes
	}
	if o.margin == 0 {
		o.margin = settle
	}
	return &Manager{options: o, storage: newStorage(o.Store, o.locks), failed: make(map[string]failure)}
}

// Run obtains and renews until ctx ends. One name at a time: a certificate is good for weeks.
func (m *Manager) Run(ctx context.Context) {
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) {
			return nil, errors.New("acme: nothing is cached")
		},
		Logger: zap.NewNop(),
	})
	defer m.cache.Stop()
	for {
		for _, name := range m.options.Wanted() {
			if ctx.Err() == nil && m.due(&name, time.Now()) {
				m.see(ctx, &name)
			}
		}
		if sleep(ctx, m.options.Every) != nil {
			return
		}
	}
}

// due reports whether there is something to do for a name: it has no certificate, or one in the last third of its life, and has not failed a moment ago.
func (m *Manager) due(name *control.ACMEName, now time.Time) bool {
	if now.Before(m.failed[name.Name].Until) {
		return false
	}
	return name.Leaf == nil || ending(name.Leaf, now)
}

func ending(leaf *x509.Certificate, now time.Time) bool {
	return now.After(leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3))
}

// see obtains a name and notes how that ended.
func (m *Manager) see(ctx context.Context, name *control.ACMEName) {
	limited, cancel := context.WithTimeout(ctx, obtainLimit)
	defer cancel()
	at := failureFolder + name.Name
	var f failure
	if b, err := m.storage.Load(limited, at); err == nil && json.Unmarshal(b, &f) == nil {
		if m.failed[name.Name] = f; time.Now().Before(f.Until) {
			return // another gateway has failed a moment ago
		}
	}
	err := m.obtain(limited, name)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		wait := min(firstRetry<<min(f.Times, 16), lastRetry)
		f = failure{f.Times + 1, time.Now().Add(wait)}
		m.failed[name.Name] = f
		if b, err := json.Marshal(f); err == nil {
			_ = m.storage.Store(limited, at, b) // without it every gateway tries for itself
		}
		m.options.Log.Error("no certificate could be obtained", "name", name.Name, "directory", name.Config.Directory, "again_in", wait.String(), "error", err)
	case f.Times > 0:
		delete(m.failed, name.Name)
		_ = m.storage.Delete(limited, at) // it has no effect any more
	}
}

// obtain asks for a certificate, unless another gateway has, and puts it into the store for all.
func (m *Manager) obtain(ctx context.Context, name *control.ACMEName) error {
	issuer := &issuer{config: name.Config, storage: m.storage, log: m.options.Log, solver: &solver{m.options.Store, m.options.Applied, m.options.margin}}
	config := certmagic.New(m.cache, certmagic.Config{
		Storage: m.storage, Issuers: []certmagic.Issuer{issuer}, Logger: zap.NewNop(), DisableARI: true, DisableStorageCheck: true,
		KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256}, OCSP: certmagic.OCSPConfig{DisableStapling: true},
	})
	if err := config.ObtainCertSync(ctx, name.Name); err != nil {
		return err
	}
	if name.Leaf != nil { // it is about to end, unless another gateway has renewed it
		if err := config.RenewCertSync(ctx, name.Name, false); err != nil {
			return err
		}
	}
	return m.publish(ctx, issuer.key(), name.Name)
}

// publish puts what certmagic has kept where gateways look.
func (m *Manager) publish(ctx context.Context, issuerKey, name string) error {
	cert, err := m.storage.Load(ctx, certmagic.StorageKeys.SiteCert(issuerKey, name))
	if err != nil {
		return err
	}
	key, err := m.storage.Load(ctx, certmagic.StorageKeys.SitePrivateKey(issuerKey, name))
	if err != nil {
		return err
	}
	value, err := json.Marshal(control.Issued{Cert: string(cert), Key: string(key)})
	if err != nil {
		return err
	}
	at := control.IssuedFolder + name
	if e, err := m.options.Store.Get(ctx, at); err == nil && bytes.Equal(e.Value, value) {
		return nil
	}
	if _, err = m.options.Store.Put(ctx, at, value, control.Precondition{}); err == nil {
		m.options.Log.Info("certificate obtained", "name", name)
	}
	return err
}
