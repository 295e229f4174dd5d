package tlsconn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/tls"
	"io"
)

// KeySlow reports whether a signature with the key takes too long for a loop: an RSA one takes a millisecond, in which a loop answers fifty requests, and one on
// a large curve not much less; on P-256 and Ed25519 it is a twentieth of that. A key that is not in this process may take any time.
func KeySlow(key crypto.PrivateKey) bool {
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		return key.Curve != elliptic.P256()
	case ed25519.PrivateKey:
		return false
	}
	return true
}

// OffLoop returns the certificate for use in this one handshake: signatures with its key are made on a goroutine of their own, while the handshake is suspended.
func (t *Conn) OffLoop(cert *tls.Certificate) *tls.Certificate {
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return cert
	}
	one := *cert
	one.PrivateKey = slowSigner{signer, t}
	return &one
}

// slowSigner is a key whose signatures one handshake waits for.
type slowSigner struct {
	crypto.Signer
	conn *Conn
}

// Sign is called within the handshake. A handshake that is given up meanwhile leaves the signature to itself.
func (s slowSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	type signature struct {
		bytes []byte
		err   error
	}
	var made *signature
	s.conn.elsewhere(func() func() {
		b, err := s.Signer.Sign(rand, digest, opts)
		return func() { made = &signature{b, err} }
	})
	if made == nil {
		return nil, errAborted
	}
	return made.bytes, made.err
}

// elsewhere suspends the handshake while work runs on a goroutine of its own. What work returns is run on the loop before the handshake goes on; it is not run where the
// handshake is given up before.
func (t *Conn) elsewhere(work func() (done func())) {
	finished := false
	t.away = true
	go func() {
		done := work()
		t.conn.Loop().Post(func() {
			if t.gone {
				return
			}
			done()
			finished, t.away = true, false
			t.conn.Wire().Wake()
		})
	}()
	for !finished && t.suspend() {
	}
}
