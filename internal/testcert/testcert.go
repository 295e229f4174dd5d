// Package testcert makes certificates for tests: an authority of its own, and what it signs.
package testcert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// Authority signs certificates. Pool holds its own, and PEM is the same as text.
type Authority struct {
	Pool *x509.CertPool
	PEM  string

	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// Pair is a certificate with its key, for crypto/tls and as text.
type Pair struct {
	tls.Certificate
	CertPEM, KeyPEM string
}

// NewAuthority makes an authority.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	a := &Authority{Pool: x509.NewCertPool(), PEM: text("CERTIFICATE", der), t: t, key: key, cert: cert}
	a.Pool.AddCert(cert)
	return a
}

// Issue makes a P-256 key and a certificate for it: the first name is the subject's, and all are alternative names, addresses as such.
func (a *Authority) Issue(names ...string) *Pair {
	a.t.Helper()
	return a.IssueUntil(time.Now().Add(time.Hour), names...)
}

// IssueUntil is Issue with an end.
func (a *Authority) IssueUntil(end time.Time, names ...string) *Pair {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	return a.sign(key, end, names)
}

// IssueRSA is Issue with an RSA key.
func (a *Authority) IssueRSA(names ...string) *Pair {
	a.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(a.t, err)
	return a.sign(key, time.Now().Add(time.Hour), names)
}

func (a *Authority) sign(key crypto.Signer, end time.Time, names []string) *Pair {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(a.t), Subject: pkix.Name{CommonName: names[0], Organization: []string{"Test"}},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	must(a.t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(a.t, err)
	p := &Pair{CertPEM: text("CERTIFICATE", der), KeyPEM: text("PRIVATE KEY", keyDER)}
	p.Certificate, err = tls.X509KeyPair([]byte(p.CertPEM), []byte(p.KeyPEM))
	must(a.t, err)
	return p
}

func serial(t testing.TB) *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	must(t, err)
	return n
}

func text(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
