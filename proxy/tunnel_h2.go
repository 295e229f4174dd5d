package proxy

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"

	"sluice/codec"
	"sluice/internal/ascii"
	"sluice/upstream"
)

// A tunnel through a node's connection of HTTP/2 is a stream of its own (RFC 8441): an extended CONNECT asks for it, and a 2xx is what 101 is in HTTP/1.1. Only WebSocket has
// a name there.

// websocket is the protocol that may be asked for over HTTP/2.
const websocket = "websocket"

// dialUpgrade begins a call for another protocol to a node that speaks HTTP/2: there, unless the node takes no tunnels or the protocol has no name, else over HTTP/1.1.
func (w *worker) dialUpgrade(x *Exchange, node *upstream.Node, fresh bool) (call, error) {
	if ascii.EqualFold(x.upgrade, websocket) {
		if call, err := w.dialH2(x, node); err != errNoTunnels {
			return call, err
		}
	}
	return w.dialH1(x, node, fresh)
}

// besideHTTP2 reports whether another protocol is asked for of a node that is spoken to over HTTP/2.
func (x *Exchange) besideHTTP2() bool { return x.upgrade != nil && (x.route.GRPC || x.service.HTTP2) }

// askOverHTTP1 makes the try under way anew over HTTP/1.1: its node takes no tunnels over HTTP/2. Nothing was sent.
func (x *Exchange) askOverHTTP1() {
	x.call.cancel()
	x.call = nil
	call, err := x.worker.dialH1(x, x.node, false)
	switch {
	case errors.Is(err, upstream.ErrFull):
		x.tries--
		x.tried[x.tries] = nil
		x.awaitNothing()
		x.noPlace(x.node)
	case err != nil:
		x.callFailed(x.worker.dialFault(x.node, err))
	default:
		x.call = call
		x.send()
	}
}

// switched takes the answer to an extended CONNECT that opens the tunnel, as the 101 that it stands for.
func (k *callH2) switched(ended bool) {
	x, turn := k.x, k.turn
	resp := &x.resp
	resp.Status, resp.Framing = 101, codec.Framing{}
	resp.Header.RemoveName("Content-Length") // there is no body that it could be of
	resp.Header.AddID(codec.FieldUpgrade, "Upgrade", k.protocol)
	if key := x.req.Header.Find("Sec-WebSocket-Key"); key >= 0 {
		resp.Header.Set("Sec-WebSocket-Accept", acceptOf(x.req.Header.Value(key)))
	}
	x.responseHead()
	if ended && k.turn == turn && k.x == x && k.tunneled {
		x.tunnelDownEnd()
	}
}

// acceptOf returns what answers the key of a client of HTTP/1.1 (RFC 6455 §4.2.2), which a node of HTTP/2 is not sent.
func acceptOf(key []byte) []byte {
	h := sha1.New()
	h.Write(key)
	h.Write([]byte("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.AppendEncode(nil, h.Sum(nil))
}

// tunnel makes the stream one of bytes.
func (k *callH2) tunnel() { k.tunneled = true }

// closeTunnel gives the stream up, which has ended on both sides.
func (k *callH2) closeTunnel() { k.cancel() }
