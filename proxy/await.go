package proxy

import (
	"errors"
	"time"

	"sluice/core/event"
	"sluice/internal/fault"
)

var (
	errTimeout        = errors.New("proxy: the node did not answer in time")
	errConnectTimeout = errors.New("proxy: the connection to the node was not established in time")
	errNodeStuck      = errors.New("proxy: the node did not take the request in time")
	errQuiet          = errors.New("proxy: the node has sent nothing more of its answer for too long")
	errTryTimeout     = errors.New("proxy: the try took too long")
	errTotalTimeout   = errors.New("proxy: the exchange took too long")
)

// await sets the timer for what the node owes next.
func (x *Exchange) await(w wait) {
	if w == waitSend {
		x.mark = x.call.taken()
	}
	x.awaitFor(w, x.bound(w))
}

func (x *Exchange) awaitFor(w wait, d time.Duration) {
	x.waiting, x.waitStart = w, x.worker.loop.Now()
	x.worker.loop.SetTimer(&x.timer, d)
}

// awaitHead waits for the node's answer: it has the whole request.
func (x *Exchange) awaitHead() {
	x.await(waitHead)
	if x.service.Hedges {
		x.awaitHedge()
	}
}

// awaitNothing stops the timer: the node owes nothing now.
func (x *Exchange) awaitNothing() {
	x.waiting = waitNothing
	x.worker.loop.StopTimer(&x.timer)
}

// bound returns how long to wait, as the route, the service or the gateway says.
func (x *Exchange) bound(w wait) time.Duration {
	t, s, r := &x.set.timeouts, x.service, x.route
	switch w {
	case waitConnect:
		return x.withinTry(x.connectBound())
	case waitTunnel:
		return t.tunnelIdle
	case waitSend, waitHead:
		return x.withinTry(firstOf(r.Timeout.Response, s.ResponseTimeout, t.responseHeader))
	}
	return firstOf(s.IdleTimeout, t.responseBody)
}

// withinTry cuts a wait to what is left of the time of its try.
func (x *Exchange) withinTry(d time.Duration) time.Duration {
	perTry := firstOf(x.route.Timeout.PerTry, x.service.TryTimeout)
	if perTry == 0 {
		x.tryEnd = 0
		return d
	}
	x.tryEnd = x.tryStart + int64(perTry)
	return max(1, min(d, time.Duration(x.tryEnd-x.worker.loop.Now())))
}

// connectBound returns how long a connection may take to be established.
func (x *Exchange) connectBound() time.Duration {
	return firstOf(x.route.Timeout.Connect, x.service.ConnectTimeout, x.set.timeouts.connect)
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

// Expired is one of the timers: something has taken too long, or it is time for a second try.
func (x *Exchange) Expired(t *event.Timer) {
	switch t {
	case &x.deadline:
		x.outOfTime()
	case &x.hedge:
		x.hedgeNow()
	default:
		x.waitedTooLong()
	}
}

func (x *Exchange) waitedTooLong() {
	tryOver := x.tryEnd > 0 && x.worker.loop.Now() >= x.tryEnd
	switch x.waiting {
	case waitConnect:
		x.callLost(x.call, x.notConnected())
	case waitSend:
		switch {
		case tryOver:
			x.callFailed(fault.New("send the request", fault.Upstream, fault.UpstreamTimeout, errTryTimeout))
		case x.call.taken() != x.mark:
			x.await(waitSend)
		default:
			x.callFailed(fault.New("send the request", fault.Upstream, fault.UpstreamTimeout, errNodeStuck))
		}
	case waitHead:
		err := errTimeout
		if tryOver {
			err = errTryTimeout
		}
		x.callFailed(fault.New("wait for the response head", fault.Upstream, fault.UpstreamTimeout, err))
	case waitTunnel:
		x.fail(fault.New("tunnel", fault.Internal, fault.StreamIdle, errTunnelIdle))
	case waitBody:
		x.callFailed(fault.New("wait for the response body", fault.Upstream, fault.UpstreamTimeout, errQuiet))
	case waitRest:
		x.endDropping()
	case waitRoom:
		x.fail(fault.New("wait for room", fault.Upstream, fault.Overloaded, nil))
	case waitBackoff:
		x.backedOff()
	}
}
