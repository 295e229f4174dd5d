package proxy

import (
	"sluice/codec"
	"sluice/internal/fault"
	"sluice/plugin"
)

// What plugins make of bodies. An exchange without a transformer pays one comparison for a run.

// Transform lets t work on the bodies of the exchange.
func (x *Exchange) Transform(t plugin.Transformer) { x.transformers = append(x.transformers, t) }

// dropTransformers lets go of them.
func (x *Exchange) dropTransformers() {
	clear(x.transformers)
	x.transformers = x.transformers[:0]
}

// transformRequest returns what goes to the node in the place of p, valid until the next call of a transform, and false where the request was refused for it.
func (x *Exchange) transformRequest(p []byte, end bool) ([]byte, bool) {
	for i, t := range x.transformers {
		dst := x.worker.transformed[i&1][:0]
		out, err := t.RequestBody(dst, p, end)
		x.worker.transformed[i&1] = out[:0]
		if err != nil {
			x.fail(fault.New("transform the request body", fault.Downstream, fault.BadRequest, err))
			return nil, false
		}
		p = out
	}
	return p, true
}

// transformHead shows the transformers the head of the answer. What they make of a body has no length.
func (x *Exchange) transformHead() {
	for i := len(x.transformers) - 1; i >= 0; i-- {
		x.transformers[i].ResponseHead(x)
	}
	if !x.replaced && x.resp.Framing.Kind == codec.BodyLength && x.resp.Framing.Length > 0 {
		x.resp.Framing = codec.Framing{Kind: codec.BodyStream}
	}
}

// transformResponse returns what goes to the client in the place of p, valid until the next call of a transform.
func (x *Exchange) transformResponse(p []byte) []byte {
	for i := len(x.transformers) - 1; i >= 0; i-- {
		out := x.transformers[i].ResponseBody(x.worker.transformed[i&1][:0], p)
		x.worker.transformed[i&1] = out[:0]
		p = out
	}
	return p
}

// transformEnd sends what bodies end with, and returns the trailer that goes on.
func (x *Exchange) transformEnd(trailer *codec.Header) *codec.Header {
	for i := len(x.transformers) - 1; i >= 0; i-- {
		var out []byte
		out, trailer = x.transformers[i].ResponseEnd(x.worker.transformed[i&1][:0], trailer)
		x.worker.transformed[i&1] = out[:0]
		for j := i - 1; j >= 0 && len(out) > 0; j-- {
			next := x.transformers[j].ResponseBody(x.worker.transformed[j&1][:0], out)
			x.worker.transformed[j&1] = next[:0]
			out = next
		}
		if len(out) > 0 {
			x.bytesOut += int64(len(out))
			x.down.sendBody(out)
		}
	}
	return trailer
}
