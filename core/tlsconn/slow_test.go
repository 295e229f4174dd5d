package tlsconn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"io"
	"testing"

	"sluice/internal/testcert"
	"sluice/internal/testnet"
)

// gate is a key that signs when it is let.
type gate struct {
	crypto.Signer
	asked, open chan struct{}
}

func (g gate) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	g.asked <- struct{}{}
	<-g.open
	return g.Signer.Sign(rand, digest, opts)
}

// newSlowHost starts a loop that has a slow key for slow.test and a fast one for a.test.
func newSlowHost(t *testing.T) (*host, gate) {
	g := gate{asked: make(chan struct{}, 10), open: make(chan struct{})}
	h := newHost(t, nil, nil)
	slow := h.ca.IssueRSA("slow.test").Certificate
	g.Signer = slow.PrivateKey.(crypto.Signer)
	slow.PrivateKey = g
	h.do(func() {
		fast := h.config.Certificates[0]
		h.config = &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "slow.test" {
				return Of(hello).OffLoop(&slow), nil
			}
			return &fast, nil
		}}
	})
	return h, g
}

// Rule 8: while a slow key signs elsewhere, the loop serves others, and what happens on the connection meanwhile does not resume the handshake.
func TestASlowKeySignsOffTheLoop(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			h, g := newSlowHost(t)
			config := h.client()
			config.ServerName, config.MaxVersion = "slow.test", version
			done := make(chan error, 1)
			c := tls.Client(h.dialRaw(), config)
			go func() { done <- c.Handshake() }()
			testnet.Receive(t, "the key to be asked", g.asked)
			p := h.peer()
			h.do(func() { p.conn.Wire().Wake() }) // as an event would
			h.over(h.dialRaw(), h.client())
			h.do(func() {
				if p.opened {
					t.Error("the handshake is done without a signature")
				}
			})
			close(g.open)
			if err := testnet.Receive(t, "the handshake", done); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			h.await("the byte", func() bool { return string(p.got) == "x" })
		})
	}
}

// Rules 7 and 8: a connection that is given up while its key signs is gone at once; the signature finds nobody.
func TestAHandshakeMayBeGivenUpWhileItsKeySigns(t *testing.T) {
	h, g := newSlowHost(t)
	config := h.client()
	config.ServerName = "slow.test"
	done := make(chan error, 1)
	go func() { done <- tls.Client(h.dialRaw(), config).Handshake() }()
	testnet.Receive(t, "the key to be asked", g.asked)
	p := h.peer()
	h.do(func() { p.conn.Close() })
	if err := testnet.Receive(t, "the client", done); err == nil {
		t.Error("the handshake went well")
	}
	close(g.open)
	h.over(h.dialRaw(), h.client()) // the loop lives
}

// Which keys are worth a goroutine.
func TestSlowKeysAreThoseThatTakeLong(t *testing.T) {
	ca := testcert.NewAuthority(t)
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key  crypto.PrivateKey
		slow bool
	}{{ca.Issue("a").PrivateKey, false}, {large, true}, {ca.IssueRSA("a").PrivateKey, true}, {gate{}, true}} {
		if KeySlow(c.key) != c.slow {
			t.Errorf("%T: slow %v", c.key, !c.slow)
		}
	}
}
