package proxy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"

	"sluice/codec"
	"sluice/router"
)

var errNoClientCertificate = errors.New("proxy: the client has shown no certificate")

// secured is what is known of a client that came over TLS. It is immutable.
type secured struct {
	version  string        // "TLSv1.3"
	policy   *ClientPolicy // that the handshake was made under; nil for none
	identity *identity     // nil: the client has shown no certificate, or was not asked
}

// identity is who a client is by its certificate, as texts that a field may have.
type identity struct {
	subject, issuer, serial, fingerprint []byte
}

func newSecured(g *greeting, state *tls.ConnectionState) *secured {
	s := &secured{version: "TLSv1.2"}
	if state.Version == tls.VersionTLS13 {
		s.version = "TLSv1.3"
	}
	if s.policy = g.cert.Client; s.policy != nil && len(state.PeerCertificates) > 0 {
		s.identity = newIdentity(state.PeerCertificates[0])
	}
	return s
}

func newIdentity(cert *x509.Certificate) *identity {
	sum := sha256.Sum256(cert.Raw)
	return &identity{
		subject:     fieldText(cert.Subject.String()),
		issuer:      fieldText(cert.Issuer.String()),
		serial:      hex.AppendEncode(nil, cert.SerialNumber.Bytes()),
		fingerprint: hex.AppendEncode(nil, sum[:]),
	}
}

// fieldText makes any text one that a field can have (RFC 9110 §5.5): what is not visible ASCII or a space is percent-encoded. A name may hold
// a line break: "CN=a\r\nX-Admin: 1".
func fieldText(s string) []byte {
	const digits = "0123456789ABCDEF"
	var b []byte
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			b = append(b, '%', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// misdirected reports whether the host of the request asks another thing of clients than the handshake did (RFC 9110 §15.5.20): a client that was let in under the
// name of one host must not reach another that is stricter, and one whose host has become stricter must shake hands anew.
func (x *Exchange) misdirected() bool {
	if !x.snapshot.Certificates.asksClients() {
		return false
	}
	name := append(x.worker.scratch[:0], router.BareHost(x.req.Host())...)
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			name[i] = c | 0x20
		}
	}
	var want *ClientPolicy
	if cert := x.snapshot.Certificates.find(name); cert != nil {
		want = cert.Client
	}
	made := x.client.tls.policy
	return made != want && (made == nil || want == nil || made.Tag != want.Tag)
}

// tellOfClient tells the node who the client is by its certificate, where that is wanted. What a client itself writes there is taken out, on every listener.
func (x *Exchange) tellOfClient() {
	if !x.snapshot.Certificates.tellsNodes() {
		return
	}
	h := &x.req.Header
	for i := range h.Len() {
		if h.ID(i) == codec.FieldOther && namesClientCert(h.Name(i)) {
			h.Remove(i)
		}
	}
	t := x.client.tls
	if t == nil || t.identity == nil || !t.policy.Headers {
		return
	}
	h.Add("X-Client-Cert-Subject", t.identity.subject)
	h.Add("X-Client-Cert-Issuer", t.identity.issuer)
	h.Add("X-Client-Cert-Serial", t.identity.serial)
	h.Add("X-Client-Cert-Fingerprint", t.identity.fingerprint)
}

const clientCertPrefix = "x-client-cert"

// namesClientCert reports whether a field could be taken for one of X-Client-Cert-…, also by a node that cannot tell "_" from "-".
func namesClientCert(name []byte) bool {
	if len(name) < len(clientCertPrefix) {
		return false
	}
	for i := range len(clientCertPrefix) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		} else if c == '_' {
			c = '-'
		}
		if c != clientCertPrefix[i] {
			return false
		}
	}
	return true
}
