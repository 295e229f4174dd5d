package proxy

import (
	"strconv"

	"sluice/codec"
	"sluice/core/observe"
	"sluice/internal/fault"
	"sluice/plugin"
	"sluice/upstream"
)

// responseInformational passes on a 1xx head. 101 does not come here.
func (x *Exchange) responseInformational() {
	if x.req.Version == codec.HTTP10 {
		return // RFC 9110 §15.2: a 1.0 client does not know them
	}
	x.resp.Header.StripHopByHop()
	x.down.sendInformational(&x.resp)
	if x.down.congested() { // there is no bound on how many a node may send
		x.call.hold()
	}
}

// responseHead takes the head of the node's final answer.
func (x *Exchange) responseHead() {
	status := x.resp.Status
	x.headTime = x.worker.loop.Now() - x.start
	switch {
	case status == 101:
		x.responseUpgrade()
		return
	case x.req.Version == codec.HTTP2 && x.req.UpgradeAsks && status < 300: // the client would take it for a tunnel
		x.notSwitched()
		return
	}
	x.stale = false
	verdict := status
	if x.overHTTP2() && x.isGRPC() {
		verdict = x.headVerdict()
	}
	x.try.Answered(verdict, x.worker.loop.Now())
	if (x.mayRetryStatus(status) || x.mayRetryCall()) && x.retryAnswered() {
		return
	}
	x.result = observe.OutcomeOK
	if verdict >= 500 {
		x.result = observe.OutcomeServerError
	}
	x.relay()
}

// retryAnswered asks another node in the place of the one that has answered, and reports whether it did: where nobody else is left, the node's own answer is better than one of ours.
func (x *Exchange) retryAnswered() bool {
	node := x.another()
	if node == nil || !x.grantRetry() {
		return false
	}
	x.service.Stats.Outcome(x.worker.index, observe.OutcomeServerError)
	x.dropCall()
	x.awaitNothing()
	x.askAgain(node, false)
	return true
}

// relay begins to hand the node's answer on: its head, or what plugins make of it.
func (x *Exchange) relay() {
	x.dropReplay()
	x.state = stateRelaying
	x.stripResponse()
	x.setSticky()
	sent := x.resp.Framing
	x.filterResponse()
	if len(x.transformers) > 0 {
		x.transformHead()
	}
	if x.replaced {
		x.dropBody(sent)
		return
	}
	x.down.sendHead(&x.resp)
	if x.resp.Framing.HasBody() {
		x.await(waitBody)
	} else {
		x.awaitNothing()
	}
}

// stripResponse takes out of the node's head what is for one hop only, and adds what must be there: a Date (RFC 9110 §6.6.1) and, in a 426, the protocols that the node would
// switch to (§15.5.22), since an upgrade that a client asks for is passed on.
func (x *Exchange) stripResponse() {
	h := &x.resp.Header
	var protocols []byte
	if x.resp.Status == 426 && x.req.Version == codec.HTTP11 {
		protocols = h.GetID(codec.FieldUpgrade)
	}
	h.StripHopByHop()
	if protocols != nil {
		h.AddID(codec.FieldUpgrade, "Upgrade", protocols)
	}
	if !h.Seen(codec.FieldDate) {
		h.AddID(codec.FieldDate, "Date", x.worker.date())
	}
}

// responseBody takes a run of the node's answer.
func (x *Exchange) responseBody(p []byte) {
	if x.state == stateDropping {
		x.dropRun(p)
		return
	}
	if len(x.transformers) > 0 {
		if p = x.transformResponse(p); len(p) == 0 {
			x.await(waitBody)
			return
		}
	}
	x.bytesOut += int64(len(p))
	x.down.sendBody(p)
	x.relayed()
}

// relayed is what follows a run of the answer that was handed on.
func (x *Exchange) relayed() {
	if x.down.congested() {
		x.call.hold()
		x.worker.loop.StopTimer(&x.timer) // the node is not to blame for a slow client
		return
	}
	x.await(waitBody)
}

// responseEnd tells that the node's answer is whole. trailer may be nil. The call has detached itself.
func (x *Exchange) responseEnd(trailer *codec.Header) {
	x.call = nil
	if x.trails && x.callVerdict(trailer) >= 500 {
		x.try.Failed(upstream.FailedStatus, x.worker.loop.Now())
		x.result = observe.OutcomeServerError
	} else {
		x.try.Whole()
	}
	x.try.End()
	x.service.Stats.Outcome(x.worker.index, x.result)
	if x.state == stateDropping {
		trailer = nil
	} else if len(x.transformers) > 0 {
		trailer = x.transformEnd(trailer)
	}
	if trailer != nil {
		trailer.StripNamed(&x.resp.Header)
		x.down.sendTrailer(trailer)
	}
	x.finish(false)
}

// answer sends the contract's answer to an error. Nothing else in the gateway writes one.
func (x *Exchange) answer(e *fault.Error) {
	if x.idLen == 0 {
		x.SetRequestID(x.worker.newID())
	}
	if x.isGRPC() {
		x.answerGRPC(e)
		return
	}
	body := appendErrorBody(x.worker.answerText[:0], e.Kind, x.RequestID())
	x.worker.answerText = body[:0]

	x.beginOwn(e.Kind.Status)
	x.resp.Header.Add("Content-Type", jsonType)
	switch e.Kind {
	case fault.MethodNotAllowed:
		x.addAllow()
	case fault.Overloaded, fault.ShortOfMemory, fault.RateLimited:
		x.resp.Header.Add("Retry-After", retryAfter)
	}
	x.sendOwn(body)
}

// appendErrorBody appends the body of the contract's answer.
func appendErrorBody(body []byte, kind *fault.Kind, id []byte) []byte {
	body = append(body, `{"error":{"status":`...)
	body = strconv.AppendInt(body, int64(kind.Status), 10)
	body = append(body, `,"code":"`...)
	body = append(body, kind.Code...)
	body = append(body, `","message":"`...)
	body = appendJSONText(body, kind.Text)
	body = append(body, `","request_id":"`...)
	body = appendJSONText(body, id)
	return append(body, "\"}}\n"...)
}

// respond answers as a plugin says, with an error or an answer of its own.
func (x *Exchange) respond(r *plugin.Reply) {
	if refused := r.Fault(); refused != nil {
		x.fail(refused)
	} else {
		x.reply(r)
	}
}

// reply sends the answer of a plugin.
func (x *Exchange) reply(r *plugin.Reply) {
	x.beginOwn(r.Status)
	for _, h := range r.Headers {
		x.resp.Header.Add(h.Name, []byte(h.Value))
	}
	x.sendOwn(r.Body)
}

// beginOwn starts the head of an answer that the gateway itself makes.
func (x *Exchange) beginOwn(status int) {
	x.state = stateAnswering
	x.resp.Reset(nil)
	x.resp.Status = status
	x.resp.Header.AddID(codec.FieldServer, "Server", serverName)
	x.resp.Header.AddID(codec.FieldDate, "Date", x.worker.date())
}

// sendOwn sends it: the plugins see its head as they see any other, and transformers too, but not the body.
func (x *Exchange) sendOwn(body []byte) {
	x.ReplaceBody(body)
	x.filterResponse()
	x.transformHead()
	x.sendReplaced()
	x.finish(false)
}

// addAllow lists the methods that the path has (RFC 9110 §15.5.6).
func (x *Exchange) addAllow() {
	var list []byte
	for i, method := range x.match.Allow {
		if i > 0 {
			list = append(list, ", "...)
		}
		list = append(list, method...)
	}
	x.resp.Header.Add("Allow", list)
}

var (
	serverName = []byte("sluice")
	jsonType   = []byte("application/json")
	retryAfter = []byte("1")
)

// appendJSONText appends what stands between the quotes of a JSON string. Texts of errors and request ids have no controls but, perhaps, the tab.
func appendJSONText[T string | []byte](dst []byte, text T) []byte {
	for i := range len(text) {
		switch c := text[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// record tells observe what became of the exchange.
func (x *Exchange) record() {
	r := observe.Record{
		Start:       x.startWall,
		Duration:    x.worker.loop.Now() - x.start,
		ReadTime:    x.readTime,
		ConnectTime: x.connectTime,
		HeadTime:    x.headTime,
		Method:      x.asked.method,
		Target:      x.asked.target,
		Host:        x.asked.host,
		UserAgent:   x.asked.userAgent,
		Referer:     x.asked.referer,
		RequestID:   x.RequestID(),
		ClientIP:    x.clientIP,
		ClientPort:  x.client.addr.Port(),
		Status:      x.status,
		BytesIn:     x.bytesIn,
		BytesOut:    x.bytesOut,
		Retries:     max(0, x.tries-1),
	}
	if len(r.Method) > 0 { // else there was no request line
		r.Protocol = x.req.Version.String()
	}
	if t := x.client.tls; t != nil {
		r.TLS = t.version
		if t.identity != nil {
			r.ClientCert = t.identity.subject
		}
	}
	x.recordUpstream(&r)
	x.worker.stats.Finish(&r)
}

// recordUpstream adds who was to serve the request, and why nobody has.
func (x *Exchange) recordUpstream(r *observe.Record) {
	if x.route != nil {
		r.Route = x.route.Stats
	}
	if x.service != nil {
		r.Service = x.service.Stats
	}
	if x.node != nil {
		r.Node = x.node.Address
	}
	if x.failed != nil {
		r.Flag, r.Code, r.Reason = x.failed.Kind.Flag, x.failed.Kind.Code, reason(x.failed)
	}
}
