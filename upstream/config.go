package upstream

import (
	"time"

	"sluice/internal/unit"
)

// Config is one service as it is stored at services/<name>. Zero values mean the defaults that SetDefaults fills in.
type Config struct {
	Name     string         `json:"name"`
	Protocol string         `json:"protocol,omitempty"` // "http" (default) or "grpc"
	HTTP2    bool           `json:"http2,omitempty"`    // nodes speak HTTP/2; those of gRPC always do
	Balancer BalancerConfig `json:"balancer"`
	Nodes    []NodeConfig   `json:"nodes,omitempty"` // static nodes, beside those that discovery brings
	Health   *HealthConfig  `json:"health,omitempty"`
	Breaker  BreakerConfig  `json:"breaker"`
	Retry    RetryConfig    `json:"retry"`
	Timeout  TimeoutConfig  `json:"timeout"`
	Pool     PoolConfig     `json:"pool"`
	TLS      *TLSConfig     `json:"tls,omitempty"` // nil: nodes are reached in plain text
	Desc     string         `json:"desc,omitempty"`
}

// NodeConfig is one instance of a service.
type NodeConfig struct {
	Upstream string            `json:"upstream"`                       // host:port
	Weight   *int              `json:"weight,omitempty" strict:"text"` // share of the traffic, 0 to 65535; default 1; 0 drains
	Status   *int              `json:"status,omitempty" strict:"text"` // 1 (default) in, 0 out
	Metadata map[string]string `json:"metadata,omitempty"`
}

// BalancerConfig chooses how a node is picked.
type BalancerConfig struct {
	Type              string        `json:"type,omitempty"`                // "roundrobin" (default), "least_conn", "ewma", "chash" or "random"
	HashOn            string        `json:"hash_on,omitempty"`             // chash: "ip" (default), "header", "cookie", "query" or "path"
	Key               string        `json:"key,omitempty"`                 // chash: the name of the header, cookie or query parameter
	HashBalanceFactor int           `json:"hash_balance_factor,omitempty"` // chash: percent of the mean load that a node may have, from 101; 0 (default) = any
	Sticky            *StickyConfig `json:"sticky,omitempty"`              // a client stays with its node; left out = it does not
	SlowStart         unit.Duration `json:"slow_start,omitempty"`          // in which a node that has come in reaches its weight; 0 (default) = at once
	PanicPercent      *int          `json:"panic_percent,omitempty"`       // of a tier's nodes that must be in for health to be believed; default 25
}

// StickyConfig keeps a client with the node that it was first sent to, by a cookie, for as long as that node is in.
type StickyConfig struct {
	Cookie string        `json:"cookie,omitempty"` // its name; default "SLUICE_NODE"
	TTL    unit.Duration `json:"ttl,omitempty"`    // how long the client keeps it; 0 (default) = until it is closed
}

// HealthConfig is how the health of nodes is found out. What a half that is left out does is said by settings/health, and where that leaves it out too by
// StandardHealth.
type HealthConfig struct {
	Active  *ActiveHealth  `json:"active,omitempty"`
	Passive *PassiveHealth `json:"passive,omitempty"`
}

// ActiveHealth probes every node at an interval.
type ActiveHealth struct {
	Type         string         `json:"type,omitempty"`                              // "tcp" (default), "http", "grpc", or "none": nothing is probed
	Method       string         `json:"method,omitempty"`                            // http: default "GET"
	Path         string         `json:"path,omitempty"`                              // http: what is asked for; default "/"
	Host         string         `json:"host,omitempty"`                              // http, grpc: whom is asked; default the node's address
	Statuses     []int          `json:"statuses,omitempty"`                          // http: that are good; default 200 to 399
	Body         string         `json:"body,omitempty"`                              // http: what the first 64 KiB of the answer must hold; default anything
	Service      string         `json:"service,omitempty"`                           // grpc: that is asked about; default the server as a whole
	Interval     unit.Duration  `json:"interval,omitempty" strict:"from=100ms"`      // default 3s
	EdgeInterval unit.Duration  `json:"edge_interval,omitempty" strict:"from=100ms"` // while a node is out or about to go; default a third of interval
	Timeout      unit.Duration  `json:"timeout,omitempty" strict:"from=10ms"`        // default 1s
	Healthy      HealthyAfter   `json:"healthy"`
	Unhealthy    UnhealthyAfter `json:"unhealthy"`
}

// HealthyAfter says when a node that was out comes back.
type HealthyAfter struct {
	Successes int `json:"successes,omitempty" strict:"from=1"` // good probes in a row; default 1
}

// UnhealthyAfter says when a node is taken out. One that has never been seen healthy is out after its first bad probe.
type UnhealthyAfter struct {
	Failures int `json:"failures,omitempty" strict:"from=1"` // bad probes in a row; default 2
}

// PassiveHealth ejects a node for what it answers to real requests: no answer, a broken one, or a status of 500 to 599; of gRPC, one that stands for such a status.
type PassiveHealth struct {
	ConsecutiveFailures int           `json:"consecutive_failures,omitempty" strict:"from=1"` // failed exchanges in a row; default 5
	Ejection            unit.Duration `json:"ejection,omitempty" strict:"from=1ms"`           // how long a node is out the first time; each time soon after it is that much longer; default 30s
	MaxEjection         unit.Duration `json:"max_ejection,omitempty" strict:"from=1ms"`       // default ten times ejection
	MaxEjectedPercent   *int          `json:"max_ejected_percent,omitempty"`                  // of a service's nodes that may be out at once; default 50

	// What is looked at once an interval.
	Interval       unit.Duration `json:"interval,omitempty" strict:"from=100ms"` // default 10s
	MinRequests    int           `json:"min_requests,omitempty" strict:"from=1"` // that a node must have answered in it to be judged; default 20
	SuccessPercent int           `json:"success_percent,omitempty"`              // of a node's exchanges that must succeed; 0 (default) = is not looked at
	LatencyFactor  int           `json:"latency_factor,omitempty"`               // by which its mean latency may be above the median of all nodes; 0 (default) = is not looked at
}

// BreakerConfig bounds what a service is given at once. 0 means no bound.
type BreakerConfig struct {
	MaxRequests    int             `json:"max_requests,omitempty"`    // exchanges in flight, all workers together
	MaxPending     int             `json:"max_pending,omitempty"`     // exchanges that wait for a connection or for room, all workers together
	MaxConnections int             `json:"max_connections,omitempty"` // to all nodes, of all workers together
	MaxRetries     int             `json:"max_retries,omitempty"`     // exchanges that are on a try beyond their first
	PerNode        NodeBreaker     `json:"per_node"`
	QueueTimeout   unit.Duration   `json:"queue_timeout,omitempty"` // for which an exchange waits while every node has all it may have; 0 (default) = overloaded at once
	Adaptive       *AdaptiveConfig `json:"adaptive,omitempty"`      // find out how many requests the service can take; left out = it is not
}

// NodeBreaker bounds what one node is given at once; pool.max_per_node bounds its connections. 0 means no bound.
type NodeBreaker struct {
	MaxRequests int `json:"max_requests,omitempty"`
	MaxPending  int `json:"max_pending,omitempty"` // connections that are being established
	MaxRetries  int `json:"max_retries,omitempty"` // tries beyond the first of their exchanges
}

// AdaptiveConfig lowers the number of exchanges in flight when the service's latency rises.
type AdaptiveConfig struct {
	MinLimit         int `json:"min_limit,omitempty" strict:"from=1"`           // default 10
	MaxLimit         int `json:"max_limit,omitempty" strict:"from=1"`           // default 1000
	TolerancePercent int `json:"tolerance_percent,omitempty" strict:"from=100"` // of the usual latency, up to which nothing is taken back; default 150
}

// RetryConfig says when a request is sent once more.
type RetryConfig struct {
	Attempts      *int     `json:"attempts,omitempty"`       // tries in all, 1 to 10; default 2
	On            []string `json:"on,omitempty"`             // "connect", "reset", "502", "503", "504", "unavailable" (of gRPC); default all but the last
	BudgetPercent *int     `json:"budget_percent,omitempty"` // retries per 100 requests; default 20
	MinPerSecond  *int     `json:"min_per_second,omitempty"` // retries a second that are always allowed, where the percentage is fewer; default 3

	// The first retry is made at once, on another node. Before each further one there is a pause that doubles, of which half is by chance.
	Backoff    unit.Duration `json:"backoff,omitempty" strict:"from=1ms"`     // before the second retry; default 25ms
	MaxBackoff unit.Duration `json:"max_backoff,omitempty" strict:"from=1ms"` // default ten times backoff

	Hedge *HedgeConfig `json:"hedge,omitempty"` // ask another node while the first is waited for; left out = never
}

// HedgeConfig says after what time another node is asked beside the first.
type HedgeConfig struct {
	Percentile int           `json:"percentile,omitempty" strict:"from=50"` // of the service's time to a head over the last half minute; default 95
	Delay      unit.Duration `json:"delay,omitempty"`                       // instead of what is measured; 0 (default) = measured
	MinDelay   unit.Duration `json:"min_delay,omitempty" strict:"from=1ms"` // never sooner; default 5ms
}

// TimeoutConfig bounds the steps towards a node. 0 means the gateway's own default (the file's timeouts).
type TimeoutConfig struct {
	Connect  unit.Duration `json:"connect,omitempty"`  // from the connect call to an established connection
	Response unit.Duration `json:"response,omitempty"` // from the last byte of the request to the response head
	Idle     unit.Duration `json:"idle,omitempty"`     // between two reads of a response body
	PerTry   unit.Duration `json:"per_try,omitempty"`  // from the beginning of a try to its response head; 0 = no bound
	Total    unit.Duration `json:"total,omitempty"`    // of the exchange, to the end of the answer; 0 = no bound. Clients may ask for less in X-Request-Timeout
}

// PoolConfig bounds the connections to a node that are kept for the next request.
type PoolConfig struct {
	MaxIdlePerWorker *int          `json:"max_idle_per_worker,omitempty"`            // per node; default 64; 0 keeps none
	MaxPerNode       int           `json:"max_per_node,omitempty"`                   // connections to one node, all workers together; 0 = no bound
	IdleTimeout      unit.Duration `json:"idle_timeout,omitempty" strict:"from=1ms"` // default 60s
	MaxRequests      int           `json:"max_requests,omitempty"`                   // that one connection serves; 0 = any number
	MaxAge           unit.Duration `json:"max_age,omitempty"`                        // of a connection, after which it takes no further request; 0 = any
	Preconnect       int           `json:"preconnect,omitempty"`                     // connections that each worker opens to a node in advance and keeps idle; over HTTP/2 it is one; default 0
}

// Defaults of a service without a services/ key.
const (
	DefaultAttempts      = 2
	DefaultBudgetPercent = 20
	DefaultMinPerSecond  = 3
	DefaultBackoff       = 25 * time.Millisecond
	DefaultMaxIdle       = 64
	DefaultMaxIdleTLS    = 16 // a tls.Conn keeps a buffer of the largest record that it has seen, up to 33 KiB
	DefaultIdleTimeout   = 60 * time.Second
	DefaultWeight        = 1
	DefaultPanicPercent  = 25
	DefaultStickyCookie  = "SLUICE_NODE"
	MaxWeight            = 65535 // with it, the sums of smooth round robin over 2^15 nodes stay within 31 bits
)
