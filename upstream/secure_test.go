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

	"golang.org/x/net/http2/hpack"
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

// The scheme is that of the connection (RFC 9113 §8.3.1): servers refuse calls for another.
func TestAGRPCProbeNamesTheSchemeOfItsConnection(t *testing.T) {
	ca := testcert.NewAuthority(t)
	secured := &tls.Config{Certificates: []tls.Certificate{ca.Issue("127.0.0.1").Certificate}, NextProtos: []string{"h2"}}
	for _, c := range []struct {
		want   string
		server *tls.Config
		node   *TLSConfig
	}{{"http", nil, nil}, {"https", secured, &TLSConfig{CA: ca.PEM}}} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		schemes := make(chan string, 1)
		go func() {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			if c.server != nil {
				conn = tls.Server(conn, c.server)
			}
			schemes <- readScheme(conn)
		}()
		policy := ActiveHealth{Type: "grpc"}
		policy.setDefaults()
		node := Node{Address: ln.Addr().String()}
		node.useTLS(newSecure(c.node, nil))
		ctx, cancel := context.WithTimeout(t.Context(), testnet.Patience)
		if err := probe(ctx, &policy, target{netip.MustParseAddrPort(node.Address), node.Address, node.tls.Load()}); err == nil {
			t.Error("a server that says nothing is well")
		}
		cancel()
		if got := testnet.Receive(t, "the probe", schemes); got != c.want {
			t.Errorf("scheme %q, want %q", got, c.want)
		}
	}
}

// readScheme reads a probe up to its call, and returns the scheme of that.
func readScheme(conn io.Reader) (scheme string) {
	preface := make([]byte, len(probePreface)+frameHeader) // and settings, which are empty
	if _, err := io.ReadFull(conn, preface); err != nil {
		return err.Error()
	}
	head := make([]byte, frameHeader)
	if _, err := io.ReadFull(conn, head); err != nil {
		return err.Error()
	}
	block := make([]byte, int(head[1])<<8|int(head[2]))
	if _, err := io.ReadFull(conn, block); err != nil {
		return err.Error()
	}
	fields, err := hpack.NewDecoder(4096, nil).DecodeFull(block)
	if err != nil {
		return err.Error()
	}
	for _, f := range fields {
		if f.Name == ":scheme" {
			scheme = f.Value
		}
	}
	return scheme
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
