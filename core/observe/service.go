package observe

import "sync/atomic"

// Service counts what came of the attempts to send requests to the nodes of one service. Get one from [Registry.Service].
type Service struct {
	name  string
	stats perWorker[serviceStats]
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
