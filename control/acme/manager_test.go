package acme

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/control"
	"sluice/core/observe"
	"sluice/internal/testcert"
	"sluice/internal/testnet"
	"sluice/proxy"
	"sluice/upstream"
)

func testTLS(p *testcert.Pair) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{p.Certificate}}
}

// shared is a store in memory that tells every engine of each change, in order.
type shared struct {
	control.Store
	mu       sync.Mutex
	entries  map[string]control.Entry
	revision int64
	engines  []*control.Engine
}

func (s *shared) Get(_ context.Context, key string) (control.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok {
		return e, control.ErrNotFound
	}
	return e, nil
}

func (s *shared) List(_ context.Context, prefix, _ string, _ int) (list []control.Entry, _ int64, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, e := range s.entries {
		if strings.HasPrefix(key, prefix) {
			list = append(list, e)
		}
	}
	return list, s.revision, nil
}

func (s *shared) Put(_ context.Context, key string, value []byte, cond control.Precondition) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, there := s.entries[key]
	if cond.Absent && there || cond.Revision > 0 && e.ModRevision != cond.Revision {
		return 0, control.ErrConflict
	}
	s.revision++
	s.entries[key] = control.Entry{Key: key, Value: value, ModRevision: s.revision}
	s.tell(control.Change{Entry: s.entries[key]})
	return s.revision, nil
}

func (s *shared) Delete(_ context.Context, key string, cond control.Precondition) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, there := s.entries[key]
	if !there {
		return 0, control.ErrNotFound
	}
	if cond.Revision > 0 && e.ModRevision != cond.Revision {
		return 0, control.ErrConflict
	}
	s.revision++
	delete(s.entries, key)
	s.tell(control.Change{Entry: control.Entry{Key: key, ModRevision: s.revision}, Deleted: true})
	return s.revision, nil
}

func (s *shared) tell(c control.Change) {
	for _, e := range s.engines {
		e.Apply(control.Batch{Revision: s.revision, Changes: []control.Change{c}})
	}
}

// member is one gateway of a fleet.
type member struct {
	server  *proxy.Server
	engine  *control.Engine
	plain   int // ports
	secure  string
	manager *Manager
}

// fleet starts gateways that share a store.
func fleet(t *testing.T, n int) (*shared, []*member) {
	t.Helper()
	store := &shared{entries: map[string]control.Entry{}}
	var members []*member
	for range n {
		m := &member{}
		stats := observe.NewRegistry(1)
		config := proxy.Config{Workers: 1, Listeners: []proxy.ListenerConfig{{Address: "127.0.0.1:0", RedirectHTTPS: 443}, {Address: "127.0.0.1:0", TLS: true}}}
		config.Limits.SetDefaults()
		config.Timeouts.SetDefaults()
		var err error
		if m.server, err = proxy.New(config, stats, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		registry := upstream.NewRegistry(m.server.Loops(), stats)
		m.engine = control.NewEngine(control.Options{Upstream: registry, Stats: stats, Publish: m.server.Publish})
		m.engine.Apply(control.Batch{Full: true})
		if err := m.server.Listen(); err != nil {
			t.Fatal(err)
		}
		m.server.Start()
		t.Cleanup(func() { registry.Close(); m.server.Close() })
		m.plain, m.secure = int(m.server.Addrs()[0].Port()), m.server.Addrs()[1].String()
		store.engines = append(store.engines, m.engine)
		m.manager = NewManager(Options{
			Store: store, Wanted: m.engine.ACME, Applied: func() int64 { return m.engine.Status().Revision }, Log: slog.New(slog.DiscardHandler),
			Every: 10 * time.Millisecond, locks: lockTimes{life: time.Minute, look: 10 * time.Millisecond}, margin: time.Millisecond,
		})
		members = append(members, m)
	}
	return store, members
}

// manage runs the managers until the end of the test.
func manage(t *testing.T, members []*member) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, m := range members {
		running.Go(func() { m.manager.Run(ctx) })
	}
	t.Cleanup(func() { cancel(); running.Wait() })
}

// want stores a certificate that an authority is to issue.
func (s *shared) want(t *testing.T, id string, c control.CertificateACME, names ...string) {
	t.Helper()
	b, err := json.Marshal(control.Certificate{SNIs: names, ACME: &c})
	if err != nil {
		t.Fatal(err)
	}
	if err := control.Check("certificates/"+id, b); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "certificates/"+id, b, control.Precondition{}); err != nil {
		t.Fatal(err)
	}
}

// shown returns who issued the certificate that a gateway shows for a name, and its serial; "" for none.
func (m *member) shown(name string) (serial string) {
	c, err := tls.Dial("tcp", m.secure, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return ""
	}
	defer c.Close()
	leaf := c.ConnectionState().PeerCertificates[0]
	if leaf.VerifyHostname(name) != nil || !strings.HasPrefix(leaf.Issuer.CommonName, "Pebble") {
		return ""
	}
	return leaf.SerialNumber.String()
}

// A fleet asks once, by either challenge, and every gateway has the certificate. Whichever gateway the authority comes to can answer, also one that sends all else to HTTPS.
func TestAFleetObtainsEachCertificateOnce(t *testing.T) {
	store, members := fleet(t, 3)
	_, port, _ := net.SplitHostPort(members[2].secure)
	tlsPort, err := net.LookupPort("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t, members[1].plain, tlsPort)
	manage(t, members)
	config := control.CertificateACME{Directory: a.directory, CA: a.root, TermsAgreed: true, Email: "a@a.test", Challenge: control.HTTP01}
	store.want(t, "one", config, "a.test", "b.test")
	config.Challenge = control.TLSALPN01
	store.want(t, "two", config, "c.test")
	serials := map[string]string{}
	for _, name := range []string{"a.test", "b.test", "c.test"} {
		for i, m := range members {
			testnet.Await(t, "the certificate of "+name, func() bool { return m.shown(name) != "" })
			if serial := m.shown(name); i == 0 {
				serials[name] = serial
			} else if serial != serials[name] {
				t.Errorf("%s: gateway %d shows another certificate", name, i)
			}
		}
	}
	if n := a.orders.Load(); n != 3 {
		t.Errorf("%d orders for 3 names", n)
	}
	testnet.Await(t, "the challenges to be taken away", func() bool {
		list, _, _ := store.List(t.Context(), control.ChallengeFolder, "", 0)
		return len(list) == 0
	})
	for _, m := range members {
		if m.server.Snapshot().Challenges != nil {
			t.Error("a challenge is in force still")
		}
	}
}

// A certificate in the last third of its life is renewed, and the old one serves until then.
func TestCertificatesAreRenewedBeforeTheyEnd(t *testing.T) {
	ca := testcert.NewAuthority(t)
	now := time.Now()
	leaf := ca.IssueUntil(now.Add(time.Hour), "a.test").Leaf // of 49 hours
	m := NewManager(Options{})
	for _, c := range []struct {
		at   time.Time
		want bool
	}{{now.Add(-20 * time.Hour), false}, {now, true}} {
		if got := m.due(&control.ACMEName{Name: "a.test", Leaf: leaf}, c.at); got != c.want {
			t.Errorf("at %v: %v", c.at.Sub(now), got)
		}
	}
}

// An authority that refuses is asked again after a while, not at once: it counts.
func TestAFailureIsNotRepeatedAtOnce(t *testing.T) {
	store, members := fleet(t, 1)
	a := newAuthority(t, members[0].plain, 1)
	a.refuse.Store(true)
	m := members[0].manager
	store.want(t, "one", control.CertificateACME{Directory: a.directory, CA: a.root, TermsAgreed: true}, "a.test")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	m.options.Every = time.Hour
	go func() { m.Run(ctx); close(ended) }()
	testnet.Await(t, "the failure to leave the lock", func() bool {
		list, _, _ := store.List(t.Context(), storageFolder+"accounts/", "", 0)
		locks, _, _ := store.List(t.Context(), lockFolder, "", 0)
		return len(list) == 1 && len(locks) == 0
	})
	cancel()
	<-ended
	name := members[0].engine.ACME()[0]
	if f := m.failed["a.test"]; f.Times != 1 || m.due(&name, time.Now()) || !m.due(&name, time.Now().Add(firstRetry)) {
		t.Errorf("%+v", f)
	}
}
