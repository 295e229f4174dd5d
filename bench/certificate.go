package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// certificate is what every rival shows in a setup with TLS: a P-256 key, and one certificate that signs itself.
type certificate struct {
	certFile, keyFile, bothFile string // PEM
	cert, key                   string
}

// certificateFiles returns the certificate, which is made at the first call.
func (h *harness) certificateFiles() (*certificate, error) {
	if h.cert != nil {
		return h.cert, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, DNSNames: []string{"bench.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	c := &certificate{
		certFile: filepath.Join(h.dir, "cert.pem"), keyFile: filepath.Join(h.dir, "key.pem"), bothFile: filepath.Join(h.dir, "both.pem"),
		cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		key:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})),
	}
	for name, text := range map[string]string{c.certFile: c.cert, c.keyFile: c.key, c.bothFile: c.cert + c.key} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
	}
	h.cert = c
	return c, nil
}
