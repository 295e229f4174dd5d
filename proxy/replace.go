package proxy

import (
	"strconv"
	"time"

	"sluice/codec"
)

// What plugins make of an answer beside its fields: another status, another body. The gateway's own answers are such, with no node's behind them.

// How much of a body that nobody gets is read to its end, and for how long: a connection to a node that can serve again is worth that, and no longer wait for the client, whose next
// request on HTTP/1.1 comes behind it.
const (
	restBytes = 64 << 10
	restTime  = 100 * time.Millisecond
)

// ReplaceBody makes body that of the answer.
func (x *Exchange) ReplaceBody(body []byte) { x.substitute, x.replaced = body, true }

// reframe makes the framing of the answer that of what plugins have made of it; was is its status before.
func (x *Exchange) reframe(was int) {
	resp := &x.resp
	if was == 101 { // both sides have agreed on a tunnel
		resp.Status, x.status, x.replaced = was, was, false
		return
	}
	if resp.Status < 300 && x.req.UpgradeAsks && x.req.Version == codec.HTTP2 { // that would open a tunnel to nobody (RFC 8441 §5)
		refused := was
		if was < 300 {
			refused = 501
		}
		resp.SetStatus(refused)
	}
	x.status = resp.Status
	if resp.Status != was && (resp.Status == 205 || codec.Bodiless(resp.Status) || codec.Bodiless(was) && !x.replaced) {
		x.ReplaceBody(nil) // RFC 9110 §15.3.6; and an answer that had no body, and may have one now, says that it is empty
	}
	if !x.replaced {
		return
	}
	resp.Version = codec.HTTP11 // no trailer follows
	resp.Header.RemoveID(codec.FieldContentLength)
	resp.Header.RemoveID(codec.FieldTrailer) // nor is one to be announced (RFC 9110 §6.6.2)
	resp.Framing = codec.Framing{}
	switch {
	case codec.Bodiless(resp.Status):
	case x.req.Method == codec.MethodHead: // what the same request with GET would have had (RFC 9110 §8.6)
		resp.Header.AddID(codec.FieldContentLength, "Content-Length", strconv.AppendInt(x.worker.scratch[:0], int64(len(x.substitute)), 10))
	case len(x.substitute) > 0 || !x.isCallEnd():
		resp.Framing = codec.Framing{Kind: codec.BodyLength, Length: int64(len(x.substitute))}
	}
}

// isCallEnd reports whether the answer is the end of a call of gRPC and nothing else: fields alone, over HTTP/2.
func (x *Exchange) isCallEnd() bool {
	return x.req.Version == codec.HTTP2 && x.resp.Header.Find(grpcStatus) >= 0
}

// sendReplaced sends the head and the body in the place of the node's.
func (x *Exchange) sendReplaced() {
	x.down.sendHead(&x.resp)
	if x.resp.Framing.HasBody() {
		x.bytesOut += int64(len(x.substitute))
		x.down.sendBody(x.substitute)
	}
}

// dropBody is relaying for an answer whose body is another than the one that the node sends, with framing f. That is thrown away, and where it is much, or the request is still on its way,
// not waited for.
func (x *Exchange) dropBody(f codec.Framing) {
	x.sendReplaced()
	x.state, x.rest = stateDropping, restBytes
	if !x.requestEnded || f.Kind == codec.BodyLength && f.Length > restBytes {
		x.endDropping()
		return
	}
	x.awaitFor(waitRest, restTime)
}

// dropRun throws away a run of the node's body.
func (x *Exchange) dropRun(p []byte) {
	if x.rest -= len(p); x.rest < 0 {
		x.endDropping()
	}
}

// endDropping gives up the rest of it: the node has answered, and it is no fault of its that nobody reads on.
func (x *Exchange) endDropping() {
	x.try.Whole()
	x.service.Stats.Outcome(x.worker.index, x.result)
	x.finish(false)
}
