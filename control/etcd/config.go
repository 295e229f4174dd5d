// Package etcd keeps the resources in etcd: an embedded server ([StartServer]) or a cluster somewhere else.
//
//	Config ──> Client ──> Store    reads and guarded writes, for the admin API
//	                 └──> Source   list at a revision, then one watch from the next one, for the control.Sink
//
// A write never reaches the sink by itself: it goes to the store, and the watch brings it back. With etcd down the sink
// keeps what it has; [Source.Status] says how old that is.
package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"sluice/internal/problem"
)

// DefaultPrefix is what all keys begin with when the configuration does not say otherwise.
const DefaultPrefix = "/sluice/"

// Config is the etcd block of the configuration file.
type Config struct {
	Endpoints []string `yaml:"endpoints" json:"endpoints"` // "host:port", "http://…", "https://…" or "unix:///path"; none = the embedded server
	Prefix    string   `yaml:"prefix" json:"prefix"`       // what all keys begin with, ends in "/"; default "/sluice/"
	Username  string   `yaml:"username" json:"username"`   // "" = no authentication by password
	Password  string   `yaml:"password" json:"password"`
	CAFile    string   `yaml:"ca_file" json:"ca_file"`     // PEM; who may have signed the servers' certificates; "" = the system's
	CertFile  string   `yaml:"cert_file" json:"cert_file"` // PEM; the client certificate; read again at every connection
	KeyFile   string   `yaml:"key_file" json:"key_file"`
}

// SetDefaults fills in what is not given.
func (c *Config) SetDefaults() {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
}

// Validate returns all that is wrong at once, as problem.Problems with paths below the etcd block. It does no I/O.
func (c *Config) Validate() error {
	var wrong problem.Problems
	kinds := make(map[string]bool)
	for i, endpoint := range c.Endpoints {
		kind, err := endpointKind(endpoint)
		if err != nil {
			wrong.Add(fmt.Sprintf("endpoints[%d]", i), "%v", err)
			continue
		}
		kinds[kind] = true
	}
	// The client encrypts all of its connections or none, as its first endpoint says: a mixed list would send some of them in the clear.
	if len(kinds) > 1 {
		wrong.Add("endpoints", "all of them must be of one kind: host:port, http://, https:// or unix://")
	}
	if !strings.HasSuffix(c.Prefix, "/") {
		wrong.Add("prefix", "%q must end in \"/\", as \"/sluice/\" does", c.Prefix)
	}
	if (c.Username == "") != (c.Password == "") {
		wrong.Add("username", "username and password must be given together")
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		wrong.Add("cert_file", "cert_file and key_file must be given together")
	}
	if (c.CAFile != "" || c.CertFile != "") && (kinds["http"] || kinds["unix"]) {
		wrong.Add("endpoints", "http:// and unix:// do not encrypt, so ca_file and cert_file would have no effect: write https://")
	}
	return wrong.Err()
}

// CheckFiles reports what is wrong with the files that are named, which it reads.
func (c *Config) CheckFiles() error {
	var wrong problem.Problems
	if c.CAFile != "" {
		if _, err := readAuthorities(c.CAFile); err != nil {
			wrong.Add("ca_file", "%v", err)
		}
	}
	if c.CertFile != "" && c.KeyFile != "" {
		_, certErr := os.ReadFile(c.CertFile)
		_, keyErr := os.ReadFile(c.KeyFile)
		wrong.Under("cert_file", certErr)
		wrong.Under("key_file", keyErr)
		if certErr == nil && keyErr == nil {
			if _, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {
				wrong.Add("cert_file", "with key_file: %v", err)
			}
		}
	}
	return wrong.Err()
}

// readAuthorities returns the certificates of a file.
func readAuthorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", filepath.Clean(path))
	}
	return pool, nil
}

// endpointKind returns the scheme of an endpoint, "" where it has none.
func endpointKind(endpoint string) (string, error) {
	scheme, _, found := strings.Cut(endpoint, "://")
	if !found {
		if _, port, err := net.SplitHostPort(endpoint); err != nil || port == "" {
			return "", fmt.Errorf("%q must be like \"127.0.0.1:2379\" or \"https://etcd.example.com:2379\"", endpoint)
		}
		return "", nil
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", fmt.Errorf("%q is not a URL: %w", endpoint, err)
	}
	switch {
	case scheme == "unix" && u.Path == "" && u.Host == "":
		return "", fmt.Errorf("%q names no socket, as \"unix:///run/etcd.sock\" does", endpoint)
	case scheme == "unix":
		return scheme, nil
	case scheme != "http" && scheme != "https":
		return "", fmt.Errorf("%q must begin with http://, https:// or unix://", endpoint)
	case u.Hostname() == "" || u.Port() == "":
		return "", fmt.Errorf("%q must name a host and a port", endpoint)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		return "", fmt.Errorf("%q must be no more than a host and a port; user and password have their own keys", endpoint)
	}
	return scheme, nil
}

// tls returns what the connections are encrypted with, nil for none. It reads the files.
func (c *Config) tls() (*tls.Config, error) {
	secure := c.CAFile != "" || c.CertFile != ""
	for _, endpoint := range c.Endpoints {
		secure = secure || strings.HasPrefix(endpoint, "https://")
	}
	if !secure {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pool, err := readAuthorities(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("etcd: ca_file: %w", err)
		}
		out.RootCAs = pool
	}
	if c.CertFile != "" {
		// Read at each handshake: a certificate that was renewed on disk is used from the next connection on.
		out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
			return &pair, err
		}
	}
	return out, nil
}
