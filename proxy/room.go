package proxy

import "time"

// While every node of a service has all it may have, an exchange may wait for room, for as long as the service says.

// waitForRoom begins to wait, and reports false where the service lets nobody wait, or no more than do already.
func (x *Exchange) waitForRoom() bool {
	d := x.service.QueueTime(x.connectBound())
	if d == 0 {
		return false
	}
	now := x.worker.loop.Now()
	if x.roomUntil == 0 {
		x.roomUntil = now + int64(d)
	}
	if now >= x.roomUntil || !x.pending.Enter(x.service, nil) {
		return false
	}
	x.pauseBody()
	x.awaitFor(waitRoom, time.Duration(x.roomUntil-now))
	x.service.Wait(x.worker.index, &x.waiter)
	return true
}

// Room takes the room that has come up, if there is any for this request.
func (x *Exchange) Room() bool {
	node := x.pick()
	if node == nil {
		return false
	}
	x.waiter.Cancel()
	x.pending.Leave()
	x.awaitNothing()
	x.ask(node, false)
	return true
}

// pauseBody stops the request body while nobody is asked.
func (x *Exchange) pauseBody() {
	if !x.requestEnded {
		x.held = true
		x.down.holdBody()
	}
}
