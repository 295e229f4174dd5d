package proxy

import (
	"errors"
	"time"

	"sluice/internal/fault"
	"sluice/upstream"
)

// When a request is sent once more, and when not.

// grantRetry takes one more try out of the service's budget, and reports whether there was one left. It is spent once the try is made, and goes back where none is.
func (x *Exchange) grantRetry() bool {
	if x.grant.Held() { // for a try that found no place
		return true
	}
	if !x.retrying {
		if !x.service.EnterRetry() {
			return false
		}
		x.retrying = true
	}
	var ok bool
	if x.grant, ok = x.service.AllowRetry(x.worker.index, x.worker.loop.Now()); !ok {
		x.returnRetry()
	}
	return ok
}

// spendRetry notes that the try under way, if it is not the first, has been made: its call has a connection, or its node was asked for one in vain. A call that waits for a stream, or to hear
// whether there are tunnels, has cost nobody anything yet.
func (x *Exchange) spendRetry() {
	if x.grant.Held() {
		x.grant = upstream.Grant{}
		x.worker.stats.Retry()
	}
}

// returnRetry gives back what was taken for a try that is not made. An exchange that has made others is still on a try beyond its first.
func (x *Exchange) returnRetry() {
	x.grant.Return(x.worker.loop.Now())
	if x.retrying && x.tries <= 1 {
		x.service.LeaveRetry()
		x.retrying = false
	}
}

// retry makes another try after one that has failed with e, on a new connection, and reports whether there is one.
func (x *Exchange) retry(e *fault.Error) bool {
	if !x.mayRetry(e) {
		return false
	}
	node := x.another()
	if node == nil || !x.grantRetry() {
		return false
	}
	x.askAgain(node, true)
	return true
}

// mayRetry decides whether another try may be made; nothing of an answer has reached the client. A node that was never reached has seen nothing; one
// that was may have acted on the request, so only a method that may be repeated is.
func (x *Exchange) mayRetry(e *fault.Error) bool {
	repeatable := x.req.Method.Idempotent() && x.triesLeft()
	switch {
	case errors.Is(e.Cause, errTryTimeout):
		return repeatable
	case e.Kind == fault.UpstreamTimeout && e.Retry == fault.Never:
		return x.service.RetryStatus.Has(fault.UpstreamTimeout.Status) && x.requestEnded && repeatable
	}
	switch e.Retry {
	case fault.Always:
		return x.service.RetryConnect && x.triesLeft()
	case fault.IfReused, fault.IfIdempotent:
		return x.service.RetryReset && repeatable
	}
	return false
}

// mayRetryStatus decides the same for an answer whose status asks for it.
func (x *Exchange) mayRetryStatus(status int) bool {
	return x.service.RetryStatus.Has(status) && x.req.Method.Idempotent() && x.requestEnded && x.triesLeft()
}

// mayRetryCall decides the same for a call of gRPC that a node has answered with UNAVAILABLE and nothing else. Calls have one method for all that they do, so that the service must have
// asked for it.
func (x *Exchange) mayRetryCall() bool {
	return x.service.RetryUnavailable && x.requestEnded && x.overHTTP2() && x.isUnavailable() && x.triesLeft()
}

// triesLeft reports whether the service allows one more try and the whole request can be sent again.
func (x *Exchange) triesLeft() bool {
	attempts := x.service.Attempts
	if x.route.Attempts > 0 {
		attempts = x.route.Attempts
	}
	return x.tries < min(attempts, maxTried) && !x.replayLost
}

// askAgain makes another try at node: the first at once, further ones after a pause that grows and is never the same, so that what has failed at one moment does not come back
// at one.
func (x *Exchange) askAgain(node *upstream.Node, fresh bool) {
	d := x.service.Backoff(x.tries)
	if d == 0 {
		x.ask(node, fresh)
		return
	}
	x.node = node
	x.pauseBody()
	half := d / 2
	x.awaitFor(waitBackoff, half+time.Duration(x.worker.random.Uint64()%uint64(half+1)))
}

// backedOff ends the pause. The node that was to be asked may be out by now.
func (x *Exchange) backedOff() {
	node := x.pick()
	if node == nil {
		node = x.node
	}
	x.ask(node, true)
}
