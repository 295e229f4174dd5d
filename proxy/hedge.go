package proxy

import (
	"sluice/internal/fault"
	"sluice/upstream"
)

// A hedge is a second try at another node while the first is still waited for: whichever answers first is the answer, and the other is given up. It is made once the
// service has taken longer than it usually does, of requests that may be repeated, and out of the budget of retries.

// awaitHedge sets the moment of a second try, if there may be one.
func (x *Exchange) awaitHedge() {
	if x.second != nil || x.state != stateTrying || !x.req.Method.Idempotent() || !x.requestEnded || x.upgrade != nil || !x.triesLeft() {
		return
	}
	if d := x.service.HedgeAfter(); d > 0 {
		x.worker.loop.SetTimer(&x.hedge, d)
	}
}

// hedgeNow makes the second try.
func (x *Exchange) hedgeNow() {
	if x.state != stateTrying || x.call == nil || x.waiting != waitHead || !x.triesLeft() {
		return
	}
	node := x.pick()
	if node == nil || !x.grantRetry() {
		return
	}
	second := x.dialSecond(node)
	if second == nil {
		x.returnRetry()
		return
	}
	x.tried[x.tries] = node
	x.tries++
	x.worker.stats.Hedge()
	x.second, x.secondNode = second, node
	second.sendHead(&x.req)
	if len(x.replay) > 0 {
		second.sendBody(x.replay)
	}
	second.sendEnd(x.trailer)
}

// dialSecond begins the call of a second try at node, or returns nil where that may have no more: no room, no connection, or over HTTP/2 no stream.
func (x *Exchange) dialSecond(node *upstream.Node) call {
	if !x.secondTry.Begin(x.service, x.worker.index, node, x.worker.loop.Now()) {
		return nil
	}
	if x.secondTry.AsRetry() {
		if second, err := x.worker.dial(x, node, false); err == nil {
			return second
		}
	}
	x.secondTry.End()
	return nil
}

// connectedBy is callConnected for a call that may be one of two: nothing waits for the second to connect.
func (x *Exchange) connectedBy(c call) {
	if x.second != c {
		x.callConnected()
	}
}

// drainedBy is callDrained for a call that may be one of two: the second was given a request that is whole.
func (x *Exchange) drainedBy(c call) {
	if x.second != c {
		x.callDrained()
	}
}

// callBegan tells that the first byte of an answer has come on c: of two calls, the other is given up.
func (x *Exchange) callBegan(c call) {
	if x.second != nil {
		if c == x.second {
			x.swapCalls()
		}
		x.secondTry.Outrun(x.worker.loop.Now())
		x.goOnAlone()
	}
	x.worker.loop.StopTimer(&x.hedge)
}

// goOnAlone gives up the second call. The first may be the one that was the second, behind a call that waited for a connection or a stream: neither counts any more.
func (x *Exchange) goOnAlone() {
	x.dropSecond()
	x.pending.Leave()
	if x.waiting == waitConnect {
		x.awaitHead()
	}
}

// swapCalls makes the second call the first.
func (x *Exchange) swapCalls() {
	x.call, x.second = x.second, x.call
	x.node, x.secondNode = x.secondNode, x.node
	x.try, x.secondTry = x.secondTry, x.try
}

// dropSecond gives up the second call.
func (x *Exchange) dropSecond() {
	x.secondTry.End()
	second := x.second
	x.second, x.secondNode = nil, nil
	second.cancel()
}

// callLost is callFailed for a call that may be one of two: then the other goes on alone.
func (x *Exchange) callLost(c call, e *fault.Error) {
	if x.second == nil {
		x.callFailed(e)
		return
	}
	if x.deadline.Over(x.worker.loop.Now()) { // as in callFailed
		x.outOfTime()
		return
	}
	first := c == x.call
	if first {
		x.swapCalls()
	}
	x.countFailed(&x.secondTry, c, e)
	if first {
		x.goOnAlone()
	} else {
		x.dropSecond()
	}
}
