package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"sluice/codec"
	"sluice/internal/network"
	"sluice/internal/problem"
	"sluice/internal/unit"
)

// ListenerConfig is one address that downstream connections are taken on.
type ListenerConfig struct {
	Address       string `json:"address"`        // IP:port, or :port for every address of this machine
	TLS           bool   `json:"tls"`            // certificates from the store, chosen by SNI
	ProxyProtocol bool   `json:"proxy_protocol"` // every connection begins with a PROXY header
	RedirectHTTPS int    `json:"redirect_https"` // requests are sent to HTTPS on that port, as clients reach it; 0 = they are served
}

// DefaultListeners are the contract's: every IPv4 address, port 10000.
func DefaultListeners() []ListenerConfig { return []ListenerConfig{{Address: "0.0.0.0:10000"}} }

// Validate reports everything that is wrong, with paths below the listener.
func (c *ListenerConfig) Validate() error {
	var p problem.Problems
	if _, err := c.AddrPort(); err != nil {
		p.Add("address", "%v", err)
	}
	switch {
	case c.RedirectHTTPS < 0 || c.RedirectHTTPS > 65535:
		p.Add("redirect_https", "%d is not a port: write the one that HTTPS is reached on, such as 443", c.RedirectHTTPS)
	case c.RedirectHTTPS > 0 && c.TLS:
		p.Add("redirect_https", "is for a listener without tls: the requests of this one have come over HTTPS already")
	}
	return p.Err()
}

// AddrPort returns the address to bind; ":port" is every IPv6 and IPv4 address.
func (c *ListenerConfig) AddrPort() (netip.AddrPort, error) { return ParseListenAddress(c.Address) }

// ParseListenAddress reads an address to listen on: an IP address or localhost and a port, or a port alone (":80"). Port 0 takes a
// free one.
func ParseListenAddress(s string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not an address: write IP:port, such as \"0.0.0.0:10000\" or \"[::1]:10000\"", s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not a port: write a number from 0 to 65535", port)
	}
	switch host {
	case "", "*":
		return netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(n)), nil
	case "localhost":
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(n)), nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("%q is not an IP address: write one of this machine's, or 0.0.0.0 for all", host)
	}
	return netip.AddrPortFrom(ip, uint16(n)), nil
}

// LimitsConfig bounds what one client may ask for.
type LimitsConfig struct {
	RequestLine unit.Size `json:"request_line"` // bytes of the request line; beyond: 414
	Headers     unit.Size `json:"headers"`      // bytes of all header fields; beyond: 431
	HeaderCount int       `json:"header_count"` // header fields; beyond: 431
	Body        unit.Size `json:"body"`         // bytes of a request body; beyond: 413; 0 = no bound
	Connections int       `json:"connections"`  // downstream connections, all workers together; 0 = no bound
	Pipeline    int       `json:"pipeline"`     // requests of one connection that are taken in while the first is not answered

	// Of those connections, the ones of one client: an IPv4 address or the /64 of an IPv6 address. 0 = no bound. Trusted proxies are not counted, since their
	// connections are those of many.
	ConnectionsPerClient int `json:"connections_per_client"`

	// What the process may use. Near it new requests are answered 503. 0 = GOMEMLIMIT or, without it, the container's limit.
	Memory unit.Size `json:"memory"`
}

// SetDefaults sets every limit to its default. A file is decoded over them, since 0 has a meaning of its own.
func (c *LimitsConfig) SetDefaults() {
	heads := codec.DefaultLimits()
	*c = LimitsConfig{
		RequestLine: unit.Size(heads.RequestLine), Headers: unit.Size(heads.Headers), HeaderCount: heads.HeaderCount,
		Body: 100 << 20, Pipeline: 64,
	}
}

// Validate reports everything that is wrong, with paths below "limits". The lower ends are what browsers and curl need; the upper
// ends keep a head within the largest read buffer of a loop (1 MiB).
func (c *LimitsConfig) Validate() error {
	var p problem.Problems
	checkSize(&p, "request_line", c.RequestLine, 256, 256<<10)
	checkSize(&p, "headers", c.Headers, 1<<10, 512<<10)
	checkCount(&p, "header_count", c.HeaderCount, 1, 4096)
	checkSize(&p, "body", c.Body, 0, 1<<50)
	checkCount(&p, "connections", c.Connections, 0, 1<<30)
	checkCount(&p, "connections_per_client", c.ConnectionsPerClient, 0, 1<<30)
	if c.Memory != 0 {
		checkSize(&p, "memory", c.Memory, leastMemory, 1<<50)
	}
	checkCount(&p, "pipeline", c.Pipeline, 1, 4096)
	return p.Err()
}

// leastMemory is what the gateway needs with its embedded store and a few connections, twice.
const leastMemory = 128 << 20

// Heads returns the limits that the parsers of request heads work with.
func (c *LimitsConfig) Heads() codec.Limits {
	return codec.Limits{RequestLine: int(c.RequestLine), Headers: int(c.Headers), HeaderCount: c.HeaderCount}
}

// TimeoutsConfig bounds every wait. Those towards a node are the defaults of services that have none of their own.
type TimeoutsConfig struct {
	RequestHeader  unit.Duration `json:"request_header"`  // from the first byte of a request to the end of its head; beyond: 408
	RequestBody    unit.Duration `json:"request_body"`    // between two reads of a request body; beyond: 408
	KeepAlive      unit.Duration `json:"keep_alive"`      // between two requests of a downstream connection
	Send           unit.Duration `json:"send"`            // between two writes that a slow reader lets through
	Connect        unit.Duration `json:"connect"`         // to a node; beyond: 504
	ResponseHeader unit.Duration `json:"response_header"` // from the last byte of the request to the response head; beyond: 504
	ResponseBody   unit.Duration `json:"response_body"`   // between two reads of a response body
	TunnelIdle     unit.Duration `json:"tunnel_idle"`     // between two bytes of an upgraded connection, either way
	ConnectionAge  unit.Duration `json:"connection_age"`  // of a downstream connection, after which it ends in order; 0 = any
	Drain          unit.Duration `json:"drain"`           // that a graceful stop waits for exchanges in flight; 0 = not at all
}

// SetDefaults sets every timeout to its default.
func (c *TimeoutsConfig) SetDefaults() {
	*c = TimeoutsConfig{
		RequestHeader: unit.Duration(10 * time.Second), RequestBody: unit.Duration(60 * time.Second),
		KeepAlive: unit.Duration(60 * time.Second), Send: unit.Duration(10 * time.Second),
		Connect: unit.Duration(3 * time.Second), ResponseHeader: unit.Duration(60 * time.Second),
		ResponseBody: unit.Duration(60 * time.Second), TunnelIdle: unit.Duration(time.Hour), Drain: unit.Duration(30 * time.Second),
	}
}

// Validate reports everything that is wrong, with paths below "timeouts". None but connection_age and drain may be 0: a wait without an end is how a slow
// client or node keeps what it holds for ever.
func (c *TimeoutsConfig) Validate() error {
	var p problem.Problems
	checkTimeout(&p, "request_header", c.RequestHeader, time.Hour)
	checkTimeout(&p, "request_body", c.RequestBody, maxTimeout)
	checkTimeout(&p, "keep_alive", c.KeepAlive, maxTimeout)
	checkTimeout(&p, "send", c.Send, maxTimeout)
	checkTimeout(&p, "connect", c.Connect, time.Hour)
	checkTimeout(&p, "response_header", c.ResponseHeader, maxTimeout)
	checkTimeout(&p, "response_body", c.ResponseBody, maxTimeout)
	checkTimeout(&p, "tunnel_idle", c.TunnelIdle, maxTimeout)
	if d := c.ConnectionAge.Std(); d != 0 {
		checkTimeout(&p, "connection_age", c.ConnectionAge, maxTimeout)
	}
	if d := c.Drain.Std(); d > maxTimeout {
		p.Add("drain", "%v is longer than %v", c.Drain, maxTimeout)
	}
	return p.Err()
}

// maxTimeout is the longest wait that may be asked for: a day is beyond any request, and within every timer.
const maxTimeout = 24 * time.Hour

func checkTimeout(p *problem.Problems, path string, d unit.Duration, most time.Duration) {
	if d.Std() < time.Millisecond || d.Std() > most {
		p.Add(path, "%v is out of range: from 1ms to %v", d, unit.Duration(most))
	}
}

func checkSize(p *problem.Problems, path string, s, least, most unit.Size) {
	if s < least || s > most {
		p.Add(path, "%v is out of range: from %v to %v", s, least, most)
	}
}

func checkCount(p *problem.Problems, path string, n, least, most int) {
	if n < least || n > most {
		p.Add(path, "%d is out of range: from %d to %d", n, least, most)
	}
}

// ParseTrustedProxies reads the file's trusted_proxies: CIDRs, or single addresses. Paths are those of the list's elements.
func ParseTrustedProxies(list []string) ([]netip.Prefix, error) {
	var p problem.Problems
	made := make([]netip.Prefix, 0, len(list))
	for i, s := range list {
		prefix, ok := network.Parse(s)
		if !ok {
			p.Add(problem.Index("", i), "%q is not a CIDR: write one such as \"10.0.0.0/8\" or \"fd00::/8\"", s)
			continue
		}
		made = append(made, prefix)
	}
	return made, p.Err()
}
