package etcd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"

	"sluice/control"
)

// issue writes a self-signed certificate, good for 127.0.0.1 both as a server and as a client, and its key.
func issue(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	private8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// With https both sides prove who they are: the server by ca_file, the gateway by cert_file.
func TestCertificatesAreCheckedOnBothSides(t *testing.T) {
	files := t.TempDir()
	serverCert, serverKey := issue(t, files, "server")
	clientCert, clientKey := issue(t, files, "client")
	server := startTest(t, t.TempDir(), func(cfg *embed.Config) {
		cfg.ListenClientUrls = append(cfg.ListenClientUrls, url.URL{Scheme: "https", Host: "127.0.0.1:0"})
		cfg.ClientTLSInfo = transport.TLSInfo{CertFile: serverCert, KeyFile: serverKey, TrustedCAFile: clientCert, ClientCertAuth: true}
	})
	address := ""
	for _, listener := range server.etcd.Clients {
		if listener.Addr().Network() == "tcp" {
			address = listener.Addr().String()
		}
	}
	good := Config{Endpoints: []string{"https://" + address}, CAFile: serverCert, CertFile: clientCert, KeyFile: clientKey}
	put(t, NewStore(clientTest(t, good)), "routes/a", "1")

	bare := good
	bare.Endpoints = []string{address} // without a scheme, as etcd's own tools take it
	put(t, NewStore(clientTest(t, bare)), "routes/a", "2")

	for name, change := range map[string]func(*Config){
		"a server of another authority":      func(c *Config) { c.CAFile = clientCert },
		"a server of no known authority":     func(c *Config) { c.CAFile = "" },
		"a gateway without a certificate":    func(c *Config) { c.CertFile, c.KeyFile = "", "" },
		"a gateway with another certificate": func(c *Config) { c.CertFile, c.KeyFile = serverCert, serverKey },
	} {
		cfg := good
		change(&cfg)
		client := clientTest(t, cfg)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if _, err := NewStore(client).Get(ctx, "routes/a"); !errors.Is(err, control.ErrUnavailable) {
			t.Errorf("%s: got %v", name, err)
		}
		cancel()
	}
	missing := good
	missing.CAFile = files + "/none"
	if _, err := NewClient(missing); err == nil {
		t.Error("a ca_file that is not there is no error")
	}
	missing.CAFile = serverKey
	if _, err := NewClient(missing); err == nil {
		t.Error("a ca_file without a certificate is no error")
	}
}
