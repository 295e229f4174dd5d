package proxy

import (
	"bytes"
	"strconv"

	"sluice/codec"
	"sluice/internal/fault"
)

// How a gRPC client is told of an error. Its deadline is the exchange's, see setDeadline.

var grpcType = []byte("application/grpc")

// isGRPC reports whether the client speaks gRPC. application/grpc-web is another protocol, which a plugin translates.
func (x *Exchange) isGRPC() bool {
	media := x.req.Header.Get("Content-Type")
	if !bytes.HasPrefix(media, grpcType) {
		return false
	}
	return len(media) == len(grpcType) || media[len(grpcType)] == '+' || media[len(grpcType)] == ';'
}

// answerGRPC tells a gRPC client of an error, by an answer that is nothing but trailers.
func (x *Exchange) answerGRPC(e *fault.Error) {
	x.beginOwn(200, 0)
	x.resp.Header.Add("Content-Type", grpcType)
	x.addStatus(&x.resp.Header, e)
	if x.req.Version == codec.HTTP2 {
		x.resp.Framing = codec.Framing{}
	}
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
	h.Add("Grpc-Status", strconv.AppendInt(x.worker.scratch[:0], int64(e.Kind.GRPC()), 10))
	text := append(x.worker.scratch[:0], e.Kind.Code...)
	text = append(text, ": "...)
	h.Add("Grpc-Message", append(text, e.Kind.Text...)) // visible ASCII without "%": it needs no escapes
}
