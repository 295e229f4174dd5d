package proxy

import (
	"bytes"

	"github.com/cespare/xxhash/v2"

	"sluice/upstream"
)

// What a node is chosen by.

// pick returns a node that this request has not been sent to, or nil.
func (x *Exchange) pick() *upstream.Node {
	return x.service.Pick(x.worker.index, x.want())
}

func (x *Exchange) want() upstream.Want {
	return upstream.Want{Tried: x.tried[:x.tries], Key: x.key, Sticky: x.sticky, Now: x.worker.loop.Now()}
}

// findKeys reads from the request what the service's balancer goes by.
func (x *Exchange) findKeys() {
	s := x.service
	x.key, x.sticky = 0, 0
	if s.HashOn != "" {
		x.key = x.hashKey()
	}
	if s.StickyCookie != "" {
		x.sticky = upstream.ParseSticky(x.Cookie(s.StickyCookie))
	}
}

// hashKey returns the hash of what the service hashes on. A request that has none of it is told by its client's address, or all such would go to one node.
func (x *Exchange) hashKey() uint64 {
	var v []byte
	switch s := x.service; s.HashOn {
	case "header":
		v = x.Header(s.HashKey)
	case "cookie":
		v = x.Cookie(s.HashKey)
	case "query":
		v = x.Query(s.HashKey)
	case "path": // as the client sent it, whatever plugins have made of it
		v, _, _ = bytes.Cut(x.asked.target, []byte{'?'})
	}
	if len(v) > 0 {
		return xxhash.Sum64(v)
	}
	ip := x.clientIP.As16()
	return xxhash.Sum64(ip[:])
}

// setSticky tells a client whose cookie does not name the node that has answered to come back to it.
func (x *Exchange) setSticky() {
	if x.service.StickyCookie == "" || x.sticky == x.node.ID() {
		return
	}
	if cookie := x.service.Cookie(x.node); cookie != nil {
		x.resp.Header.Add("Set-Cookie", cookie)
	}
}
