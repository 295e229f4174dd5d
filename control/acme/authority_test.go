package acme

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"sluice/internal/testcert"
)

// authority is a real ACME server on loopback. It finds every name at 127.0.0.1, and asks on two ports.
type authority struct {
	directory string
	root      string       // PEM: who signs its own certificate
	orders    atomic.Int32 // that were made
	refuse    atomic.Bool  // every order fails
}

func newAuthority(t *testing.T, httpPort, tlsPort int) *authority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	authorities := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "default"}})
	validator := va.New(quiet, httpPort, tlsPort, false, nameServer(t), store)
	front := wfe.New(quiet, store, validator, authorities, []string{"authority.test"}, false, false, 0, 0)
	handler := front.Handler()
	a := &authority{}
	own := testcert.NewAuthority(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/order-plz") {
			if a.refuse.Load() {
				http.Error(w, "{}", http.StatusForbidden)
				return
			}
			w = &counter{w, &a.orders}
		}
		handler.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = quiet
	server.TLS = testTLS(own.Issue("127.0.0.1"))
	server.StartTLS()
	t.Cleanup(server.Close)
	a.directory, a.root = server.URL+wfe.DirectoryPath, own.PEM
	return a
}

// counter counts what is created: the server refuses some requests for their nonce, as real ones do, and they are sent again.
type counter struct {
	http.ResponseWriter
	created *atomic.Int32
}

func (c *counter) WriteHeader(status int) {
	if status == http.StatusCreated {
		c.created.Add(1)
	}
	c.ResponseWriter.WriteHeader(status)
}

// nameServer answers that every name is at 127.0.0.1.
func nameServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1),
			})
		}
		_ = w.WriteMsg(m)
	})}
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { _ = server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = server.Shutdown() })
	return ln.Addr().String()
}
