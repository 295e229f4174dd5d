package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/core/observe"
	"sluice/internal/testcert"
	"sluice/internal/testnet"
)

// withCertificates makes the listener one of TLS with those certificates.
func withCertificates(list ...*Certificate) option {
	return func(s *setup) {
		s.config.Listeners[0].TLS = true
		s.certificates = append(s.certificates, list...)
	}
}

// certificate returns a pair as the snapshot has it.
func certificate(id string, pair *testcert.Pair, names ...string) *Certificate {
	return &Certificate{ID: id, Names: names, TLS: &pair.Certificate}
}

// asking adds a client policy.
func asking(c *Certificate, ca *testcert.Authority, require, headers bool) *Certificate {
	policy, ok := NewClientPolicy(ca.PEM, require, headers)
	if !ok {
		panic("no authority")
	}
	c.Client = policy
	return c
}

// secureGet makes one request over a new TLS connection and returns status and body.
func secureGet(t testing.TB, addr, host string, config *tls.Config) (int, string, tls.ConnectionState) {
	t.Helper()
	c, err := tls.Dial("tcp", addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(testnet.Patience))
	status, body := getOn(t, c, host)
	return status, body, c.ConnectionState()
}

// getOn makes a request on a connection.
func getOn(t testing.TB, c net.Conn, host string) (int, string) {
	t.Helper()
	fmt.Fprintf(c, "GET /x HTTP/1.1\r\nHost: %s\r\nX-Client-Cert-Subject: forged\r\nx_client_cert_subject: forged\r\n\r\n", host)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// handshakes returns how many ended so.
func (g *gateway) handshakes(h observe.Handshake) uint64 { return g.stats.Worker(0).Handshakes(h) }

// tellTLS answers with what the node was told.
func tellTLS(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s proto=%s cert=%q", r.Host, r.Header.Get("X-Forwarded-Proto"), append(r.Header.Values("X-Client-Cert-Subject"), r.Header["X_client_cert_subject"]...))
}

// DESIGN §7 rule 10: which certificate a client is shown, by what it asks for.
func TestCertificatesAreChosenByName(t *testing.T) {
	ca := testcert.NewAuthority(t)
	exact, wild, other := ca.Issue("a.test"), ca.Issue("*.b.test"), ca.Issue("other.test")
	g := newGateway(t, []string{origin(t, tellTLS)}, withCertificates(
		certificate("1", exact, "a.test"), certificate("2", wild, "*.b.test"), certificate("0", other, "a.test", "*")))
	for _, c := range []struct{ name, want string }{
		{"a.test", "other.test"}, // two have it: the smaller id
		{"A.TEST", "other.test"},
		{"x.b.test", "*.b.test"},
		{"x.y.b.test", "other.test"}, // one label
		{"b.test", "other.test"},
		{"unknown.test", "other.test"},
		{"", "other.test"},
	} {
		status, body, state := secureGet(t, g.addr, "h.test", &tls.Config{ServerName: c.name, InsecureSkipVerify: true})
		if got := state.PeerCertificates[0].Subject.CommonName; got != c.want || status != 200 || body != `h.test proto=https cert=["forged" "forged"]` {
			t.Errorf("%q: %s, want %s; %d %s", c.name, got, c.want, status, body)
		}
	}
}

// Without a certificate for its name a client is refused by an alert that says so; one that asks for none is shown what there is.
func TestANameWithoutCertificateIsRefused(t *testing.T) {
	ca := testcert.NewAuthority(t)
	g := newGateway(t, nil, withCertificates(certificate("1", ca.Issue("a.test"), "a.test")))
	_, err := tls.Dial("tcp", g.addr, &tls.Config{ServerName: "b.test", InsecureSkipVerify: true})
	const alert = "unrecognized name"
	if err == nil || !strings.Contains(err.Error(), alert) {
		t.Errorf("%v", err)
	}
	testnet.Await(t, "it to be counted", func() bool { return g.handshakes(observe.HandshakeNoCertificate) == 1 })
	c, err := tls.Dial("tcp", g.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()

	none := newGateway(t, nil, func(s *setup) { s.config.Listeners[0].TLS = true })
	if _, err := tls.Dial("tcp", none.addr, &tls.Config{InsecureSkipVerify: true}); err == nil || !strings.Contains(err.Error(), alert) {
		t.Errorf("no certificate at all: %v", err)
	}
}

// Mozilla's intermediate profile: TLS 1.2 and 1.3 with forward secrecy and authenticated encryption, and http/1.1 by ALPN.
func TestTheIntermediateProfileIsServed(t *testing.T) {
	ca := testcert.NewAuthority(t)
	g := newGateway(t, []string{origin(t, tellTLS)}, withCertificates(certificate("1", ca.Issue("a.test"), "a.test"), certificate("2", ca.IssueRSA("rsa.test"), "rsa.test")))
	for _, name := range []string{"a.test", "rsa.test"} {
		for version := uint16(tls.VersionTLS10); version <= tls.VersionTLS13; version++ {
			config := &tls.Config{ServerName: name, RootCAs: ca.Pool, MinVersion: version, MaxVersion: version, NextProtos: []string{"x", "http/1.1"}}
			c, err := tls.Dial("tcp", g.addr, config)
			if err != nil {
				if version >= tls.VersionTLS12 {
					t.Errorf("%s %x: %v", name, version, err)
				}
				continue
			}
			if state := c.ConnectionState(); version < tls.VersionTLS12 || state.NegotiatedProtocol != "http/1.1" {
				t.Errorf("%s %x was served, protocol %q", name, version, state.NegotiatedProtocol)
			}
			c.Close()
		}
	}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		weak := !strings.Contains(suite.Name, "ECDHE") || strings.Contains(suite.Name, "CBC") || strings.Contains(suite.Name, "RC4")
		if suite.SupportedVersions[0] == tls.VersionTLS13 {
			continue
		}
		name := "a.test"
		if strings.Contains(suite.Name, "_RSA_") {
			name = "rsa.test"
		}
		c, err := tls.Dial("tcp", g.addr, &tls.Config{ServerName: name, RootCAs: ca.Pool, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
		if (err == nil) == weak {
			t.Errorf("%s: %v", suite.Name, err)
		}
		if err == nil {
			c.Close()
		}
	}
}

// A session is resumed, on any worker and after any change of certificates, since there is one configuration with its ticket keys for all.
func TestSessionsAreResumedOnEveryWorker(t *testing.T) {
	ca := testcert.NewAuthority(t)
	pair := ca.Issue("a.test")
	g := newGateway(t, []string{origin(t, tellTLS)}, withWorkers(3), withCertificates(certificate("1", pair, "a.test")))
	config := &tls.Config{ServerName: "a.test", RootCAs: ca.Pool, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	if _, _, state := secureGet(t, g.addr, "a.test", config); state.DidResume {
		t.Error("the first is resumed")
	}
	for i := range 20 {
		if i == 10 {
			snap := *g.Snapshot()
			snap.Certificates = NewCertificates([]*Certificate{certificate("1", ca.Issue("a.test"), "a.test")})
			g.Publish(&snap)
		}
		if _, _, state := secureGet(t, g.addr, "a.test", config); !state.DidResume {
			t.Errorf("connection %d is not resumed", i)
		}
	}
	g.SetTicketKeys([][32]byte{{1}})
	if _, _, state := secureGet(t, g.addr, "a.test", config); state.DidResume {
		t.Error("resumed with a key that is gone")
	}
	g.SetTicketKeys([][32]byte{{2}, {1}})
	if _, _, state := secureGet(t, g.addr, "a.test", config); !state.DidResume {
		t.Error("not resumed with the key before")
	}
	done := uint64(0)
	for i := range 3 {
		done += g.stats.Worker(i).Handshakes(observe.HandshakeDone(true, true))
	}
	if done != 21 {
		t.Errorf("%d resumed handshakes were counted", done)
	}
}

// A certificate that is swapped while a handshake is under way changes nothing for that one, and all for the next.
func TestACertificateMayChangeInMidHandshake(t *testing.T) {
	ca := testcert.NewAuthority(t)
	g := newGateway(t, []string{origin(t, tellTLS)}, withCertificates(certificate("1", ca.Issue("a.test", "old.test"), "a.test")))
	raw, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	swapped := false
	between := &readHook{Conn: raw, before: func() {
		if !swapped {
			swapped = true
			testnet.Await(t, "the hello to be read", func() bool {
				return g.onLoop(func(w *worker) bool { return w.greetings.oldest != nil && w.greetings.oldest.cert != nil })
			})
			snap := *g.Snapshot()
			snap.Certificates = NewCertificates([]*Certificate{certificate("1", ca.Issue("new.test", "a.test"), "a.test")})
			g.Publish(&snap)
		}
	}}
	c := tls.Client(between, &tls.Config{ServerName: "a.test", RootCAs: ca.Pool})
	if status, _ := getOn(t, c, "a.test"); status != 200 || c.ConnectionState().PeerCertificates[0].Subject.CommonName != "a.test" {
		t.Errorf("%d, %v", status, c.ConnectionState().PeerCertificates[0].Subject)
	}
	if _, _, state := secureGet(t, g.addr, "a.test", &tls.Config{ServerName: "a.test", RootCAs: ca.Pool}); state.PeerCertificates[0].Subject.CommonName != "new.test" {
		t.Error("the next client is shown the old certificate")
	}
}

// readHook calls before ahead of every read.
type readHook struct {
	net.Conn
	before func()
}

func (r *readHook) Read(p []byte) (int, error) {
	r.before()
	return r.Conn.Read(p)
}

// Who is let in by a client certificate, and what nodes and the log are told of it.
func TestClientsShowTheirCertificates(t *testing.T) {
	ca, clients, strangers := testcert.NewAuthority(t), testcert.NewAuthority(t), testcert.NewAuthority(t)
	g := newGateway(t, []string{origin(t, tellTLS)}, withLog(), withCertificates(
		asking(certificate("1", ca.Issue("must.test"), "must.test"), clients, true, true),
		asking(certificate("2", ca.Issue("may.test"), "may.test"), clients, false, false)))
	alice, mallory := clients.Issue("alice"), strangers.Issue("mallory")
	for _, c := range []struct {
		host string
		cert *testcert.Pair
		want string // of the answer; "" = refused
	}{
		{"must.test", alice, `must.test proto=https cert=["CN=alice,O=Test"]`},
		{"must.test", nil, ""},
		{"must.test", mallory, ""},
		{"may.test", alice, `may.test proto=https cert=[]`},
		{"may.test", nil, `may.test proto=https cert=[]`},
		{"may.test", mallory, ""},
	} {
		config := &tls.Config{ServerName: c.host, RootCAs: ca.Pool}
		if c.cert != nil { // sent whatever authorities the server names
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.cert.Certificate, nil }
		}
		got := ""
		conn, err := tls.Dial("tcp", g.addr, config)
		if err == nil {
			fmt.Fprintf(conn, "GET /x HTTP/1.1\r\nHost: %s\r\nX-Client-Cert-Subject: forged\r\n\r\n", c.host)
			if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil { // else it was refused behind the handshake, as TLS 1.3 does
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				got = string(body)
			}
			conn.Close()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.host, got, c.want)
		}
	}
	testnet.Await(t, "three refusals", func() bool { return g.handshakes(observe.HandshakeClientCertificate) == 3 })
	if log := g.logged(t, 3); log[0].TLS != "TLSv1.3" || log[0].ClientCert != "CN=alice,O=Test" || log[2].ClientCert != "" {
		t.Errorf("%+v", log)
	}
}

// A ticket of one host must not open another that asks for clients of another authority (rule 9), and a host that was not the one of the handshake is
// answered 421 where it asks for something else (RFC 9110 §15.5.20).
func TestOneHostsConnectionAndTicketOpenNoStricterOne(t *testing.T) {
	ca, red, blue := testcert.NewAuthority(t), testcert.NewAuthority(t), testcert.NewAuthority(t)
	g := newGateway(t, []string{origin(t, tellTLS)}, withCertificates(
		certificate("0", ca.Issue("open.test"), "open.test", "also.test"),
		asking(certificate("1", ca.Issue("red.test"), "red.test"), red, true, true),
		asking(certificate("2", ca.Issue("blue.test"), "blue.test"), blue, true, true)))
	cache := &oneSession{}
	client := func(host string, ca2 *testcert.Authority) *tls.Config {
		config := &tls.Config{ServerName: host, RootCAs: ca.Pool, InsecureSkipVerify: true, ClientSessionCache: cache}
		if ca2 != nil {
			config.Certificates = []tls.Certificate{ca2.Issue("client").Certificate}
		}
		return config
	}
	if _, _, state := secureGet(t, g.addr, "red.test", client("red.test", red)); state.DidResume {
		t.Error("the first is resumed")
	}
	if status, body, state := secureGet(t, g.addr, "red.test", client("red.test", red)); !state.DidResume || status != 200 || !strings.Contains(body, "CN=client") {
		t.Errorf("under the same policy: resumed %v, %d %s", state.DidResume, status, body)
	}
	c, err := tls.Dial("tcp", g.addr, client("blue.test", red))
	if err == nil {
		if _, err = c.Read(make([]byte, 1)); err == nil {
			t.Error("red's ticket opens blue")
		}
		c.Close()
	}
	for _, c := range []struct {
		sni  string
		ca   *testcert.Authority
		host string
		want int
	}{
		{"open.test", nil, "red.test", 421}, {"open.test", nil, "RED.test:443", 421}, {"red.test", red, "blue.test", 421}, {"red.test", red, "open.test", 421},
		{"open.test", nil, "also.test", 200}, {"open.test", nil, "nobody.test", 200}, {"red.test", red, "red.test:8443", 200},
	} {
		cache.state = nil
		if status, body, _ := secureGet(t, g.addr, c.host, client(c.sni, c.ca)); status != c.want || status == 421 && !strings.Contains(body, "misdirected_request") {
			t.Errorf("%s on a connection for %s: %d %s", c.host, c.sni, status, body)
		}
	}
}

// oneSession keeps one session and offers it to every host, as no honest client does.
type oneSession struct{ state *tls.ClientSessionState }

func (o *oneSession) Get(string) (*tls.ClientSessionState, bool) { return o.state, o.state != nil }
func (o *oneSession) Put(_ string, s *tls.ClientSessionState)    { o.state = s }
