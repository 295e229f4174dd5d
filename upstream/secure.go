package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"

	"sluice/internal/problem"
)

// TLSConfig is how the nodes of a service are reached over TLS. Their certificates are verified, unless it says otherwise.
type TLSConfig struct {
	Enabled            *bool  `json:"enabled,omitempty"`              // default true; false: as if there were no tls
	ServerName         string `json:"server_name,omitempty"`          // what is asked for (SNI) and verified; default: the host of the node's address
	CA                 string `json:"ca,omitempty"`                   // PEM: the authorities that sign theirs; default: the system's
	ClientCert         string `json:"client_cert,omitempty"`          // PEM: the chain that nodes are shown
	ClientKey          string `json:"client_key,omitempty"`           // PEM: its key
	Certificate        string `json:"certificate,omitempty"`          // in place of the two: the id of a certificate of the store, which whoever has that puts there
	InsecureSkipVerify bool   `json:"insecure_skip_verify,omitempty"` // any certificate will do: whoever is in between can read and change everything
}

// on reports whether there is TLS.
func (c *TLSConfig) on() bool { return c != nil && (c.Enabled == nil || *c.Enabled) }

// validate reports everything that is wrong, with paths below "tls".
func (c *TLSConfig) validate() error {
	var p problem.Problems
	if _, err := netip.ParseAddr(c.ServerName); c.ServerName != "" && err != nil && !validHostName(c.ServerName) {
		p.Add("server_name", "%q is neither a host name nor an IP address", c.ServerName)
	}
	if c.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.CA)) {
		p.Add("ca", "has no certificate in PEM in it")
	}
	if c.Certificate != "" && (c.ClientCert != "" || c.ClientKey != "") {
		p.Add("certificate", "is one of the store, and client_cert and client_key are another: leave out one of them")
	}
	switch {
	case c.ClientCert == "" && c.ClientKey != "":
		p.Add("client_cert", "is missing: client_key is for nothing without it")
	case c.ClientCert != "" && c.ClientKey == "":
		p.Add("client_key", "is missing: client_cert is for nothing without it")
	case c.ClientCert != "":
		if _, err := tls.X509KeyPair([]byte(c.ClientCert), []byte(c.ClientKey)); err != nil {
			p.Add("client_cert", "%v", err)
		}
	}
	if c.InsecureSkipVerify && c.CA != "" {
		p.Add("insecure_skip_verify", "makes ca mean nothing: leave out one of them")
	}
	return p.Err()
}

// secure is a service's TLS towards its nodes. It lives as long as nothing in the configuration of it changes, and with it the sessions that nodes have given: there is one
// cache for all nodes of the service.
type secure struct {
	from TLSConfig
	base *tls.Config
}

// sessionsKept bounds the sessions that a service keeps: one for each name that its nodes are asked for.
const sessionsKept = 256

// newSecure returns the TLS of a configuration, which is the one of before where nothing has changed; nil without.
func newSecure(config *TLSConfig, before *secure) *secure {
	if !config.on() {
		return nil
	}
	from := *config
	from.Enabled = nil
	if before != nil && before.from == from {
		return before
	}
	base := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: from.ServerName, InsecureSkipVerify: from.InsecureSkipVerify, NextProtos: []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(sessionsKept), DynamicRecordSizingDisabled: true,
	}
	if from.CA != "" {
		base.RootCAs = x509.NewCertPool()
		base.RootCAs.AppendCertsFromPEM([]byte(from.CA))
	}
	if from.ClientCert != "" {
		if own, err := tls.X509KeyPair([]byte(from.ClientCert), []byte(from.ClientKey)); err == nil { // it has been validated
			base.Certificates = []tls.Certificate{own}
		}
	}
	return &secure{from: from, base: base}
}

// nodeTLS is the TLS towards one node. Connections that were made with another are not used again.
type nodeTLS struct {
	of     *secure
	config *tls.Config
	http2  *tls.Config // config for HTTP/2, which TLS must agree upon (RFC 9113 §3.2)
}

// useTLS puts a service's TLS in force for new connections to the node.
func (n *Node) useTLS(s *secure) {
	now := n.tls.Load()
	switch {
	case s == nil:
		n.tls.Store(nil)
	case now == nil || now.of != s:
		config := s.base
		if config.ServerName == "" {
			config = config.Clone()
			config.ServerName, _, _ = net.SplitHostPort(n.Address)
		}
		http2 := config.Clone()
		http2.NextProtos = []string{"h2"}
		n.tls.Store(&nodeTLS{s, config, http2})
	}
}

// probing returns the configuration for a probe of that type: gRPC is HTTP/2.
func (n *nodeTLS) probing(kind string) *tls.Config {
	if kind != "grpc" {
		return n.config
	}
	return n.http2
}
