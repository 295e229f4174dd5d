package proxy

import (
	"errors"
	"strconv"

	"sluice/codec"
	"sluice/internal/fault"
	"sluice/plugin"
)

var errMaxForwards = errors.New("proxy: Max-Forwards is not one number")

// lastHop counts the gateway as one of the hops that Max-Forwards allows an OPTIONS or TRACE (RFC 9110 §7.6.2). It reports whether none is left, or what is said of
// them is no number: then the exchange is answered here. A trace shows what the request looks like, and that is not everybody's business: it is refused.
func (x *Exchange) lastHop() bool {
	if m := x.req.Method; m != codec.MethodOptions && m != codec.MethodTrace {
		return false
	}
	h := &x.req.Header
	i := h.Find("Max-Forwards")
	if i < 0 {
		return false
	}
	n, err := strconv.ParseUint(string(h.Value(i)), 10, 64)
	if err != nil || h.FindFrom(i+1, "Max-Forwards") >= 0 {
		x.fail(fault.New("count hops", fault.Downstream, fault.BadRequest, errMaxForwards))
		return true
	}
	if n > 0 {
		h.Set(string(h.Name(i)), strconv.AppendUint(x.worker.scratch[:0], n-1, 10))
		return false
	}
	if x.req.Method == codec.MethodTrace {
		x.fail(fault.New("count hops", fault.Downstream, fault.NotImplemented, nil))
	} else {
		x.reply(&optionsReply)
	}
	return true
}

// optionsReply is what the gateway itself says to OPTIONS: there is nothing to know about it.
var optionsReply = plugin.Reply{Status: 204}
