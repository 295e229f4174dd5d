package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"sluice/core/tlsconn"
	"sluice/upstream"
)

// terminator is the TLS of all listeners and workers. There is one tls.Config for the life of the server, so that the sessions that clients keep outlive every change of
// certificates; which certificate a client is shown, and what it is asked for, comes from the snapshot in force when it says hello.
type terminator struct {
	server *Server
	config *tls.Config

	// When something was last written to the log, in Unix nanoseconds.
	warnedName, warnedNode atomic.Int64
}

// intermediate is what Mozilla's intermediate profile has of TLS 1.2: forward secrecy and authenticated encryption, nothing else. TLS 1.3 needs no list.
var intermediate = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// alpnHTTP2 is HTTP/2 over TLS, as ALPN names it (RFC 9113 §3.2).
const alpnHTTP2 = "h2"

// offered is what is offered by ALPN (RFC 7301), best first.
var offered = []string{alpnHTTP2, "http/1.1"}

func newTerminator(s *Server) *terminator {
	t := &terminator{server: s}
	t.config = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		CipherSuites:       intermediate,
		NextProtos:         offered,
		GetConfigForClient: t.configFor,
		GetCertificate:     t.certificateFor,

		// Records of full size from the first on: the loop writes what there is at once, and small first records cost more than they give (they are
		// for browsers on slow lines, which have HTTP/2's own frames).
		DynamicRecordSizingDisabled: true,
	}
	return t
}

// configFor is called when a client has said hello: it decides which certificate is meant, for all that follows.
func (t *terminator) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	g := tlsconn.Of(hello).Owner.(*greeting)
	snap := t.server.snapshot.Load()
	g.asked, g.name = true, hello.ServerName
	if config := snap.Challenges.answer(hello); config != nil {
		g.probed = true
		return config, nil
	}
	g.cert = snap.Certificates.Find(hello.ServerName)
	if g.cert == nil || g.cert.Client == nil {
		return nil, nil
	}
	return t.withPolicy(g.cert.Client), nil
}

// certificateFor returns the certificate; none makes crypto/tls send the alert unrecognized_name.
func (t *terminator) certificateFor(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	conn := tlsconn.Of(hello)
	cert := conn.Owner.(*greeting).cert
	switch {
	case cert == nil:
		return nil, nil
	case tlsconn.KeySlow(cert.TLS.PrivateKey):
		return conn.OffLoop(cert.TLS), nil
	}
	return cert.TLS, nil
}

// withPolicy returns the configuration for clients that are asked who they are. Its sessions are resumed under the same policy alone: a client that has shown its
// certificate to one host could otherwise come to another, which trusts other authorities, with the ticket of the first.
func (t *terminator) withPolicy(p *ClientPolicy) *tls.Config {
	c := t.config.Clone()
	c.GetConfigForClient = nil
	c.ClientCAs = p.CAs
	c.ClientAuth = tls.VerifyClientCertIfGiven
	if p.Require {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		ss.Extra = append(ss.Extra, p.Tag[:])
		return t.config.EncryptTicket(cs, ss)
	}
	c.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := t.config.DecryptTicket(ticket, cs)
		if err != nil || ss == nil || !slices.ContainsFunc(ss.Extra, func(tag []byte) bool { return bytes.Equal(tag, p.Tag[:]) }) {
			return nil, err
		}
		return ss, nil
	}
	// Called for resumed sessions too, unlike VerifyPeerCertificate.
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if p.Require && len(cs.VerifiedChains) == 0 {
			return errNoClientCertificate
		}
		return nil
	}
	return c
}

// SetTicketKeys puts the keys of session tickets in force: tickets are made with the first, and all open them. Without a call each server has keys of its own. Any goroutine
// may call it.
func (s *Server) SetTicketKeys(keys [][32]byte) { s.tls.config.SetSessionTicketKeys(keys) }

// warnEvery bounds what clients can write into the log.
const warnEvery = 10 * time.Second

// warnNoCertificate writes to the log that there is none for a name.
func (t *terminator) warnNoCertificate(name string) {
	t.warn(&t.warnedName, "a client asked for a name that no certificate is for: it was refused", "name", name)
}

// warnUpstream writes to the log that the certificate of a node is not trusted; other errors of connecting are counted, and no riddles.
func (t *terminator) warnUpstream(node *upstream.Node, err error) {
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		t.warn(&t.warnedNode, "the certificate of a node is not trusted: it was not sent the request", "service", node.Service, "node", node.Address, "error", err)
	}
}

// warn writes to the log, now and then. The loop does not wait for it.
func (t *terminator) warn(last *atomic.Int64, text string, args ...any) {
	now, before := time.Now().UnixNano(), last.Load()
	if now-before >= int64(warnEvery) && last.CompareAndSwap(before, now) {
		go t.server.logger.Warn(text, args...)
	}
}
