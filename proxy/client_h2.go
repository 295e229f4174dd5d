package proxy

import (
	"errors"
	"slices"
	"time"

	"sluice/codec/h2"
	"sluice/core/event"
	"sluice/internal/fault"
	"sluice/upstream"
)

// clientH2 is a connection of a worker to a node over HTTP/2, which carries many calls at once.
//
//	dialing ──► open ──► leaving ──► closed
//	                GOAWAY, no more     with its
//	                identifiers, the    last call
//	                node is retired
//
// Calls may be sent before the connection is there, and before the node has said how many it takes: the standard allows it, and saves a round trip. A node that takes
// fewer refuses the rest, and they are sent again.
type clientH2 struct {
	mux
	conn *upstream.Conn
	pool *poolH2

	calls   int  // under way
	served  bool // some call has been answered
	open    bool // the connection is there
	leaving bool // it takes no more calls
	gone    bool

	timer    event.Timer // for the next call, while there is none
	doubt    event.Timer // for a sign of life, once a call has got none
	lastRead int64       // loop time at which something has come
}

// poolH2 is the connections of a worker to one node, and the calls that wait for one.
type poolH2 struct {
	worker  *worker
	node    *upstream.Node
	clients []*clientH2
	waiting []*callH2 // in the order they came; none while a connection has room
	streams int       // that the node takes on one connection, as it said last; before, what is safe to assume
}

const (
	// A node may have more connections where it lets us open few streams on each, or where there are more calls than one connection should carry: a lost segment
	// delays them all.
	h2ConnsPerNode  = 16
	h2CallsPerConn  = 1000
	h2StreamsUntold = 10 // calls on a connection whose node has not said yet how many it takes: few allow less
	h2IdleTime      = upstream.DefaultIdleTimeout
	h2SignOfLife    = 5 * time.Second
	h2Grace         = 100 * time.Millisecond // that a connect may take longer than the exchange which began it waits
	h2NodeWindow    = 64<<10 - 1             // of a stream: what waits in memory for a client that is slow
	h2NodeConnTotal = 16 << 20               // of the connection: no slow client stops the others
)

var (
	errRefused   = errors.New("proxy: the node refused the request before it looked at it")
	errNodeReset = errors.New("proxy: the node gave the request up")
	errNoHTTP2   = errors.New("proxy: the node does not speak HTTP/2")
	errNoSign    = errors.New("proxy: the node gives no sign of life")
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

// assign gives a call a stream on a connection, on a new one if need be, or lets it wait for one.
func (p *poolH2) assign(k *callH2) error {
	c := p.withRoom()
	if c == nil && p.mayDial() {
		var err error
		if c, err = p.dial(k.x.connectBound() + h2Grace); err != nil && len(p.clients) == 0 {
			p.forget()
			return err
		}
	}
	if c == nil {
		k.pool = p
		p.waiting = append(p.waiting, k)
		return nil
	}
	c.take(k)
	return nil
}

// withRoom returns a connection that takes one more call, the first that there is: the others run idle when the load goes down.
func (p *poolH2) withRoom() *clientH2 {
	for i := 0; i < len(p.clients); i++ {
		c := p.clients[i]
		if !c.conn.Current() {
			c.retire() // it leaves the list
			i--
			continue
		}
		room := p.streams
		if c.codec.Settled() {
			room = c.codec.PeerStreams()
		}
		if c.codec.Streams() < min(room, h2CallsPerConn) {
			return c
		}
	}
	return nil
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

// dial begins a connection, which has that long to be established.
func (p *poolH2) dial(bound time.Duration) (*clientH2, error) {
	w := p.worker
	c := &clientH2{mux: mux{worker: w}, pool: p, lastRead: w.loop.Now()}
	c.timer.Owner, c.doubt.Owner = c, c
	conn, err := p.node.DialHTTP2(w.index, w.loop, c)
	if err != nil {
		return nil, err
	}
	c.conn, c.out = conn, conn.Conn
	conn.GatherTurn()
	conn.Share(c.retire)
	c.codec.Reset(h2.Options{Client: true, StreamWindow: h2NodeWindow, ConnWindow: h2NodeConnTotal, MaxBlock: 2 * responseLimits.Headers})
	conn.Commit(c.codec.AppendPreface(conn.Buffer()))
	w.loop.SetTimer(&c.doubt, bound)
	p.clients = append(p.clients, c)
	w.poolsH2[p.node] = p // it may have been forgotten while its last connection ended
	return c, nil
}

// serve gives the calls that wait what room there is.
func (p *poolH2) serve() {
	for len(p.waiting) > 0 {
		c := p.withRoom()
		if c == nil && p.mayDial() {
			var err error
			if c, err = p.dial(p.waiting[0].x.connectBound() + h2Grace); err != nil {
				c = nil
			}
		}
		if c == nil {
			if len(p.clients) == 0 { // there is nobody left to wait for
				p.waiting[0].failed(fault.New("connect", fault.Upstream, fault.UpstreamConnect, errNodeClosed).Retryable(fault.Always))
				continue
			}
			return
		}
		k := p.waiting[0]
		p.waiting = slices.Delete(p.waiting, 0, 1)
		k.pool = nil
		c.take(k)
	}
	p.forget()
}

// forget gives the pool up when nothing is in it.
func (p *poolH2) forget() {
	if len(p.clients) == 0 && len(p.waiting) == 0 {
		delete(p.worker.poolsH2, p.node)
	}
}

// take puts a call on the connection. What it has to say already is sent.
func (c *clientH2) take(k *callH2) {
	k.client, k.fresh = c, !c.served
	c.calls++
	c.worker.loop.StopTimer(&c.timer)
	if c.served {
		c.conn.CountReuse()
	}
	c.codec.OpenNext(&k.stream)
	if c.codec.LastIdentifier() {
		c.leave()
	}
	k.begin()
}

// release is the end of a call.
func (c *clientH2) release() {
	c.calls--
	if c.gone {
		return
	}
	if c.calls == 0 {
		if c.leaving {
			c.close()
			return
		}
		c.worker.loop.SetTimer(&c.timer, h2IdleTime)
	}
	if len(c.pool.waiting) > 0 {
		c.pool.serve()
	}
}

// leave takes the connection out of the pool: it takes no more calls.
func (c *clientH2) leave() {
	if c.leaving {
		return
	}
	c.leaving = true
	if i := slices.Index(c.pool.clients, c); i >= 0 {
		c.pool.clients = slices.Delete(c.pool.clients, i, i+1)
	}
	c.conn.Unshare()
}

// retire is for a node that goes out: what is under way ends as it would.
func (c *clientH2) retire() {
	c.leave()
	if c.calls == 0 {
		c.close()
	}
}

// close ends the connection, on which nothing is under way any more.
func (c *clientH2) close() {
	if c.gone {
		return
	}
	c.leave()
	c.gone = true
	if !c.shut && c.open {
		c.out.Commit(c.codec.AppendGoAway(c.out.Buffer(), h2.NoError, false))
	}
	c.shut = true
	c.worker.loop.DropTimer(&c.timer)
	c.worker.loop.DropTimer(&c.doubt)
	if c.open && !c.conn.IsClosed() {
		c.conn.CloseWhenSent()
	} else {
		c.conn.Discard()
	}
	c.pool.serve()
}

// fail ends the connection and every call on it.
func (c *clientH2) fail(e func(k *callH2) *fault.Error) {
	c.leave()
	c.shut, c.gone = true, true
	c.codec.Each(func(stream *h2.Stream) {
		k := stream.Owner.(*callH2)
		k.failed(e(k))
	})
	c.worker.loop.DropTimer(&c.timer)
	c.worker.loop.DropTimer(&c.doubt)
	c.conn.Discard()
	c.pool.serve()
}

// The connection's handler.

// Opened tells that the connection is there.
func (c *clientH2) Opened(*event.Conn) {
	c.open = true
	c.worker.loop.StopTimer(&c.doubt)
	c.conn.Established()
	if !c.conn.SpeaksHTTP2() {
		c.broken(errNoHTTP2)
		return
	}
	if c.calls == 0 { // it was opened before anybody asked for it, or whoever did has left
		c.worker.loop.SetTimer(&c.timer, h2IdleTime)
		return
	}
	c.codec.Each(func(stream *h2.Stream) {
		k := stream.Owner.(*callH2)
		k.x.connectedBy(k)
	})
}

// Data works through the frames that have come.
func (c *clientH2) Data(conn *event.Conn) {
	c.lastRead = c.worker.loop.Now()
	c.worker.loop.StopTimer(&c.doubt) // it lives
	for range framesPerTurn {
		ev, n, err := c.codec.Next(conn.Unread())
		if err != nil {
			c.broken(err)
			return
		}
		if n == 0 {
			return
		}
		conn.Consume(n)
		c.handle(&ev)
		if c.gone {
			return
		}
		c.control()
	}
	conn.Yield()
}

// broken ends the connection for a rule that the node has broken.
func (c *clientH2) broken(err error) {
	c.fail(func(*callH2) *fault.Error {
		return fault.New("read response", fault.Upstream, fault.UpstreamProtocol, err)
	})
}

func (c *clientH2) handle(ev *h2.Event) {
	switch ev.Kind {
	case h2.EventHead:
		ev.Stream.Owner.(*callH2).head(ev.End)
	case h2.EventData:
		ev.Stream.Owner.(*callH2).data(ev.Data, ev.End)
	case h2.EventTrailer:
		ev.Stream.Owner.(*callH2).readTrailer()
	case h2.EventReset:
		ev.Stream.Owner.(*callH2).reset(ev)
	case h2.EventWindow:
		if ev.Stream != nil {
			c.want(&ev.Stream.Owner.(*callH2).outlet)
		}
		c.pump()
	case h2.EventSettings:
		c.codec.Each(func(stream *h2.Stream) { c.want(&stream.Owner.(*callH2).outlet) })
		c.pump()
		c.pool.streams = c.codec.PeerStreams()
		c.pool.serve()
	case h2.EventGoAway:
		c.goAway(ev)
	}
}

// goAway lets a connection end that its node wants to end: calls that the node has not looked at are made again (RFC 9113 §6.8).
func (c *clientH2) goAway(ev *h2.Event) {
	c.leave()
	last := ev.ID
	c.codec.Each(func(stream *h2.Stream) {
		if stream.ID > last {
			stream.Owner.(*callH2).refuse()
		}
	})
	if c.calls == 0 && !c.gone {
		c.close()
	}
}

// Drained tells that the node has caught up with what was written.
func (c *clientH2) Drained(*event.Conn) { c.pump() }

// EOF is the end of the node's side.
func (c *clientH2) EOF(*event.Conn) { c.lost(errNodeClosed) }

// Closed is the end of the connection.
func (c *clientH2) Closed(_ *event.Conn, err error) { c.lost(err) }

func (c *clientH2) lost(err error) {
	open := c.open
	c.fail(func(k *callH2) *fault.Error {
		e := fault.New("read response", fault.Upstream, fault.UpstreamReset, err)
		switch {
		case !open:
			return fault.New("connect", fault.Upstream, fault.UpstreamConnect, err).Retryable(fault.Always)
		case k.began:
			return e // part of an answer has been seen
		case !k.fresh:
			return e.Retryable(fault.IfReused)
		}
		return e.Retryable(fault.IfIdempotent)
	})
}

// suspect asks for a sign of life: a call was given up and nothing has come since it began. Without one, a node that has gone without a word would get call after
// call until the kernel gives up, a quarter of an hour later.
func (c *clientH2) suspect() {
	if c.gone || !c.open || c.doubt.Armed() {
		return
	}
	c.out.Commit(c.codec.AppendPing(c.out.Buffer(), 0))
	c.worker.loop.SetTimer(&c.doubt, h2SignOfLife)
}

// Expired is one of the timers.
func (c *clientH2) Expired(t *event.Timer) {
	switch {
	case t == &c.doubt && !c.open:
		c.lost(errConnectTimeout)
		return
	case t == &c.doubt:
		c.lost(errNoSign)
		return
	}
	if c.calls == 0 {
		c.close()
	}
}

var _ event.Handler = (*clientH2)(nil)
