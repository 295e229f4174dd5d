package observe

import "sync/atomic"

// Service counts what came of the attempts to send requests to the nodes of one service. Get one from [Registry.Service].
type Service struct {
	name   string
	stats  perWorker[serviceStats]
	health serviceHealth
}

// serviceHealth is what has been found out of the health of a service's nodes. The control plane writes it, now and then.
type serviceHealth struct {
	used      atomic.Bool // somebody looks after the health of its nodes
	probes    [2]atomic.Uint64
	flips     [2]atomic.Uint64
	ejections atomic.Uint64
	nodes     [2]atomic.Int64
}

// The labels of serviceHealth's pairs, bad news first.
var (
	probeNames = [2]string{"failed", "ok"}
	flipNames  = [2]string{"out", "in"}
)

// Probe counts a probe of a node.
func (s *Service) Probe(ok bool) { s.health.probes[index(ok)].Add(1) }

// Flip counts that a node went out, or came in again.
func (s *Service) Flip(in bool) { s.health.flips[index(in)].Add(1) }

// Ejected counts that a node was ejected for what it did to requests.
func (s *Service) Ejected() { s.health.ejections.Add(1) }

// SetNodes tells how many nodes that have a weight are in, and how many out; from the first call on, the service has series for its health.
func (s *Service) SetNodes(in, out int) {
	s.health.nodes[1].Store(int64(in))
	s.health.nodes[0].Store(int64(out))
	s.health.used.Store(true)
}

func index(good bool) int {
	if good {
		return 1
	}
	return 0
}

// Outcome is how one attempt at a node ended. A retried exchange has several.
type Outcome uint8

// The outcomes.
const (
	OutcomeOK           Outcome = iota // an answer came, other than 5xx
	OutcomeConnectError                // no connection could be made
	OutcomeReset                       // the node closed or reset the connection before its answer was complete
	OutcomeTimeout                     // the node did not accept or answer in time
	OutcomeProtocol                    // the node's answer was not valid HTTP
	OutcomeServerError                 // an answer came, with a status of 500 to 599
	outcomes            = iota
)

var outcomeNames = [outcomes]string{"ok", "connect_error", "reset", "timeout", "protocol", "5xx"}

// String returns the label of o.
func (o Outcome) String() string { return outcomeNames[o] }

// serviceStats is what one worker has counted of one service: one cache line.
type serviceStats struct {
	outcomes [outcomes]atomic.Uint64
	_        [64 - 8*outcomes]byte
}

// Outcome counts one attempt. Only the loop of that worker may call it; it allocates at a worker's first use of the service.
func (s *Service) Outcome(worker int, o Outcome) {
	st := s.stats.at(worker)
	if st == nil {
		st = s.stats.grow(worker)
	}
	st.outcomes[o].Add(1)
}
