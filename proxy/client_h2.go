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

	calls   int               // under way
	used    bool              // some call was put on it
	served  bool              // some call has been answered
	service *upstream.Service // of the latest call, or that it was opened for
	open    bool              // the connection is there
	leaving bool              // it takes no more calls
	gone    bool

	timer    event.Timer // for the node's settings, while calls wait to hear of them and none is under way
	doubt    event.Timer // for a sign of life, once a call has got none
	begun    int64       // loop time
	lastRead int64       // loop time at which something has come
}

const (
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

// dial begins a connection, as a service asks for, which has that long to be established.
func (p *poolH2) dial(s *upstream.Service, bound time.Duration) (*clientH2, error) {
	w := p.worker
	c := &clientH2{mux: mux{worker: w}, pool: p, service: s, begun: w.loop.Now(), lastRead: w.loop.Now()}
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
	p.conns++
	w.poolsH2[p.node] = p // it may have been forgotten while its last connection ended
	return c, nil
}

// take puts a call on the connection. What it has to say already is sent. One that has served as much as the service lets it leaves with the call.
func (c *clientH2) take(k *callH2) {
	k.client, k.fresh = c, !c.served
	k.x.spendRetry()
	c.used = true
	c.calls++
	c.service = k.x.service
	c.worker.loop.StopTimer(&c.timer)
	c.codec.OpenNext(&k.stream)
	if c.conn.Spend(c.service) || c.codec.LastIdentifier() {
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
		c.rest()
	}
	c.pool.serve()
}

// rest keeps the connection for the next call, for as long as the service says: retire ends it then.
func (c *clientH2) rest() {
	c.worker.loop.StopTimer(&c.timer)
	if c.leaving || !c.conn.Rest(c.service, c.pool.resting()-1) {
		c.close()
	}
}

// restUnused lets a connection rest that no call has been put on yet.
func (c *clientH2) restUnused() {
	if !c.used && !c.gone {
		c.rest()
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

// end notes that the connection is over.
func (c *clientH2) end() {
	c.leave()
	c.gone = true
	c.pool.conns--
}

// retire is for a node that goes out: what is under way ends as it would.
func (c *clientH2) retire() {
	c.leave()
	if c.calls == 0 {
		c.close()
	}
	c.pool.serve()
}

// close ends the connection, on which nothing is under way any more. One that was never used, or whose place is waited for, makes room at once.
func (c *clientH2) close() {
	if c.gone {
		return
	}
	c.end()
	if !c.shut && c.open {
		c.out.Commit(c.codec.AppendGoAway(c.out.Buffer(), h2.NoError, false))
	}
	c.shut = true
	c.worker.loop.DropTimer(&c.timer)
	c.worker.loop.DropTimer(&c.doubt)
	if wanted := len(c.pool.waiting)+len(c.pool.asking) > 0; c.open && c.used && !wanted && !c.conn.IsClosed() {
		c.conn.CloseWhenSent()
	} else {
		c.conn.Discard()
	}
	c.pool.serve()
}

// fail ends the connection and every call on it.
func (c *clientH2) fail(e func(k *callH2) *fault.Error) {
	c.end()
	c.shut = true
	c.codec.Each(func(stream *h2.Stream) {
		k := stream.Owner.(*callH2)
		k.failed(e(k))
	})
	if !c.codec.Settled() && len(c.pool.clients) == 0 { // else there is one to hear of yet, or with tunnels on it
		c.pool.failAsking(e)
	}
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
	if c.calls == 0 && len(c.pool.asking) > 0 { // they wait to hear what it takes, see hear
		c.worker.loop.SetTimer(&c.timer, upstream.DefaultIdleTimeout)
		return
	}
	c.restUnused() // it was opened before anybody asked for it, or whoever did has left
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
			c.pumpOpened()
			return
		}
		conn.Consume(n)
		c.handle(&ev)
		if c.gone {
			return
		}
		c.control()
	}
	if c.pumpOpened(); !c.gone {
		conn.Yield()
	}
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
		if ev.Stream == nil {
			c.windowOpened(nil)
		} else {
			c.windowOpened(&ev.Stream.Owner.(*callH2).outlet)
		}
	case h2.EventSettings:
		c.control() // as a client is told, see sessionH2
		c.codec.Each(func(stream *h2.Stream) { c.want(&stream.Owner.(*callH2).outlet) })
		c.pump()
		c.pool.hear(c)
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
	c.pool.serve() // there may be one more connection
}

// Drained tells that the node has caught up with what was written.
func (c *clientH2) Drained(*event.Conn) { c.pump() }

// EOF is the end of the node's side.
func (c *clientH2) EOF(*event.Conn) {
	if c.calls == 0 && c.served {
		c.conn.ClosedAtRest()
	}
	c.lost(errNodeClosed)
}

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
