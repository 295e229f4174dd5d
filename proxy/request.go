package proxy

import (
	"sluice/codec"
	"sluice/internal/fault"
	"sluice/plugin"
)

// begin routes the request whose head has come. ended says that there is no body. What follows a head that asks for another protocol is none, but of that protocol.
func (x *Exchange) begin(ended bool) {
	x.requestEnded = ended || x.req.UpgradeAsks && !x.req.Framing.HasBody()
	x.readTime = x.worker.loop.Now() - x.start
	x.noteRequest()
	x.findClient()
	if err := x.admit(); err != nil {
		x.fail(err)
		return
	}
	x.snapshot = x.worker.server.snapshot.Load()
	if x.answerBeforeRoutes() {
		return
	}
	if x.client.tls != nil && x.misdirected() {
		x.fail(fault.New("route", fault.Downstream, fault.Misdirected, nil))
		return
	}
	if err := x.routeRequest(); err != nil {
		x.fail(err)
		return
	}
	x.prepareHead()
	if v := x.filterRequest(); v.Action == plugin.Respond {
		x.respond(v.Reply)
		return
	}
	if x.lastHop() {
		return
	}
	x.forward()
}

// admit returns why the request is not even looked at; nil where it is.
func (x *Exchange) admit() *fault.Error {
	if x.worker.server.short() {
		return fault.New("begin", fault.Internal, fault.ShortOfMemory, nil)
	}
	limit := x.set.limits.body
	if limit > 0 && x.req.Framing.Kind == codec.BodyLength && x.req.Framing.Length > limit {
		return fault.New("read request head", fault.Downstream, fault.TooLarge, nil)
	}
	return nil
}

// noteRequest keeps what the record says of the request.
func (x *Exchange) noteRequest() {
	x.asked = asked{
		method: x.req.MethodBytes(), target: x.req.Target(), host: x.req.Host(),
		userAgent: x.req.Header.GetID(codec.FieldUserAgent), referer: x.req.Header.GetID(codec.FieldReferer),
	}
}

// requestBody takes a run of the request body.
func (x *Exchange) requestBody(p []byte) {
	x.bytesIn += int64(len(p))
	if limit := x.set.limits.body; limit > 0 && x.bytesIn > limit {
		x.fail(fault.New("read request body", fault.Downstream, fault.TooLarge, nil))
		return
	}
	if len(x.transformers) > 0 {
		var ok bool
		if p, ok = x.transformRequest(p, false); !ok || len(p) == 0 {
			return
		}
	}
	x.passBody(p)
}

// passBody hands a run of the request body to the node.
func (x *Exchange) passBody(p []byte) {
	x.keepForReplay(p)
	if x.call == nil { // the exchange waits for a node; there is little that can come meanwhile
		if x.replayLost {
			x.fail(fault.New("keep the request body", fault.Upstream, fault.Overloaded, nil))
		}
		return
	}
	x.call.sendBody(p)
	x.slowDown()
}

// slowDown stops the request body while the node takes it slower than it comes.
func (x *Exchange) slowDown() {
	if !x.call.congested() {
		return
	}
	x.down.holdBody()
	if x.state == stateTrying && x.waiting == waitNothing {
		x.await(waitSend)
	}
}

// requestEnd tells that the request is whole. trailer may be nil, and stays valid while the exchange lasts.
func (x *Exchange) requestEnd(trailer *codec.Header) {
	if trailer != nil {
		trailer.StripNamed(&x.req.Header)
	}
	if len(x.transformers) > 0 {
		rest, ok := x.transformRequest(nil, true)
		if !ok {
			return
		}
		if len(rest) > 0 {
			if x.passBody(rest); x.state == stateOver {
				return
			}
		}
	}
	x.requestEnded, x.trailer = true, trailer
	if x.call == nil {
		return
	}
	x.call.sendEnd(trailer)
	switch {
	case x.state != stateTrying || !x.call.connected():
	case x.call.congested():
		x.await(waitSend)
	default:
		x.awaitHead()
	}
}

// requestFailed tells that the rest of the request will not come.
func (x *Exchange) requestFailed(e *fault.Error) {
	if x.state == stateRouting { // its head was refused or never became whole
		x.noteRequest()
	}
	x.fail(e)
}
