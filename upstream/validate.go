package upstream

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/problem"
	"sluice/internal/unit"
)

// The words that a service may use.
var (
	protocols = []string{"http", "grpc"}
	balancers = []string{"roundrobin", "least_conn", "ewma", "chash", "random"}
	hashKeys  = []string{"ip", "header", "cookie", "query", "path"}
	probes    = []string{"tcp", "http", "grpc", "none"}
	retryOn   = []string{"connect", "reset", "502", "503", "504", "unavailable"}

	defaultRetryOn = retryOn[:5]
)

// SetDefaults fills in what is not given. Timeouts stay 0, which means the gateway's own.
func (c *Config) SetDefaults() {
	or(&c.Protocol, "http")
	or(&c.Balancer.Type, "roundrobin")
	if c.Balancer.Type == "chash" {
		or(&c.Balancer.HashOn, "ip")
	}
	orPointer(&c.Balancer.PanicPercent, DefaultPanicPercent)
	if sticky := c.Balancer.Sticky; sticky != nil {
		or(&sticky.Cookie, DefaultStickyCookie)
	}
	for i := range c.Nodes {
		c.Nodes[i].SetDefaults()
	}
	if c.Health != nil {
		c.Health.SetDefaults()
	}
	if a := c.Breaker.Adaptive; a != nil {
		or(&a.MinLimit, 10)
		or(&a.MaxLimit, max(1000, a.MinLimit))
		or(&a.TolerancePercent, 150)
	}
	orPointer(&c.Retry.Attempts, DefaultAttempts)
	if c.Retry.On == nil {
		c.Retry.On = slices.Clone(defaultRetryOn)
	}
	or(&c.Retry.Backoff, unit.Duration(DefaultBackoff))
	or(&c.Retry.MaxBackoff, max(c.Retry.Backoff, 10*c.Retry.Backoff))
	if h := c.Retry.Hedge; h != nil {
		or(&h.Percentile, 95)
		or(&h.MinDelay, unit.Duration(5*time.Millisecond))
	}
	orPointer(&c.Retry.BudgetPercent, DefaultBudgetPercent)
	orPointer(&c.Retry.MinPerSecond, DefaultMinPerSecond)
	if c.TLS.on() {
		orPointer(&c.Pool.MaxIdlePerWorker, DefaultMaxIdleTLS)
	}
	orPointer(&c.Pool.MaxIdlePerWorker, DefaultMaxIdle)
	or(&c.Pool.IdleTimeout, unit.Duration(DefaultIdleTimeout))
}

// SetDefaults fills in what is not given.
func (n *NodeConfig) SetDefaults() {
	orPointer(&n.Weight, DefaultWeight)
	orPointer(&n.Status, 1)
}

// Validate reports everything that is wrong, with paths below the service, after SetDefaults. It does no I/O.
func (c *Config) Validate() error {
	var p problem.Problems
	CheckName(&p, "name", c.Name)
	oneOf(&p, "protocol", c.Protocol, protocols)
	p.Under("balancer", c.Balancer.validate())
	seen := make(map[string]int, len(c.Nodes))
	for i := range c.Nodes {
		n := &c.Nodes[i]
		at := problem.Index("nodes", i)
		p.Under(at, n.Validate())
		if first, ok := seen[n.Upstream]; ok {
			p.Add(at+".upstream", "%q is also nodes[%d]", n.Upstream, first)
		} else {
			seen[n.Upstream] = i
		}
	}
	if c.Health != nil {
		p.Under("health", c.Health.Validate())
	}
	p.Under("breaker", c.Breaker.validate())
	p.Under("retry", c.Retry.Validate())
	p.Under("timeout", c.Timeout.Validate())
	if c.TLS != nil {
		p.Under("tls", c.TLS.validate())
	}
	p.Under("pool", c.Pool.validate())
	return p.Err()
}

func (b *BreakerConfig) validate() error {
	var p problem.Problems
	within(&p, "max_requests", b.MaxRequests, 0, 1<<30)
	within(&p, "max_pending", b.MaxPending, 0, 1<<30)
	within(&p, "max_connections", b.MaxConnections, 0, 1<<30)
	within(&p, "max_retries", b.MaxRetries, 0, 1<<30)
	within(&p, "per_node.max_requests", b.PerNode.MaxRequests, 0, 1<<30)
	within(&p, "per_node.max_pending", b.PerNode.MaxPending, 0, 1<<30)
	within(&p, "per_node.max_retries", b.PerNode.MaxRetries, 0, 1<<30)
	lasts(&p, "queue_timeout", b.QueueTimeout, 0)
	if a := b.Adaptive; a != nil {
		within(&p, "adaptive.min_limit", a.MinLimit, 1, 1<<20)
		within(&p, "adaptive.max_limit", a.MaxLimit, max(1, a.MinLimit), 1<<20)
		within(&p, "adaptive.tolerance_percent", a.TolerancePercent, 100, 1000)
	}
	return p.Err()
}

func (c *PoolConfig) validate() error {
	var p problem.Problems
	within(&p, "max_idle_per_worker", *c.MaxIdlePerWorker, 0, 1<<20)
	within(&p, "max_per_node", c.MaxPerNode, 0, 1<<30)
	lasts(&p, "idle_timeout", c.IdleTimeout, time.Millisecond)
	within(&p, "max_requests", c.MaxRequests, 0, 1<<30)
	lasts(&p, "max_age", c.MaxAge, 0)
	within(&p, "preconnect", c.Preconnect, 0, max(0, *c.MaxIdlePerWorker))
	return p.Err()
}

// Validate reports everything that is wrong with a node, after SetDefaults.
func (n *NodeConfig) Validate() error {
	var p problem.Problems
	if n.Upstream == "" {
		p.Add("upstream", "is missing: write host:port")
	} else if text := addressProblem(n.Upstream); text != "" {
		p.Add("upstream", "%s", text)
	}
	within(&p, "weight", *n.Weight, 0, MaxWeight)
	within(&p, "status", *n.Status, 0, 1)
	if text, ok := n.Metadata[metaPriority]; ok {
		if tier, err := strconv.Atoi(text); err != nil || tier < 0 || tier > MaxPriority {
			p.Add("metadata."+metaPriority, "%q is not a tier: write a whole number from 0, which is asked first, to %d", text, MaxPriority)
		}
	}
	return p.Err()
}

func (b *BalancerConfig) validate() error {
	var p problem.Problems
	oneOf(&p, "type", b.Type, balancers)
	lasts(&p, "slow_start", b.SlowStart, 0)
	within(&p, "panic_percent", *b.PanicPercent, 0, 100)
	if b.Sticky != nil {
		if !validToken(b.Sticky.Cookie) {
			p.Add("sticky.cookie", "%q is not a name for a cookie", b.Sticky.Cookie)
		}
		lasts(&p, "sticky.ttl", b.Sticky.TTL, 0)
	}
	if b.Type != "chash" {
		if b.HashBalanceFactor != 0 {
			p.Add("hash_balance_factor", "is for the type chash only")
		}
		if b.HashOn != "" {
			p.Add("hash_on", "is for the type chash only")
		}
		if b.Key != "" {
			p.Add("key", "is for the type chash only")
		}
		return p.Err()
	}
	if b.HashBalanceFactor != 0 {
		within(&p, "hash_balance_factor", b.HashBalanceFactor, 101, 10_000)
	}
	oneOf(&p, "hash_on", b.HashOn, hashKeys)
	named := b.HashOn == "header" || b.HashOn == "cookie" || b.HashOn == "query"
	if named && b.Key == "" {
		p.Add("key", "is missing: name the %s to hash on", b.HashOn)
	}
	if !named && b.Key != "" {
		p.Add("key", "is for hash_on header, cookie or query only")
	}
	return p.Err()
}

// Validate reports everything that is wrong, with paths below "retry", after SetDefaults.
func (r *RetryConfig) Validate() error {
	var p problem.Problems
	within(&p, "attempts", *r.Attempts, 1, 10)
	for i, on := range r.On {
		oneOf(&p, problem.Index("on", i), on, retryOn)
	}
	within(&p, "budget_percent", *r.BudgetPercent, 0, 100)
	within(&p, "min_per_second", *r.MinPerSecond, 0, 1<<20)
	lasts(&p, "backoff", r.Backoff, time.Millisecond)
	if r.MaxBackoff != r.Backoff { // which has been looked at
		lasts(&p, "max_backoff", r.MaxBackoff, r.Backoff.Std())
	}
	if h := r.Hedge; h != nil {
		within(&p, "hedge.percentile", h.Percentile, 50, 99)
		lasts(&p, "hedge.delay", h.Delay, 0)
		lasts(&p, "hedge.min_delay", h.MinDelay, time.Millisecond)
	}
	return p.Err()
}

// Validate reports everything that is wrong, with paths below "timeout". 0 is the gateway's own.
func (t *TimeoutConfig) Validate() error {
	var p problem.Problems
	lasts(&p, "connect", t.Connect, 0)
	lasts(&p, "response", t.Response, 0)
	lasts(&p, "idle", t.Idle, 0)
	lasts(&p, "per_try", t.PerTry, 0)
	lasts(&p, "total", t.Total, 0)
	return p.Err()
}

// CheckName notes what is wrong with the name of a service, which is part of keys, metrics and logs.
func CheckName(p *problem.Problems, path, name string) {
	switch {
	case name == "":
		p.Add(path, "is missing: name the service")
	case len(name) > 255:
		p.Add(path, "is longer than 255 bytes")
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '/' || r == 0xfffd }):
		p.Add(path, "%q has a slash, white space or a control character in it", name)
	}
}

// addressProblem returns what is wrong with a node's host:port or name of SRV records, or "".
func addressProblem(s string) string {
	if isSRV(s) {
		if !validHostName(s) {
			return strconv.Quote(s) + " is not a name of SRV records, such as \"_http._tcp.example.com\""
		}
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return strconv.Quote(s) + " is not host:port: write one such as \"10.0.0.7:8080\" or \"[fd00::7]:8080\""
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return strconv.Quote(port) + " is not a port: write a number from 1 to 65535"
	}
	if _, err := netip.ParseAddr(host); err != nil && !validHostName(host) {
		return strconv.Quote(host) + " is neither an IP address nor a host name"
	}
	return ""
}

// validHostName is RFC 1123 §2.1, and the underscore that container names have.
func validHostName(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
				return false
			}
		}
	}
	// A host name of digits and dots alone is a mistyped IPv4 address, and resolvers guess at those.
	return strings.Trim(host, "0123456789.") != ""
}

// validToken reports whether s is a token (RFC 9110 §5.6.2), such as the name of a cookie or a method.
func validToken(s string) bool {
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r)
	})
}

func validPath(s string) bool {
	return strings.HasPrefix(s, "/") && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' })
}

func oneOf(p *problem.Problems, path, word string, known []string) {
	if !slices.Contains(known, word) {
		p.Add(path, "%q is none of %s%s", word, strings.Join(known, ", "), problem.DidYouMean(word, known))
	}
}

func within(p *problem.Problems, path string, n, least, most int) {
	if n < least || n > most {
		p.Add(path, "%d is out of range: from %d to %d", n, least, most)
	}
}

// longest is a day, beyond which nothing in a gateway is waited for.
const longest = 24 * time.Hour

// lasts bounds a duration.
func lasts(p *problem.Problems, path string, d unit.Duration, least time.Duration) {
	if d.Std() < least || d.Std() > longest {
		p.Add(path, "%v is out of range: from %v to 24h", d, least)
	}
}

func or[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

func orPointer(v **int, fallback int) {
	if *v == nil {
		*v = &fallback
	}
}
