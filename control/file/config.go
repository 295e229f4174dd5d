// Package file reads the configuration file of a gateway: YAML, all of it optional, every wrong thing reported at once with
// line and column.
//
//	defaults ──► file ──► SLUICE_ variables ──► flags ──► Validate
//
// Each step overrides the one before it. A variable's name is SLUICE_ and the setting's path in capitals
// (SLUICE_ADMIN_ADDRESS); lists are separated by commas, and the list of listeners is one of addresses.
package file

import (
	"net/netip"
	"strings"

	"sluice/core/observe"
	"sluice/internal/problem"
	"sluice/proxy"
)

// Config is the whole file.
type Config struct {
	Workers        int                     `json:"workers"`         // event loops; 0 = the CPUs that this process may use
	PinWorkers     bool                    `json:"pin_workers"`     // worker i runs on CPU i alone
	IOUring        bool                    `json:"io_uring"`        // gather reads and writes where the kernel permits
	Splice         bool                    `json:"splice"`          // bodies that nobody reads pass from socket to socket within the kernel
	DataDir        string                  `json:"data_dir"`        // embedded etcd, last good snapshot, admin token
	Zone           string                  `json:"zone"`            // where the gateway is; nodes of the same metadata.zone are preferred; "" = nowhere
	Listeners      []proxy.ListenerConfig  `json:"listeners"`       // where downstream connections are taken
	TrustedProxies []string                `json:"trusted_proxies"` // CIDRs whose X-Forwarded-*, X-Real-IP are believed
	Admin          AdminConfig             `json:"admin"`
	Etcd           EtcdConfig              `json:"etcd"`
	TLS            TLSConfig               `json:"tls"`
	AccessLog      observe.AccessLogConfig `json:"access_log"`
	Limits         proxy.LimitsConfig      `json:"limits"`
	Timeouts       proxy.TimeoutsConfig    `json:"timeouts"`
}

// AdminConfig is where the admin API is served.
type AdminConfig struct {
	Address string `json:"address"` // IP:port
	Token   string `json:"token"`   // "" = made at the first start, written to data_dir/admin-token
	Expose  bool   `json:"expose"`  // serve /admin and /dashboard on the listeners too, for loopback and private addresses only
}

// TLSConfig is what gateways of one store share for TLS beside the store.
type TLSConfig struct {
	Secret string `json:"secret"` // what the keys of session tickets are encrypted with in the store; "" = one that is kept there
}

// EtcdConfig is where the resources are. It has the fields of etcd.Config, which it converts to and which validates it; this package
// cannot import that one, since both stand on the same level.
type EtcdConfig struct {
	Endpoints []string `json:"endpoints"` // none = an embedded server in data_dir
	Prefix    string   `json:"prefix"`    // of all keys
	Username  string   `json:"username"`
	Password  string   `json:"password"`
	CAFile    string   `json:"ca_file"`
	CertFile  string   `json:"cert_file"`
	KeyFile   string   `json:"key_file"`
}

// SetDefaults sets everything to what an empty file means. A file is decoded over it.
func (c *Config) SetDefaults() {
	*c = Config{
		IOUring:        true,
		Splice:         true,
		DataDir:        "sluice-data",
		Listeners:      proxy.DefaultListeners(),
		TrustedProxies: []string{},
		Admin:          AdminConfig{Address: defaultAdmin},
		Etcd:           EtcdConfig{Endpoints: []string{}, Prefix: "/sluice/"},
		AccessLog:      observe.DefaultAccessLog(),
	}
	c.Limits.SetDefaults()
	c.Timeouts.SetDefaults()
}

// defaultAdmin is where the admin API listens.
const defaultAdmin = "127.0.0.1:9180"

// maxWorkers bounds the event loops: a gateway with more than any machine has CPUs is a typing error.
const maxWorkers = 1024

// minToken is the least that a token of one's own must have: 16 characters drawn from 64 are 96 bits, beyond guessing.
const minToken = 16

// Validate reports everything that is wrong, but for the etcd block: that is etcd.Config's. It does no I/O.
func (c *Config) Validate() error {
	var p problem.Problems
	if c.Workers < 0 || c.Workers > maxWorkers {
		p.Add("workers", "%d is out of range: from 1 to %d, or 0 for the CPUs that this process may use", c.Workers, maxWorkers)
	}
	if c.DataDir == "" {
		p.Add("data_dir", "is empty: name a directory")
	}
	taken := c.checkListeners(&p)
	_, err := proxy.ParseTrustedProxies(c.TrustedProxies)
	p.Under("trusted_proxies", err)
	c.Admin.check(&p, taken)
	if n := len(c.TLS.Secret); n > 0 && n < minToken {
		p.Add("tls.secret", "is shorter than %d characters: leave it empty to have one made, or draw one at random", minToken)
	}
	p.Under("access_log", c.AccessLog.Validate())
	p.Under("limits", c.Limits.Validate())
	p.Under("timeouts", c.Timeouts.Validate())
	return p.Err()
}

// checkListeners notes what is wrong with the listeners, and returns which of them has which address.
func (c *Config) checkListeners(p *problem.Problems) map[netip.AddrPort]string {
	if len(c.Listeners) == 0 {
		p.Add("listeners", "is empty: one address at least is needed")
	}
	taken := make(map[netip.AddrPort]string, len(c.Listeners))
	for i := range c.Listeners {
		at := problem.Index("listeners", i)
		p.Under(at, c.Listeners[i].Validate())
		address, err := c.Listeners[i].AddrPort()
		if err != nil || address.Port() == 0 {
			continue
		}
		if first, ok := taken[address]; ok {
			p.Add(at+".address", "%q is also %s", c.Listeners[i].Address, first)
			continue
		}
		taken[address] = at
	}
	return taken
}

func (a *AdminConfig) check(p *problem.Problems, taken map[netip.AddrPort]string) {
	address, err := proxy.ParseListenAddress(a.Address)
	switch {
	case err != nil:
		p.Add("admin.address", "%v", err)
	case taken[address] != "":
		// At the one that was written, so that there is a line to point at: a default stands in no file.
		if a.Address == defaultAdmin {
			p.Add(taken[address]+".address", "%q is also admin.address", a.Address)
			break
		}
		p.Add("admin.address", "%q is also %s", a.Address, taken[address])
	}
	if a.Token != "" {
		switch {
		case len(a.Token) < minToken:
			p.Add("admin.token", "is shorter than %d characters: leave it empty to have one made", minToken)
		case strings.ContainsFunc(a.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
			p.Add("admin.token", "has a character in it that is not visible ASCII, and so cannot be sent in a header")
		}
	}
}
