package proxy

import (
	"errors"

	"sluice/codec"
	"sluice/core/observe"
	"sluice/internal/ascii"
	"sluice/internal/fault"
)

// A tunnel is what an exchange becomes when client and node agree on another protocol by 101 (RFC 9110 §7.8): bytes pass both ways as they come,
// either side may end its own direction first, and nothing but the two of them, a long silence or the end of the process ends it. Routes may
// change meanwhile.

var (
	errTunnelIdle = errors.New("proxy: the tunnel was silent for too long")
	errNoSwitch   = errors.New("proxy: the node did not switch protocols, which a client of HTTP/2 could not tell from a tunnel")
)

// noteUpgrade remembers which protocol the client asks to switch to. Only a request without a body and with one protocol is taken at its
// word; any other is forwarded without the wish, which a server may ignore. "h2c" is never forwarded: the node would take what follows for
// HTTP/2 requests, and those would pass all routes and plugins unseen.
func (x *Exchange) noteUpgrade() {
	x.upgrade = nil
	if !x.req.UpgradeAsks || x.req.Framing.HasBody() || x.req.Version == codec.HTTP10 {
		return
	}
	protocol, rest := codec.NextListItem(x.req.Header.GetID(codec.FieldUpgrade))
	if len(rest) > 0 || len(protocol) == 0 || ascii.EqualFold(protocol, "h2c") || ascii.EqualFold(protocol, "h2") {
		return
	}
	x.upgrade = protocol
}

// hasToken reports whether a list has that element, in any case.
func hasToken(list []byte, token string) bool {
	for len(list) > 0 {
		var item []byte
		if item, list = codec.NextListItem(list); ascii.EqualFold(item, token) {
			return true
		}
	}
	return false
}

// askUpgrade puts the wish for another protocol back on the request, whose fields for one hop have been taken out.
func (x *Exchange) askUpgrade() {
	if x.upgrade != nil {
		x.req.Header.AddID(codec.FieldConnection, "Connection", upgradeOption)
		x.req.Header.AddID(codec.FieldUpgrade, "Upgrade", x.upgrade)
	}
}

var upgradeOption = []byte("Upgrade")

// responseUpgrade takes a 101: the node has switched.
func (x *Exchange) responseUpgrade() {
	protocol := x.resp.Header.GetID(codec.FieldUpgrade)
	if x.upgrade == nil || !ascii.EqualFold(protocol, string(x.upgrade)) { // RFC 9110 §7.8
		x.callFailed(fault.New("read response head", fault.Upstream, fault.UpstreamProtocol, errUpgrade))
		return
	}
	x.dropReplay()
	x.worker.loop.StopTimer(&x.deadline) // a tunnel lasts as long as it is used
	x.try.Answered(x.resp.Status, x.worker.loop.Now())
	x.try.Whole()
	x.state, x.status = stateTunnel, x.resp.Status
	x.requestEnded = false // what the client sends from now on has an end of its own
	x.resp.Header.StripHopByHop()
	x.resp.Header.AddID(codec.FieldConnection, "Connection", upgradeOption)
	x.resp.Header.AddID(codec.FieldUpgrade, "Upgrade", protocol)
	x.filterResponse()
	x.down.sendHead(&x.resp)
	x.worker.stats.TunnelOpened()
	x.call.tunnel()
	x.down.tunnel()
	x.await(waitTunnel)
}

// notSwitched takes an answer without the switch that a client of HTTP/2 has asked for. A node may ignore the wish (RFC 9110 §7.8): it has answered, and it is the client that cannot be told.
func (x *Exchange) notSwitched() {
	x.try.Answered(x.resp.Status, x.worker.loop.Now())
	x.try.Whole()
	x.service.Stats.Outcome(x.worker.index, observe.OutcomeOK)
	x.fail(fault.New("read response head", fault.Upstream, fault.UpstreamProtocol, errNoSwitch))
}

// tunnelUp takes bytes of the client.
func (x *Exchange) tunnelUp(p []byte) {
	x.bytesIn += int64(len(p))
	x.await(waitTunnel)
	x.call.sendBody(p)
	if x.call.congested() {
		x.down.holdBody()
	}
}

// tunnelDown takes bytes of the node.
func (x *Exchange) tunnelDown(p []byte) {
	x.bytesOut += int64(len(p))
	x.await(waitTunnel)
	x.down.sendBody(p)
	if x.down.congested() {
		x.call.hold()
	}
}

// tunnelUpEnd tells that the client sends no more. The node may go on.
func (x *Exchange) tunnelUpEnd() {
	x.requestEnded = true
	x.call.sendEnd(nil)
	if x.responseEnded {
		x.tunnelEnded()
	}
}

// tunnelDownEnd tells that the node sends no more. The client may go on.
func (x *Exchange) tunnelDownEnd() {
	x.responseEnded = true
	if x.requestEnded {
		x.tunnelEnded()
		return
	}
	x.down.endTunnel()
}

// tunnelEnded ends the exchange where both sides have ended theirs: as soon as the node has taken what the client has said last, or has taken nothing for as long as a tunnel may be silent.
func (x *Exchange) tunnelEnded() {
	if x.call.congested() {
		x.await(waitTunnel)
		return
	}
	x.finish(false)
}

// endTunnel is the part of finish that is a tunnel's: it counts the end, and lets the node have the client's last bytes where both have ended in order.
func (x *Exchange) endTunnel() {
	if x.state != stateTunnel {
		return
	}
	x.worker.stats.TunnelClosed()
	if x.failed == nil {
		x.service.Stats.Outcome(x.worker.index, observe.OutcomeOK)
		x.call.closeTunnel()
		x.call = nil
	}
}

// The session's part.

// tunnel makes the connection one of bytes. The client may have sent some already.
func (s *session) tunnel() {
	s.phase, s.reuse = phaseTunnel, false
	s.conn.Resume()
}

// endTunnel ends our side: the node has nothing more to say. What the client has said is still to reach the node when it hangs up.
func (s *session) endTunnel() {
	s.conn.FailOnHangup(false)
	s.conn.Shutdown()
}

// readTunnel hands on what the client sends.
func (s *session) readTunnel() {
	p := s.conn.Unread()
	if len(p) == 0 {
		return
	}
	s.conn.Consume(len(p)) // the bytes stay where they are until this event is over
	s.request.tunnelUp(p)
}

// The call's part.

// closeTunnel gives the connection up once the node has what was meant for it.
func (k *h1Call) closeTunnel() {
	conn, w := k.conn, k.x.worker
	k.x, k.conn = nil, nil
	conn.CloseWhenSent()
	w.spareCalls.Put(k)
}

// tunnel makes the connection one of bytes. What follows the head is of the new protocol.
func (k *h1Call) tunnel() { k.tunneled = true }

// readTunnel hands on what the node sends.
func (k *h1Call) readTunnel() {
	p := k.conn.Unread()
	if len(p) > 0 {
		k.conn.Consume(len(p))
		k.x.tunnelDown(p)
	}
}
