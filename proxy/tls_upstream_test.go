package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/internal/testcert"
	"sluice/upstream"
)

// secureOrigin is origin over TLS.
func secureOrigin(t testing.TB, config *tls.Config, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.TLS = config
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.Listener.Addr().String()
}

// withTLS makes nodes be reached over TLS.
func withTLS(c upstream.TLSConfig) option {
	return withService(func(s *upstream.Config) { s.TLS = &c })
}

// A node that cannot show that it is the one is not sent the request.
func TestNodesAreVerified(t *testing.T) {
	ca, stranger := testcert.NewAuthority(t), testcert.NewAuthority(t)
	asked := atomic.Int32{}
	serve := func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		fmt.Fprintf(w, "%s %d bytes, client %d", r.TLS.ServerName, r.ContentLength, len(r.TLS.PeerCertificates))
	}
	byName := secureOrigin(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue("node.test").Certificate}}, serve)
	byAddress := secureOrigin(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue("127.0.0.1").Certificate}}, serve)
	asking := secureOrigin(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue("127.0.0.1").Certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool}, serve)
	own := ca.Issue("gateway")
	plain := origin(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	off := false
	for name, c := range map[string]struct {
		node   string
		config upstream.TLSConfig
		want   string
	}{
		"by name":                  {byName, upstream.TLSConfig{CA: ca.PEM, ServerName: "node.test"}, "node.test 5 bytes"},
		"by its address":           {byAddress, upstream.TLSConfig{CA: ca.PEM}, " 5 bytes"},
		"with another name":        {byName, upstream.TLSConfig{CA: ca.PEM, ServerName: "other.test"}, ""},
		"by a name it has not":     {byName, upstream.TLSConfig{CA: ca.PEM}, ""},
		"of another authority":     {byAddress, upstream.TLSConfig{CA: stranger.PEM}, ""},
		"of the system's":          {byAddress, upstream.TLSConfig{}, ""},
		"whoever it is":            {byName, upstream.TLSConfig{InsecureSkipVerify: true}, " 5 bytes"},
		"and shown a certificate":  {asking, upstream.TLSConfig{CA: ca.PEM, ClientCert: own.CertPEM, ClientKey: own.KeyPEM}, " 5 bytes, client 1"},
		"in plain text":            {plain, upstream.TLSConfig{CA: ca.PEM}, ""},
		"in plain text if said so": {plain, upstream.TLSConfig{Enabled: &off}, "200 OK"},
	} {
		t.Run(name, func(t *testing.T) {
			asked.Store(0)
			g := newGateway(t, []string{c.node}, withTLS(c.config))
			answer := exchangeRaw(t, g.addr, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
			if c.want == "" {
				if !strings.Contains(answer, `"code":"upstream_connect"`) || asked.Load() > 0 {
					t.Errorf("asked %d times: %q", asked.Load(), answer)
				}
			} else if !strings.Contains(answer, c.want) {
				t.Errorf("%q, want %q in it", answer, c.want)
			}
		})
	}
}

// New connections to a node go on with the session of before, on any worker; a change of the service's TLS makes the kept ones useless.
func TestSessionsWithNodesAreResumedAndConnectionsRenewed(t *testing.T) {
	ca := testcert.NewAuthority(t)
	node := secureOrigin(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue("127.0.0.1").Certificate}}, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "from %s resumed %v name %q", r.RemoteAddr, r.TLS.DidResume, r.TLS.ServerName)
	})
	config := upstream.Config{Name: "s", Nodes: []upstream.NodeConfig{{Upstream: node}}, TLS: &upstream.TLSConfig{CA: ca.PEM}}
	g := newGateway(t, []string{node}, withTLS(*config.TLS))
	ask := func() string {
		t.Helper()
		_, answer, _ := strings.Cut(exchangeRaw(t, g.addr, simpleGet), "\r\n\r\n")
		return answer
	}
	update := func() {
		t.Helper()
		snap := *g.Snapshot()
		snap.Services = []*upstream.Service{g.registry.Update("s", &config, nil)}
		g.Publish(&snap)
	}
	first := ask()
	if again := ask(); !strings.Contains(first, "resumed false") || again != first {
		t.Errorf("%q, then %q", first, again)
	}
	update() // with no difference
	if again := ask(); again != first {
		t.Errorf("a connection is not used again: %q, then %q", first, again)
	}
	g.onLoop(func(w *worker) bool { // the kept connection goes
		for _, n := range g.Snapshot().Services[0].Nodes() {
			c, err := n.Acquire(0, w.loop, nil, false)
			if err != nil {
				t.Error(err)
			}
			c.Discard()
		}
		return true
	})
	if second := ask(); second == first || !strings.Contains(second, "resumed true") {
		t.Errorf("%q", second)
	}
	config.TLS = &upstream.TLSConfig{InsecureSkipVerify: true, ServerName: "new.test"}
	update()
	if third := ask(); !strings.Contains(third, `resumed false name "new.test"`) {
		t.Errorf("%q", third)
	}
}
