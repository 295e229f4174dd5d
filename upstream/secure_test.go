package upstream

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"sluice/internal/testcert"
	"sluice/internal/testnet"
)

// Probes reach a node as requests do: over TLS, with its certificate verified.
func TestProbesGoOverTLS(t *testing.T) {
	ca := testcert.NewAuthority(t)
	pair := ca.Issue("127.0.0.1")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair.Certificate}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rpc := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&pair.Certificate)))
	grpc_health_v1.RegisterHealthServer(rpc, health.NewServer())
	go func() { _ = rpc.Serve(ln) }()
	defer rpc.Stop()
	for _, c := range []struct {
		kind, address string
		config        TLSConfig
		want          string
	}{
		{"http", server.Listener.Addr().String(), TLSConfig{CA: ca.PEM}, ""},
		{"http", server.Listener.Addr().String(), TLSConfig{}, "certificate"},
		{"grpc", ln.Addr().String(), TLSConfig{CA: ca.PEM}, ""},
		{"grpc", ln.Addr().String(), TLSConfig{CA: testcert.NewAuthority(t).PEM}, "certificate"},
	} {
		policy := ActiveHealth{Type: c.kind}
		policy.setDefaults()
		node := Node{Address: c.address}
		node.useTLS(newSecure(&c.config, nil))
		ctx, cancel := context.WithTimeout(t.Context(), testnet.Patience)
		check(t, probe(ctx, &policy, target{netip.MustParseAddrPort(c.address), c.address, node.tls.Load()}), c.want)
		cancel()
	}
}

// One problem a line.
func TestTLSOfAServiceIsChecked(t *testing.T) {
	ca := testcert.NewAuthority(t)
	pair := ca.Issue("client")
	for _, c := range []struct {
		config TLSConfig
		want   string
	}{
		{TLSConfig{ServerName: "a b"}, "server_name"},
		{TLSConfig{CA: "x"}, "ca: has no certificate"},
		{TLSConfig{ClientCert: pair.CertPEM}, "client_key: is missing"},
		{TLSConfig{ClientKey: pair.KeyPEM}, "client_cert: is missing"},
		{TLSConfig{ClientCert: pair.CertPEM, ClientKey: ca.Issue("other").KeyPEM}, "client_cert: tls: private key does not match"},
		{TLSConfig{ClientCert: pair.CertPEM, ClientKey: pair.KeyPEM, Certificate: "x"}, "certificate: "},
		{TLSConfig{CA: ca.PEM, InsecureSkipVerify: true}, "insecure_skip_verify: "},
		{TLSConfig{CA: ca.PEM, ServerName: "10.0.0.1", ClientCert: pair.CertPEM, ClientKey: pair.KeyPEM}, ""},
	} {
		err := c.config.validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
