package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
)

// Certificate is a chain with its key, for the names that clients ask for (SNI). It is immutable.
type Certificate struct {
	ID     string
	Names  []string // lower case: "a.example.com", "*.example.com" for one label in front of it, "*" for every name that no other has
	TLS    *tls.Certificate
	Client *ClientPolicy // nil: clients are not asked who they are
}

// ClientPolicy is what a certificate asks of clients.
type ClientPolicy struct {
	CAs     *x509.CertPool // who signs theirs
	Require bool           // false: a client may also have none
	Headers bool           // nodes are told who the client is
	Tag     [32]byte       // the same for the same policy: a session of another one is not resumed
}

// NewClientPolicy returns the policy of authorities as PEM text; false where there is none in it.
func NewClientPolicy(ca string, require, headers bool) (*ClientPolicy, bool) {
	p := &ClientPolicy{CAs: x509.NewCertPool(), Require: require, Headers: headers}
	if !p.CAs.AppendCertsFromPEM([]byte(ca)) {
		return nil, false
	}
	mode := byte(0)
	if require {
		mode = 1
	}
	p.Tag = sha256.Sum256(append([]byte{mode}, ca...))
	return p, true
}

// Certificates finds certificates by name. It is immutable; nil is none at all.
type Certificates struct {
	names    map[string]*Certificate // exact ones
	below    map[string]*Certificate // "example.com" for *.example.com
	other    *Certificate            // of "*"
	first    *Certificate            // for clients that ask for no name where there is no "*"
	policies bool                    // one has a client policy
	headers  bool                    // one of those tells nodes of the client
}

// NewCertificates returns the certificates of a snapshot. Where two have a name, the one with the smaller id has it.
func NewCertificates(list []*Certificate) *Certificates {
	list = slices.SortedFunc(slices.Values(list), func(a, b *Certificate) int { return strings.Compare(a.ID, b.ID) })
	s := &Certificates{names: make(map[string]*Certificate), below: make(map[string]*Certificate)}
	for _, c := range list {
		for _, name := range c.Names {
			s.add(name, c)
		}
		if s.first == nil {
			s.first = c
		}
		if c.Client != nil {
			s.policies, s.headers = true, s.headers || c.Client.Headers
		}
	}
	return s
}

func (s *Certificates) add(name string, c *Certificate) {
	name = strings.ToLower(name)
	if name == "*" {
		if s.other == nil {
			s.other = c
		}
		return
	}
	names := s.names
	if parent, wildcard := strings.CutPrefix(name, "*."); wildcard {
		names, name = s.below, parent
	}
	if names[name] == nil {
		names[name] = c
	}
}

// Find returns the certificate for the name that a client asks for, nil where there is none: that of the name itself, of the wildcard one label above it, of "*". A
// client that asks for no name, since it knows only an address, is given that of "*" or the one with the smallest id.
func (s *Certificates) Find(name string) *Certificate {
	if s != nil && name == "" && s.other == nil {
		return s.first
	}
	return s.find([]byte(strings.TrimSuffix(strings.ToLower(name), ".")))
}

// find is Find for a name in lower case. It allocates nothing.
func (s *Certificates) find(name []byte) *Certificate {
	if s == nil {
		return nil
	}
	if c := s.names[string(name)]; c != nil {
		return c
	}
	if dot := bytes.IndexByte(name, '.'); dot >= 0 {
		if c := s.below[string(name[dot+1:])]; c != nil {
			return c
		}
	}
	return s.other
}

// Uncertified reports whether a listener takes TLS while there is no certificate to show. Any goroutine may call it.
func (s *Server) Uncertified() bool {
	if now := s.snapshot.Load(); now == nil || now.Certificates.Find("") != nil {
		return false
	}
	return slices.ContainsFunc(s.config.Listeners, func(l ListenerConfig) bool { return l.TLS })
}

// asksClients reports whether a certificate has a client policy.
func (s *Certificates) asksClients() bool { return s != nil && s.policies }

// tellsNodes reports whether nodes are told of clients by a certificate of these.
func (s *Certificates) tellsNodes() bool { return s != nil && s.headers }
