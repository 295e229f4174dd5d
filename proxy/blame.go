package proxy

import (
	"errors"
	"time"

	"sluice/core/event"
	"sluice/internal/fault"
	"sluice/upstream"
)

// Who is to blame for a try that has come to nothing. Only what its node is to blame for counts for the health of that, or any client could have nodes taken out.

// dialFault says what it means that no connection to node could be begun. That something is full, here or of what the node may have, is Overloaded: nobody was asked.
func (w *worker) dialFault(node *upstream.Node, err error) *fault.Error {
	switch {
	case errors.Is(err, upstream.ErrFull):
		return fault.New("wait for a connection", fault.Upstream, fault.Overloaded, err).Retryable(fault.Always)
	case errors.Is(err, errNoStream):
		return fault.New("wait for a stream", fault.Upstream, fault.Overloaded, err)
	case event.NoPort(err): // ports are used up for each address by itself
		w.noPort(node, err)
		return fault.New("connect", fault.Internal, fault.Overloaded, err).Retryable(fault.Always)
	case event.Exhausted(err): // of all else one would want for another node the same
		return fault.New("connect", fault.Internal, fault.Overloaded, err)
	}
	return fault.New("connect", fault.Upstream, fault.UpstreamConnect, err).Retryable(fault.Always)
}

// countFailed counts a try that has failed with e; c is its call, nil where none was made.
func (x *Exchange) countFailed(try *upstream.Try, c call, e *fault.Error) {
	if e.Kind == fault.Overloaded {
		return
	}
	x.spendRetry()
	if x.blames(c, e) {
		try.Failed(failure(e), x.worker.loop.Now())
	}
	x.service.Stats.Outcome(x.worker.index, outcome(e))
}

// blames reports whether the node of a try is to blame for its failure.
func (x *Exchange) blames(c call, e *fault.Error) bool {
	switch e.Cause {
	case errQuiet: // a stream on which there is nothing to say tells nothing of its node; one that hangs does not get to the heads of other answers either
		return false
	case errTryTimeout: // the client may have taken most of it to send its body
		return x.owed() >= time.Duration(x.tryEnd-x.tryStart)/2
	}
	if k, ok := c.(*h1Call); ok && x.besideHTTP2() { // a node that speaks HTTP/2 alone may do with HTTP/1.1 as it likes
		return failure(e) == upstream.FailedConnect && !k.conn.Secured()
	}
	return true
}

// notConnected says what it means that a try has waited for a connection for too long, or over HTTP/2 for a stream on one.
func (x *Exchange) notConnected() *fault.Error {
	if x.crowded() {
		return fault.New("wait for a stream", fault.Upstream, fault.Overloaded, errNoStream).Retryable(fault.Always)
	}
	return fault.New("connect", fault.Upstream, fault.UpstreamTimeout, errConnectTimeout).Retryable(fault.Always)
}

// crowded reports whether the exchange waits for a stream that others have.
func (x *Exchange) crowded() bool {
	k, ok := x.call.(*callH2)
	return ok && k.crowded()
}

// owed returns for how long the node has owed what the exchange waits for; 0 where it owes nothing.
func (x *Exchange) owed() time.Duration {
	if x.crowded() {
		return 0
	}
	switch x.waiting {
	case waitConnect, waitSend, waitHead:
		return time.Duration(x.worker.loop.Now() - x.waitStart)
	}
	return 0
}

// failure is how a failed try counts for the health of its node.
func failure(e *fault.Error) upstream.Failure {
	if e.Retry == fault.Always && e.Op == "connect" {
		return upstream.FailedConnect
	}
	return upstream.FailedBroken
}
