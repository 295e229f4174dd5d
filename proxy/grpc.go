package proxy

import (
	"bytes"
	"strconv"

	"sluice/codec"
	"sluice/internal/fault"
)

// How a gRPC client is told of an error, and what the status of a call says of the node. Its deadline is the exchange's, see setDeadline.

const grpcStatus = "Grpc-Status"

var grpcType = []byte("application/grpc")

// isGRPC reports whether the client speaks gRPC. application/grpc-web is another protocol, which a plugin translates.
func (x *Exchange) isGRPC() bool {
	media := x.req.Header.Get("Content-Type")
	if !bytes.HasPrefix(media, grpcType) {
		return false
	}
	return len(media) == len(grpcType) || media[len(grpcType)] == '+' || media[len(grpcType)] == ';'
}

// overHTTP2 reports whether nodes are asked over HTTP/2, for anything but another protocol.
func (x *Exchange) overHTTP2() bool { return (x.route.GRPC || x.service.HTTP2) && x.upgrade == nil }

// headVerdict returns the status that the head of an answer to a call counts as, for its node: what is said of the call where the answer is nothing but trailers. Otherwise it is 200 so far,
// and callVerdict follows.
func (x *Exchange) headVerdict() int {
	if x.resp.Status != 200 {
		return x.resp.Status
	}
	if x.resp.Header.Find(grpcStatus) < 0 && x.resp.Framing.HasBody() {
		x.trails = true
		return 200
	}
	return x.callVerdict(&x.resp.Header)
}

// callVerdict returns the status that a call counts as for its node, by the fields at its end; nil for none. That the time has passed which a client has set itself does not tell of the node:
// whoever asks for a nanosecond would take all of them out.
func (x *Exchange) callVerdict(end *codec.Header) int {
	var text []byte
	if end != nil {
		text = end.Get(grpcStatus)
	}
	code := fault.ParseGRPC(text)
	if code == fault.GRPCDeadlineExceeded && x.req.Header.Find("Grpc-Timeout") >= 0 {
		return 200
	}
	return fault.StatusOfGRPC(code)
}

// isUnavailable reports whether the answer is nothing but the trailers of a call, with the status UNAVAILABLE.
func (x *Exchange) isUnavailable() bool {
	status := x.resp.Header.Get(grpcStatus)
	return status != nil && fault.ParseGRPC(status) == fault.GRPCUnavailable && x.isGRPC()
}

// answerGRPC tells a gRPC client of an error, by an answer that is nothing but trailers.
func (x *Exchange) answerGRPC(e *fault.Error) {
	x.beginOwn(200)
	x.resp.Header.Add("Content-Type", grpcType)
	x.addStatus(&x.resp.Header, e)
	x.sendOwn(nil)
}

// trailGRPC ends an answer that has begun with the status of an error. It reports false where there is no way to.
func (x *Exchange) trailGRPC(e *fault.Error) bool {
	if x.state != stateRelaying || e.Kind == fault.ClientGone || !x.isGRPC() || x.req.Version != codec.HTTP2 && len(x.transformers) == 0 {
		return false
	}
	t := &x.worker.trailer
	t.Reset(nil)
	x.addStatus(t, e)
	if t = x.transformEnd(t); t != nil {
		x.down.sendTrailer(t)
	}
	x.finish(false)
	return true
}

func (x *Exchange) addStatus(h *codec.Header, e *fault.Error) {
	h.Add(grpcStatus, strconv.AppendInt(x.worker.scratch[:0], int64(e.Kind.GRPC()), 10))
	text := append(x.worker.scratch[:0], e.Kind.Code...)
	text = append(text, ": "...)
	h.Add("Grpc-Message", appendPercent(text, e.Kind.Text))
}

// appendPercent appends a text as a grpc-message has it: what is not visible ASCII, and "%", as escapes.
func appendPercent(dst []byte, text string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c <= '~' && c != '%' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}
