package control

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"sluice/internal/problem"
	"sluice/proxy"
)

// CertificateACME says which authority a certificate comes from, in place of cert and key (ACME, RFC 8555). One certificate is obtained for each name.
type CertificateACME struct {
	Directory   string `json:"directory,omitempty"`    // URL of the authority; default Let's Encrypt's
	Email       string `json:"email,omitempty"`        // whom the authority may write to
	TermsAgreed bool   `json:"terms_agreed,omitempty"` // the operator agrees to the authority's terms; without it nothing is asked for
	Challenge   string `json:"challenge,omitempty"`    // how the names are proved: "http-01" (default) or "tls-alpn-01"
	CA          string `json:"ca,omitempty"`           // PEM: who signs the authority's own certificate; default: the system's authorities
}

// The authority and the challenges.
const (
	LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"
	HTTP01      = "http-01"
	TLSALPN01   = "tls-alpn-01"
)

// Challenges are those that a certificate may ask for.
var Challenges = []string{HTTP01, TLSALPN01}

// Where what has to do with authorities is kept. None of it is a resource.
const (
	ACMEFolder      = "acme/"
	IssuedFolder    = ACMEFolder + "issued/"    // certificates that were obtained, by name: [Issued]
	ChallengeFolder = ACMEFolder + "challenge/" // what authorities are about to ask: [Challenge]
)

// acmeKind is the kind of keys below ACMEFolder, for the engine alone.
const acmeKind Kind = "acme"

// ServedByACME reports whether gateways serve what stands at a key: an issued certificate or a challenge. All else below ACMEFolder is for who obtains certificates.
func ServedByACME(key string) bool {
	return strings.HasPrefix(key, IssuedFolder) || strings.HasPrefix(key, ChallengeFolder)
}

// Issued is a certificate that was obtained.
type Issued struct {
	Cert string `json:"cert"` // PEM
	Key  string `json:"key"`  // PEM
}

// Challenge is one question of an authority and what to say.
type Challenge struct {
	Token  string `json:"token,omitempty"`  // HTTP-01
	Answer string `json:"answer,omitempty"` // HTTP-01
	Name   string `json:"name,omitempty"`   // TLS-ALPN-01
	Cert   string `json:"cert,omitempty"`   // TLS-ALPN-01: PEM
	Key    string `json:"key,omitempty"`    // TLS-ALPN-01: PEM
}

// ACMEName is a name for which a certificate is wanted of an authority.
type ACMEName struct {
	Name   string
	Config CertificateACME
	Leaf   *x509.Certificate // that is in force; nil = none
}

// parseACME checks a certificate that comes from an authority.
func (c *Certificate) parseACME() (p problem.Problems) {
	a := c.ACME
	if a.Directory == "" {
		a.Directory = LetsEncrypt
	}
	if a.Challenge == "" {
		a.Challenge = HTTP01
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		p.Add("acme.directory", "%q is no https URL", a.Directory)
	}
	if !slices.Contains(Challenges, a.Challenge) {
		p.Add("acme.challenge", "%q is none of %s%s", a.Challenge, strings.Join(Challenges, ", "), problem.DidYouMean(a.Challenge, Challenges))
	}
	if !a.TermsAgreed {
		p.Add("acme.terms_agreed", "is false: read the terms of the authority, and say true if you agree")
	}
	if a.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(a.CA)) {
		p.Add("acme.ca", "has no certificate in PEM in it")
	}
	if c.Cert != "" || c.Key != "" {
		p.Add("acme", "stands in the place of cert and key: leave out the one or the other")
	}
	if len(c.SNIs) == 0 {
		p.Add("snis", "are missing: write the names to obtain a certificate for")
	}
	for i, name := range c.SNIs {
		if strings.Contains(name, "*") {
			p.Add(problem.Index("snis", i), "%q: wildcards are proved by DNS alone, which this version does not do", name)
		}
	}
	return p
}

// putACME takes in what stands at a key below ACMEFolder.
func (o *others) putACME(id string, value []byte) error {
	if name, ok := strings.CutPrefix(ACMEFolder+id, IssuedFolder); ok {
		var issued Issued
		if err := json.Unmarshal(value, &issued); err != nil {
			return fmt.Errorf("control: an issued certificate: %w", err)
		}
		pair, err := tls.X509KeyPair([]byte(issued.Cert), []byte(issued.Key))
		if err != nil {
			return fmt.Errorf("control: an issued certificate: %w", err)
		}
		o.issued[name], o.stale = &pair, true
	}
	if _, ok := strings.CutPrefix(ACMEFolder+id, ChallengeFolder); ok {
		var challenge Challenge
		if err := json.Unmarshal(value, &challenge); err != nil {
			return fmt.Errorf("control: a challenge: %w", err)
		}
		o.challenges[id], o.stale = &challenge, true
	}
	return nil
}

// removeACME takes it out.
func (o *others) removeACME(id string) {
	if name, ok := strings.CutPrefix(ACMEFolder+id, IssuedFolder); ok {
		delete(o.issued, name)
		o.stale = true
	}
	if _, ok := o.challenges[id]; ok {
		delete(o.challenges, id)
		o.stale = true
	}
}

// obtained returns the certificates that an authority has issued for a document, one for each of its names that has one, and notes the names.
func (o *others) obtained(id string, c *Certificate) (list []*proxy.Certificate) {
	for _, name := range c.SNIs {
		name = strings.ToLower(name)
		wanted := ACMEName{Name: name, Config: *c.ACME}
		if pair := o.issued[name]; pair != nil {
			list = append(list, &proxy.Certificate{ID: id, Names: []string{name}, TLS: pair, Client: c.policy})
			wanted.Leaf = pair.Leaf
		}
		o.wanted = append(o.wanted, wanted)
	}
	return list
}

// answers returns the challenges as listeners use them; nil without.
func (o *others) answers() *proxy.Challenges {
	if len(o.challenges) == 0 {
		return nil
	}
	c := &proxy.Challenges{Tokens: map[string][]byte{}, Names: map[string]*tls.Certificate{}}
	for _, one := range o.challenges {
		if one.Token != "" {
			c.Tokens[one.Token] = []byte(one.Answer)
		}
		if pair, err := tls.X509KeyPair([]byte(one.Cert), []byte(one.Key)); err == nil {
			c.Names[one.Name] = &pair
		}
	}
	return c
}

// ACME returns the names for which certificates are wanted of authorities. The result is shared and must not be changed. Any goroutine may call it.
func (e *Engine) ACME() []ACMEName {
	if list := e.acme.Load(); list != nil {
		return *list
	}
	return nil
}
