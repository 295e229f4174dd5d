package proxy

import (
	"errors"

	"sluice/core/observe"
	"sluice/internal/fault"
	"sluice/upstream"
)

var errNoNode = errors.New("proxy: the service has no node that can be asked")

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
	x.setDeadline()
	if node := x.pick(); node != nil {
		x.ask(node, false)
	} else {
		x.noNode()
	}
}

// noNode ends an exchange for which there is no node, or lets it wait for one where there is only no room.
func (x *Exchange) noNode() {
	switch {
	case !x.service.Full(x.worker.index, x.want()):
		x.fail(fault.New("pick node", fault.Upstream, fault.NoHealthyNode, errNoNode))
	case !x.waitForRoom():
		x.fail(fault.New("pick node", fault.Upstream, fault.Overloaded, nil))
	}
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
	now := x.worker.loop.Now()
	for !x.try.Begin(x.service, x.worker.index, node, now) {
		if node = x.pick(); node == nil {
			x.noNode()
			return
		}
	}
	if x.tries > 0 && !x.try.AsRetry() {
		x.fail(fault.New("connect", fault.Upstream, fault.Overloaded, nil))
		return
	}
	if (fresh || !node.Idle(x.worker.index)) && !x.pending.Enter(x.service, node) {
		x.fail(fault.New("connect", fault.Upstream, fault.Overloaded, nil))
		return
	}
	call, err := x.worker.dial(x, node, fresh)
	if errors.Is(err, upstream.ErrFull) {
		x.noPlace(node)
		return
	}
	x.node, x.tryStart = node, now
	x.tried[x.tries] = node
	x.tries++
	if err != nil {
		x.callFailed(x.worker.dialFault(node, err))
		return
	}
	x.call = call
	x.resp.Reset(nil)
	x.send()
}

// noPlace is for a try for which there may be no connection: its node was not asked.
func (x *Exchange) noPlace(node *upstream.Node) {
	x.pending.Leave()
	x.try.End()
	if x.besideHTTP2() && node.Idle(x.worker.index) { // there is room for other requests: who waited for it would be told so again and again
		x.node, x.tried[x.tries] = node, node
		x.tries++
		x.callFailed(x.worker.dialFault(node, upstream.ErrFull))
		return
	}
	x.noNode()
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
	if !x.call.connected() {
		x.await(waitConnect)
	} else {
		x.pending.Leave()
		if x.requestEnded {
			x.awaitHead()
		}
	}
	if (x.tries > 1 || x.held) && !x.requestEnded {
		// The try before, or the wait for one, has stopped the body; nobody else would let it go on.
		x.held = false
		x.down.wantBody()
		x.slowDown()
	}
}

// callConnected tells that the new connection of a call is established.
func (x *Exchange) callConnected() {
	x.connectTime = x.worker.loop.Now() - x.tryStart
	x.pending.Leave()
	x.awaitNothing()
	if x.requestEnded {
		x.awaitHead()
	} else {
		x.slowDown()
	}
}

// callFailed tells that the try under way has come to nothing.
func (x *Exchange) callFailed(e *fault.Error) {
	if x.deadline.Over(x.worker.loop.Now()) {
		x.outOfTime() // a node that keeps the deadline too may give the call up before the wheel has told of it here
		return
	}
	x.stale = x.call != nil && x.call.reused()
	x.countFailed(&x.try, x.call, e)
	x.dropCall()
	x.pending.Leave()
	x.awaitNothing()
	if x.state != stateTrying || !x.retry(e) {
		x.fail(e)
	}
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
