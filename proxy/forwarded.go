package proxy

import (
	"bytes"
	"net/netip"

	"sluice/codec"
)

// findClient finds out who the client is: the peer or, where the peer is a trusted proxy, whom it names. X-Forwarded-For is read from its end: the last address
// that is not a trusted proxy's own is the client, since everything before it can have been written by the client itself.
func (x *Exchange) findClient() {
	if !x.client.trusted {
		return
	}
	h := &x.req.Header
	if h.FindID(codec.FieldForwardedFor) < 0 {
		if ip, ok := parseIP(h.Get("X-Real-IP")); ok {
			x.clientIP = ip
		}
		return
	}
	for i := h.Len() - 1; i >= 0; i-- {
		if h.ID(i) == codec.FieldForwardedFor && !h.Removed(i) && !x.lastHops(h.Value(i)) {
			return
		}
	}
}

// lastHops reads one X-Forwarded-For value from its end. It reports whether all of it are trusted proxies, so that the value before it counts: a proxy
// may add a line of its own, "X-Forwarded-For: 6.6.6.6" from the client first, then "X-Forwarded-For: 192.0.2.7" from the proxy.
func (x *Exchange) lastHops(list []byte) bool {
	for len(list) > 0 {
		var last []byte
		if i := bytes.LastIndexByte(list, ','); i >= 0 {
			last, list = list[i+1:], list[:i]
		} else {
			last, list = list, nil
		}
		ip, ok := parseIP(codec.TrimOWS(last))
		if !ok {
			return false
		}
		x.clientIP = ip
		if !x.set.trusts(ip) {
			return false
		}
	}
	return true
}

// parseIP reads an address as proxies write it: bare, or with a port.
func parseIP(b []byte) (netip.Addr, bool) {
	if len(b) == 0 || len(b) > 64 {
		return netip.Addr{}, false
	}
	text := string(b)
	if ip, err := netip.ParseAddr(text); err == nil {
		return ip.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

// prepareHead makes of the client's head what goes upstream.
func (x *Exchange) prepareHead() {
	// Before the plugins: what the client's Connection names must not take away a field that a plugin sets ("Connection: x-user"), and
	// X-Forwarded-Host is the host that the client asked for, not the one that a plugin puts in its place.
	x.noteUpgrade()
	x.trailersWelcome = x.route.GRPC || hasToken(x.req.Header.GetID(codec.FieldTE), "trailers")
	x.req.Header.StripHopByHop()
	x.askUpgrade()
	x.setForwarded()
	x.tellOfClient()
}

// setForwarded tells the node who asks and how: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host and X-Real-IP. What the client wrote there is
// replaced, unless it is a trusted proxy.
func (x *Exchange) setForwarded() {
	h := &x.req.Header
	switch {
	case !h.Seen(codec.FieldForwardedFor):
		h.AddID(codec.FieldForwardedFor, "X-Forwarded-For", x.client.text)
	case x.client.trusted:
		h.Set("X-Forwarded-For", x.appendForwardedFor(x.worker.scratch[:0]))
	default:
		h.Set("X-Forwarded-For", x.client.text)
	}
	if !h.Seen(codec.FieldForwardedProto) {
		h.AddID(codec.FieldForwardedProto, "X-Forwarded-Proto", x.client.scheme())
	} else if !x.client.trusted {
		h.Set("X-Forwarded-Proto", x.client.scheme())
	}
	if !h.Seen(codec.FieldForwardedHost) {
		if host := x.req.Host(); len(host) > 0 {
			h.AddID(codec.FieldForwardedHost, "X-Forwarded-Host", host)
		}
	} else if !x.client.trusted {
		h.Set("X-Forwarded-Host", x.req.Host())
	}
	realIP := x.client.text
	if x.client.trusted {
		var text [64]byte
		realIP = x.clientIP.AppendTo(text[:0])
	}
	if !h.Seen(codec.FieldRealIP) {
		h.AddID(codec.FieldRealIP, "X-Real-IP", realIP)
	} else {
		h.Set("X-Real-IP", realIP)
	}
}

// appendForwardedFor appends every X-Forwarded-For value and the peer's address.
func (x *Exchange) appendForwardedFor(dst []byte) []byte {
	h := &x.req.Header
	for i := h.Find("X-Forwarded-For"); i >= 0; i = h.FindFrom(i+1, "X-Forwarded-For") {
		if value := h.Value(i); len(value) > 0 {
			dst = append(dst, value...)
			dst = append(dst, ", "...)
		}
	}
	return append(dst, x.client.text...)
}

var schemeHTTP, schemeHTTPS = []byte("http"), []byte("https")

// scheme is how the client has reached the gateway.
func (c *client) scheme() []byte {
	if c.tls != nil {
		return schemeHTTPS
	}
	return schemeHTTP
}
