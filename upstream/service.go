// Package upstream is the side of the nodes: which services there are, which of their nodes is asked next, and the connections that are kept to
// them.
//
// A [Service] is an immutable view that a snapshot holds. What lives longer, its nodes with their pools and the place every worker has reached in
// the round, is keyed by identity in the [Registry] and passes from one view to the next.
//
// Where to begin reading: registry.go and members.go tell how a configuration and the nodes of discovery become a Service; roster.go, who of them may be picked; balance.go, who is picked;
// node.go and pool.go, how a connection is had and given back; try.go, what is counted of a try, and with it health.go, breaker.go and budget.go.
package upstream

import (
	"sync"
	"sync/atomic"
	"time"

	"sluice/core/observe"
)

// Service is one service as one snapshot sees it. It is immutable and may be used by every worker.
type Service struct {
	Name     string
	Attempts int  // tries in all, at least 1
	HTTP2    bool // nodes speak HTTP/2
	Stats    *observe.Service

	// When a request may be sent once more.
	RetryConnect     bool
	RetryReset       bool
	RetryStatus      StatusSet
	RetryUnavailable bool // a gRPC call that a node answers with UNAVAILABLE and nothing else

	// Bounds; 0 = the gateway's default.
	ConnectTimeout  time.Duration
	ResponseTimeout time.Duration
	IdleTimeout     time.Duration
	TryTimeout      time.Duration // of one try, to the head of its answer; 0 = no bound
	TotalTimeout    time.Duration // of an exchange; 0 = no bound

	Hedges     bool // a second try may be made beside the first
	hedge      *HedgeConfig
	backoff    time.Duration
	maxBackoff time.Duration

	// What it may be given; 0 = no bound.
	maxRequests  int64
	maxRetries   int64
	queueTimeout time.Duration
	adaptive     *AdaptiveConfig // nil = none

	budgetPercent int // retries per 100 requests
	minPerSecond  int // retries a second beside those

	// Who is asked.
	HashOn       string // what CHash hashes on: "ip", "header", "cookie", "query", "path"; "" = nothing
	HashKey      string // the name of that header, cookie or parameter
	StickyCookie string // names the cookie of sticky sessions; "" = there are none
	balancer     Balancer
	hashBalance  int  // percent of the mean load that a node may have; 0 = any
	counted      bool // tries are counted at their nodes
	slowStart    time.Duration
	stickyTTL    time.Duration
	panicPercent int // of a tier's nodes that must be in for health to be believed

	health *HealthConfig // what the service says itself; nil = nothing
	secure *secure       // TLS to the nodes; nil = plain text

	nodes  []*Node // with a weight
	pool   poolSettings
	bounds *bounds // nil = there are none
	state  *serviceState
}

// serviceState is what a service keeps over its views.
type serviceState struct {
	name     string
	zone     string // of the gateway
	registry *Registry
	roster   atomic.Pointer[roster] // never nil
	inFlight atomic.Int64           // exchanges of the service
	active   atomic.Int64           // tries under way at its nodes, where they are counted
	conns    atomic.Int64           // open connections to its nodes
	pending  atomic.Int64           // exchanges that wait, where they are counted
	retrying atomic.Int64           // exchanges on a try beyond their first, where they are counted
	bounds   atomic.Pointer[bounds] // nil = there are none
	limit    atomic.Int64           // of inFlight, as adapted
	waiting  atomic.Int64           // exchanges in the queues
	usually  atomic.Int64           // nanoseconds to the head of an answer, at the hedge's percentile; 0 = not known yet
	turn     atomic.Uint32          // whose queue is served next
	floor    floor
	local    []localState // by worker

	// Passive health.
	passive    atomic.Pointer[PassiveHealth] // the policy; nil = nobody is ejected
	ejected    atomic.Int32                  // nodes
	maxEjected atomic.Int32

	mu        sync.Mutex            // guards what follows; never taken on a loop
	view      *Service              // the latest
	members   []member              // of that view
	round     uint64                // counts assemblies
	nodes     map[string]*Node      // by identity
	specs     []NodeSpec            // of the latest view
	names     map[string]*nameState // those of them that are names
	ring      *ring                 // of the latest roster; nil without CHash
	secure    *secure               // of the latest view
	sweeping  alarm                 // the next sweep
	mustering bool                  // a new roster is due
	warming   alarm                 // the next step of the nodes on their slow start
	probing   *ActiveHealth         // that the checkers go by; nil = there are none
	adaption  adaption
	heads     heads
	closed    bool // the service is gone: nothing is done for it any more
}

// localState is a worker's own part: no other touches it.
type localState struct {
	cursor   cursor
	budget   localBudget
	queue    queue
	answered answered                  // read by who adapts
	times    atomic.Pointer[headTimes] // read by who measures; nil before the first answer of a service that hedges
	_        [40]byte
}

// later runs f after d with s.mu held, unless the service is gone by then.
func (s *serviceState) later(d time.Duration, f func()) {
	s.registry.clock.After(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			f()
		}
	})
}

// alarm is a moment at which something is due. Guarded by the service's mu.
type alarm struct{ at time.Time } // zero = nothing is

// within runs f after d with s.mu held, as later does; where it is due anyway, then or at the earlier of the two moments, once.
func (s *serviceState) within(a *alarm, d time.Duration, f func()) {
	due := s.registry.clock.Now().Add(d)
	if !a.at.IsZero() && !due.Before(a.at) {
		return
	}
	a.at = due
	s.later(d, func() {
		if a.at.Equal(due) {
			a.at = time.Time{}
			f()
		}
	})
}

// StatusSet is a set of the statuses that a retry may be configured for.
type StatusSet uint8

const (
	has502 StatusSet = 1 << iota
	has503
	has504
)

// Has reports whether status is in the set.
func (s StatusSet) Has(status int) bool {
	switch status {
	case 502:
		return s&has502 != 0
	case 503:
		return s&has503 != 0
	case 504:
		return s&has504 != 0
	}
	return false
}

// Nodes returns the nodes that have a weight, in or out. It must not be changed.
func (s *Service) Nodes() []*Node { return s.nodes }
