package proxy

import (
	"errors"
	"slices"

	"sluice/internal/fault"
	"sluice/upstream"
)

// poolH2 is the connections of a worker to one node, and the calls that wait for one.
type poolH2 struct {
	worker  *worker
	node    *upstream.Node
	clients []*clientH2
	waiting []*callH2 // in the order they came; none while a connection has room
	asking  []*callH2 // those that want a tunnel, and wait for a connection whose node has said that it takes them
	streams int       // that the node takes on one connection, as it said last; before, what is safe to assume
	heard   bool      // the node has said whether it takes tunnels
	tunnels bool      // it does
	conns   int       // clients, and connections that take no more calls and are still there
	serving bool      // serve is at work
	doomed  bool      // failWaiting is posted
}

const (
	// A node may have more connections where it lets us open few streams on each, or where there are more calls than one connection should carry: a lost segment
	// delays them all.
	h2ConnsPerNode  = 16
	h2CallsPerConn  = 1000
	h2StreamsUntold = 10 // calls on a connection whose node has not said yet how many it takes: few allow less
)

// poolOf returns the connections to a node.
func (w *worker) poolOf(node *upstream.Node) *poolH2 {
	p := w.poolsH2[node]
	if p == nil {
		p = &poolH2{worker: w, node: node, streams: h2StreamsUntold}
		if w.poolsH2 == nil {
			w.poolsH2 = make(map[*upstream.Node]*poolH2)
		}
		w.poolsH2[node] = p
	}
	return p
}

// errNoTunnels is for a call that wants a tunnel through a connection of HTTP/2 to a node that takes none there.
var errNoTunnels = errors.New("proxy: the node takes no tunnels over HTTP/2")

// errNoStream is for a call that there is no stream for: the node has all the connections it may have, and all the streams on them that it takes, in use.
var errNoStream = errors.New("proxy: all streams that the node takes are in use")

// assign gives a call a stream on a connection, on a new one if need be, or lets it wait for one.
func (p *poolH2) assign(k *callH2) error {
	if k.protocol != nil && p.heard && !p.tunnels {
		p.forget()
		return errNoTunnels
	}
	c := p.withRoom(k)
	if c == nil && p.mayDial() {
		var err error
		if c, err = p.dial(k.x.service, k.x.connectBound()+h2Grace); err != nil && len(p.clients) == 0 {
			p.forget()
			return err
		}
	}
	if c == nil || k.protocol != nil && !c.codec.PeerConnect() {
		return p.lineUp(k)
	}
	if !c.open && !k.hedges() && !k.mayWait(p) {
		return errNoStream
	}
	c.take(k)
	return nil
}

// withRoom returns a connection that takes a call, the first that there is: the others run idle when the load goes down.
func (p *poolH2) withRoom(k *callH2) *clientH2 {
	for i := 0; i < len(p.clients); i++ {
		c := p.clients[i]
		if !c.conn.Current() || c.conn.Aged(k.x.service) {
			c.retire() // it leaves the list, and what waits may have been given to others
			i = -1
			continue
		}
		room := p.streams
		if c.codec.Settled() {
			room = c.codec.PeerStreams()
		}
		if c.codec.Streams() < min(room, h2CallsPerConn) && (k.protocol == nil || c.codec.PeerConnect()) {
			return c
		}
	}
	return nil
}

// resting returns how many connections have no call.
func (p *poolH2) resting() (n int) {
	for _, c := range p.clients {
		if c.calls == 0 {
			n++
		}
	}
	return n
}

// mayDial reports whether there may be one more connection. While the node has yet to say how many calls one takes, it may be all.
func (p *poolH2) mayDial() bool {
	for _, c := range p.clients {
		if !c.codec.Settled() {
			return false
		}
	}
	return len(p.clients) < h2ConnsPerNode
}

// serve gives the calls that wait what room there is. It tells no exchange that its call has failed: whoever makes room may be in the midst of ending others.
func (p *poolH2) serve() {
	if p.serving || len(p.waiting)+len(p.asking) == 0 {
		p.forget()
		return
	}
	p.serving = true
	defer func() { p.serving = false }()
	for p.serveFirst(&p.waiting) {
	}
	for p.serveFirst(&p.asking) {
	}
	p.forget()
}

// serveFirst gives the call that has waited longest in a line its stream, and reports whether there was one, and room for it.
func (p *poolH2) serveFirst(line *[]*callH2) bool {
	if len(*line) == 0 {
		return false
	}
	k := (*line)[0]
	c := p.withRoom(k)
	if c == nil && p.mayDial() {
		c, _ = p.dial(k.x.service, k.x.connectBound()+h2Grace) // failWaiting hears why
	}
	if c == nil {
		if len(p.clients) == 0 && !p.doomed {
			p.doomed = true
			p.worker.loop.Post(p.failWaiting)
		}
		return false
	}
	if k.protocol != nil && !c.codec.PeerConnect() {
		return false
	}
	*line = slices.Delete(*line, 0, 1)
	k.pool = nil
	c.take(k)
	return true
}

// failWaiting tries once more to get a connection for the calls that wait, and lets them fail where there is none left to wait for.
func (p *poolH2) failWaiting() {
	p.doomed = false
	for len(p.waiting)+len(p.asking) > 0 && len(p.clients) == 0 {
		k := p.first()
		_, err := p.dial(k.x.service, k.x.connectBound()+h2Grace)
		if p.mayWait(err) {
			return
		}
		if err != nil {
			k.failed(p.worker.dialFault(p.node, err))
		}
	}
	p.serve()
}

// mayWait reports whether a connection that there is no place for now will have one: the end of one that is leaving makes room for another.
func (p *poolH2) mayWait(err error) bool { return errors.Is(err, upstream.ErrFull) && p.conns > 0 }

// lineUp lets a call wait, where one more may. The second of two does not: it is made to be quicker than the first.
func (p *poolH2) lineUp(k *callH2) error {
	if k.hedges() || !k.mayWait(p) {
		p.forget()
		return errNoStream
	}
	k.pool = p
	if k.protocol != nil {
		p.asking = append(p.asking, k)
	} else {
		p.waiting = append(p.waiting, k)
	}
	return nil
}

// owes reports whether the node owes a connection to those who have waited since a moment: it was asked for one by then that it has not made, or not said yet how many streams it takes.
// Otherwise they wait for each other.
func (p *poolH2) owes(since int64) bool {
	return slices.ContainsFunc(p.clients, func(c *clientH2) bool { return !c.codec.Settled() && c.begun <= since })
}

// first returns the call to fail first.
func (p *poolH2) first() *callH2 {
	if len(p.waiting) > 0 {
		return p.waiting[0]
	}
	return p.asking[0]
}

// hear takes in what the settings of a connection say: how many streams its node takes, and whether they may be tunnels. Calls that want one, and get none here, are made over HTTP/1.1,
// for which a connection that rests makes room.
func (p *poolH2) hear(c *clientH2) {
	p.streams = c.codec.PeerStreams()
	p.heard, p.tunnels = true, c.codec.PeerConnect()
	if !p.tunnels && len(p.asking) > 0 {
		p.serving = true // what room comes up is theirs
		c.restUnused()
		for len(p.asking) > 0 {
			k := p.asking[0]
			k.x.askOverHTTP1()
		}
		p.serving = false
	}
	p.serve()
	c.restUnused()
}

// failAsking lets the calls fail that wait to hear of a connection's settings, which will not come.
func (p *poolH2) failAsking(e func(k *callH2) *fault.Error) {
	for n := len(p.asking); n > 0 && len(p.asking) > 0; n-- {
		k := p.asking[0]
		k.failed(e(k))
	}
}

// leave takes a call out of the line.
func (p *poolH2) leave(k *callH2) {
	for _, line := range []*[]*callH2{&p.waiting, &p.asking} {
		if i := slices.Index(*line, k); i >= 0 {
			*line = slices.Delete(*line, i, i+1)
		}
	}
	p.forget()
}

// forget gives the pool up when nothing is in it any more, not even a connection that is leaving: another pool would stand in its place then.
func (p *poolH2) forget() {
	if p.conns+len(p.waiting)+len(p.asking) == 0 && p.worker.poolsH2[p.node] == p {
		delete(p.worker.poolsH2, p.node)
	}
}
