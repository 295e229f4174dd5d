package proxy

import (
	"errors"
	"time"

	"sluice/core/event"
	"sluice/core/observe"
	"sluice/internal/fault"
	"sluice/upstream"
)

var (
	errTimeout        = errors.New("proxy: the node did not answer in time")
	errConnectTimeout = errors.New("proxy: the connection to the node was not established in time")
	errNodeStuck      = errors.New("proxy: the node did not take the request in time")
	errNoNode         = errors.New("proxy: the service has no node that can be asked")
)

// forward sends the request to a node of the route's service.
func (x *Exchange) forward() {
	x.service = x.snapshot.Services[x.route.Service]
	if x.service == nil {
		x.fail(fault.New("pick node", fault.Upstream, fault.NoHealthyNode, errNoNode))
		return
	}
	if !x.service.Enter() {
		x.fail(fault.New("enter service", fault.Upstream, fault.Overloaded, nil))
		return
	}
	x.entered = true
	x.service.CountRequest(x.worker.index, x.worker.loop.Now())
	x.state = stateTrying
	x.findKeys()
	node := x.pick()
	if node == nil {
		x.fail(fault.New("pick node", fault.Upstream, fault.NoHealthyNode, errNoNode))
		return
	}
	x.ask(node, false)
}

// another returns a node for one more try, or nil.
func (x *Exchange) another() *upstream.Node {
	node := x.pick()
	if node == nil && x.stale {
		// The only node there is has closed a connection that was idle: a new one is another matter.
		node = x.node
	}
	return node
}

// ask makes a try at node; fresh asks for a new connection.
func (x *Exchange) ask(node *upstream.Node, fresh bool) {
	x.node = node
	x.tried[x.tries] = node
	x.tries++
	x.tryStart = x.worker.loop.Now()
	x.try.Begin(x.service, x.worker.index, node, x.tryStart)
	call, err := x.worker.dial(x, node, fresh)
	if event.Exhausted(err) { // the node is not to blame, and asking another would want for the same
		x.try.End()
		x.fail(fault.New("connect", fault.Internal, fault.Overloaded, err))
		return
	}
	if err != nil {
		x.callFailed(fault.New("connect", fault.Upstream, fault.UpstreamConnect, err).Retryable(fault.Always))
		return
	}
	x.call = call
	x.resp.Reset(nil)
	x.send()
}

// send hands over what there is of the request.
func (x *Exchange) send() {
	x.call.sendHead(&x.req)
	if len(x.replay) > 0 {
		x.call.sendBody(x.replay)
	}
	if x.requestEnded {
		x.call.sendEnd(x.trailer)
	}
	switch {
	case !x.call.connected():
		x.await(waitConnect)
	case x.requestEnded:
		x.await(waitHead)
	}
	if x.tries > 1 && !x.requestEnded {
		// The try before may have stopped the body; nobody else would let it go on.
		x.down.wantBody()
		x.slowDown()
	}
}

// callConnected tells that the new connection of a call is established.
func (x *Exchange) callConnected() {
	x.connectTime = x.worker.loop.Now() - x.tryStart
	x.awaitNothing()
	if x.requestEnded {
		x.await(waitHead)
	} else {
		x.slowDown()
	}
}

// callFailed tells that the try under way has come to nothing.
func (x *Exchange) callFailed(e *fault.Error) {
	x.stale = x.call != nil && x.call.reused()
	x.try.Failed(failure(e), x.worker.loop.Now())
	x.dropCall()
	x.awaitNothing()
	x.service.Stats.Outcome(x.worker.index, outcome(e))
	if x.state == stateTrying && x.mayRetry(e) {
		if node := x.another(); node != nil && x.spendRetry() {
			x.ask(node, true)
			return
		}
	}
	x.fail(e)
}

// spendRetry takes one more try out of the service's budget, and reports whether there was one left.
func (x *Exchange) spendRetry() bool {
	if !x.service.AllowRetry(x.worker.index, x.worker.loop.Now()) {
		return false
	}
	x.worker.stats.Retry()
	return true
}

// mayRetry decides whether another try may be made; nothing of an answer has reached the client. A node that was never reached has seen nothing; one
// that was may have acted on the request, so only a method that may be repeated is.
func (x *Exchange) mayRetry(e *fault.Error) bool {
	switch e.Retry {
	case fault.Always:
		return x.service.RetryConnect && x.triesLeft()
	case fault.IfReused, fault.IfIdempotent:
		return x.service.RetryReset && x.req.Method.Idempotent() && x.triesLeft()
	}
	return false
}

// mayRetryStatus decides the same for an answer whose status asks for it.
func (x *Exchange) mayRetryStatus(status int) bool {
	return x.service.RetryStatus.Has(status) && x.req.Method.Idempotent() && x.requestEnded && x.triesLeft()
}

// triesLeft reports whether the service allows one more try and the whole request can be sent again.
func (x *Exchange) triesLeft() bool {
	attempts := x.service.Attempts
	if x.route.Attempts > 0 {
		attempts = x.route.Attempts
	}
	return x.tries < min(attempts, maxTried) && !x.replayLost
}

// bound returns how long to wait, as the route, the service or the gateway says.
func (x *Exchange) bound(w wait) time.Duration {
	t, s, r := &x.set.timeouts, x.service, x.route
	switch w {
	case waitConnect:
		return firstOf(r.Timeout.Connect, s.ConnectTimeout, t.connect)
	case waitTunnel:
		return t.tunnelIdle
	case waitSend, waitHead:
		return firstOf(r.Timeout.Response, s.ResponseTimeout, t.responseHeader)
	}
	return firstOf(s.IdleTimeout, t.responseBody)
}

// firstOf returns the first that is set.
func firstOf(bounds ...time.Duration) time.Duration {
	for _, d := range bounds {
		if d > 0 {
			return d
		}
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

// outcome is how a failed try is counted.
func outcome(e *fault.Error) observe.Outcome {
	switch e.Kind {
	case fault.UpstreamConnect:
		return observe.OutcomeConnectError
	case fault.UpstreamTimeout:
		return observe.OutcomeTimeout
	case fault.UpstreamProtocol:
		return observe.OutcomeProtocol
	}
	return observe.OutcomeReset
}
