package control

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"time"

	"sluice/internal/problem"
	"sluice/internal/strict"
	"sluice/proxy"
)

// Certificate is a chain and its key as stored at certificates/<id>, for the names that clients ask for (SNI).
type Certificate struct {
	ID   string   `json:"id,omitempty"`   // the key's; for people who read the value
	Desc string   `json:"desc,omitempty"` // for people
	SNIs []string `json:"snis,omitempty"` // exact, "*.example.com" or "*"; none = those that the certificate is made out for
	Cert string   `json:"cert,omitempty"` // PEM: the certificate, then those that lead to one that clients know
	Key  string   `json:"key,omitempty"`  // PEM: its private key; no call ever shows it

	Client *CertificateClient `json:"client,omitempty"` // nil: clients are not asked who they are
	ACME   *CertificateACME   `json:"acme,omitempty"`   // in place of cert and key: an authority that issues them

	pair   *tls.Certificate
	policy *proxy.ClientPolicy
}

// CertificateClient is what is asked of clients that come under the names of a certificate (mutual TLS).
type CertificateClient struct {
	CA      string `json:"ca"`                // PEM: the authorities that sign theirs
	Mode    string `json:"mode,omitempty"`    // "require" (default): who has none is refused; "optional": it may have none, but no other
	Headers bool   `json:"headers,omitempty"` // nodes are told who the client is, in X-Client-Cert-…
}

// ClientModes are the modes of a [CertificateClient].
var ClientModes = []string{"require", "optional"}

// maxChain bounds a chain: four certificates of the largest keys in use take half of it.
const maxChain = 64 << 10

// DecodeCertificate reads, completes and checks the certificate of an id. Errors are as in DecodeRoute. That it has expired, or is not made out for one
// of its names, is no error: see [Certificate.Warnings].
func DecodeCertificate(id string, data []byte) (*Certificate, error) {
	c := new(Certificate)
	problems := asProblems(strict.DecodeJSON(data, c))
	if c.ID == "" {
		c.ID = id
	}
	found := c.parse()
	checkNamed(&found, c.ID, id)
	problems.Complete(found.Err())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// parse reads the PEM texts and completes the names.
func (c *Certificate) parse() (p problem.Problems) {
	if len(c.Cert) > maxChain {
		p.Add("cert", "is longer than %d bytes", maxChain)
	}
	if len(c.Key) > maxChain {
		p.Add("key", "is longer than %d bytes", maxChain)
	}
	if c.ACME != nil {
		p = append(p, c.parseACME()...)
	} else {
		if c.Cert == "" {
			p.Add("cert", "is missing")
		}
		if c.Key == "" {
			p.Add("key", "is missing")
		}
	}
	for i, name := range c.SNIs {
		checkHost(&p, problem.Index("snis", i), name)
	}
	if c.Client != nil {
		p.Under("client", c.parseClient())
	}
	if c.ACME != nil || problemOf(p, "cert", "key") {
		return p
	}
	pair, err := tls.X509KeyPair([]byte(c.Cert), []byte(c.Key)) // also that the one is the other's
	if err != nil {
		c.blame(&p, err)
		return p
	}
	if len(c.SNIs) == 0 {
		c.SNIs = pair.Leaf.DNSNames
	}
	if len(c.SNIs) == 0 {
		p.Add("snis", "are missing, and the certificate is made out for no host name: write the names, or \"*\"")
	}
	c.pair = &pair
	return p
}

// problemOf reports whether one of the places is wrong.
func problemOf(p problem.Problems, places ...string) bool {
	return slices.ContainsFunc(places, p.Touches)
}

// blame notes why certificate and key are no pair at the one that is to blame, or at both.
func (c *Certificate) blame(p *problem.Problems, err error) {
	if _, wrong := readCertificate([]byte(c.Cert)); wrong != nil {
		p.Add("cert", "%v", wrong)
		if block, _ := pem.Decode([]byte(c.Key)); block == nil {
			p.Add("key", "has no private key in PEM in it")
		}
		return
	}
	p.Add("key", "%v", err)
}

// readCertificate returns the first certificate of a PEM text.
func readCertificate(text []byte) (*x509.Certificate, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, errors.New("has no certificate in PEM in it")
}

// parseClient reads what is asked of clients.
func (c *Certificate) parseClient() error {
	var p problem.Problems
	if c.Client.Mode == "" {
		c.Client.Mode = ClientModes[0]
	}
	if !slices.Contains(ClientModes, c.Client.Mode) {
		p.Add("mode", "%q is none of %s%s", c.Client.Mode, strings.Join(ClientModes, ", "), problem.DidYouMean(c.Client.Mode, ClientModes))
	}
	if len(c.Client.CA) > maxChain {
		p.Add("ca", "is longer than %d bytes", maxChain)
		return p.Err()
	}
	policy, ok := proxy.NewClientPolicy(c.Client.CA, c.Client.Mode == "require", c.Client.Headers)
	if !ok {
		p.Add("ca", "has no certificate in PEM in it")
	}
	c.policy = policy
	return p.Err()
}

// compiled returns the certificate as listeners use it.
func (c *Certificate) compiled(id string) *proxy.Certificate {
	return &proxy.Certificate{ID: id, Names: c.SNIs, TLS: c.pair, Client: c.policy}
}

// TLS returns the certificate as crypto/tls wants it, nil for one that an authority issues. It is shared and must not be changed.
func (c *Certificate) TLS() *tls.Certificate { return c.pair }

// soon is when the end of a certificate is near: renewals begin a month before it, so one that is a week from it has not been renewed.
const soon = 7 * 24 * time.Hour

// Warnings tells what a client would complain of at a moment.
func (c *Certificate) Warnings(now time.Time) (p problem.Problems) {
	if c.pair == nil {
		return nil
	}
	leaf := c.pair.Leaf
	switch {
	case now.After(leaf.NotAfter):
		p.Add("cert", "expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		p.Add("cert", "is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	case now.Add(soon).After(leaf.NotAfter):
		p.Add("cert", "expires at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	for i, name := range c.SNIs {
		if name != "*" && !madeOutFor(leaf, name) {
			p.Add(problem.Index("snis", i), "the certificate is not made out for %q", name)
		}
	}
	return p
}

// madeOutFor reports whether a client that asks for name takes the certificate. A wildcard stands for a name below it.
func madeOutFor(leaf *x509.Certificate, name string) bool {
	if name[0] == '*' {
		name = "x" + name[1:]
	}
	return leaf.VerifyHostname(name) == nil
}
