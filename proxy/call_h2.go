package proxy

import (
	"sluice/codec"
	"sluice/codec/h2"
	"sluice/core/event"
	"sluice/internal/fault"
	"sluice/upstream"
)

// callH2 is one try at a node over HTTP/2: a stream on a connection that it shares. It is the worker's again once the answer is whole.
type callH2 struct {
	x *Exchange // nil: it waits for use
	outlet
	client *clientH2 // nil while it waits for a connection
	pool   *poolH2   // where it waits

	turn    uint32 // goes up with every use, so that who has called the exchange can tell whether the call is still the one it was
	known   bool   // sendHead was called
	fresh   bool   // the connection had not served before
	began   bool   // some of an answer has come
	refused bool   // the node has not looked at it
	moves   int    // to other connections
	started int64  // loop time

	protocol []byte // that a tunnel is asked for; nil = none is
	tunneled bool   // data are bytes of that

	held    bool // the client takes the answer slower than it comes
	owed    int  // bytes that have come while it was held, and were not given back to the window
	trailer codec.Header
}

// dialH2 begins a call to a node that speaks HTTP/2.
func (w *worker) dialH2(x *Exchange, node *upstream.Node) (call, error) {
	k, ok := w.spareCallsH2.Take()
	if !ok {
		k = new(callH2)
	}
	k.x, k.client, k.pool = x, nil, nil
	k.protocol, k.tunneled = x.upgrade, false
	k.turn++
	k.known, k.fresh, k.began, k.refused, k.held = false, true, false, false, false
	k.owed, k.moves = 0, 0
	k.started = w.loop.Now()
	k.outlet.reset(k, k)
	if err := w.poolOf(node).assign(k); err != nil {
		k.free(w)
		return nil, err
	}
	return k, nil
}

func (k *callH2) free(w *worker) {
	k.x, k.client, k.pool = nil, nil, nil
	w.spareCallsH2.Put(k)
}

// begin sends what a call that had to wait for its connection has been told meanwhile.
func (k *callH2) begin() {
	if k.x.call != call(k) && k.x.second != call(k) { // it has just been made, and is told yet
		return
	}
	c := k.client
	k.writeHead(&k.x.req)
	switch {
	case k.backlog.size > 0:
		c.behind++
		c.want(&k.outlet)
		c.pump()
	case k.ending:
		k.ending = false
		c.endSending(&k.outlet)
		k.sendEnded()
	case k.told:
		c.want(&k.outlet)
		c.pump()
	}
	if c.open {
		k.x.connectedBy(k)
	}
}

// The call as its exchange sees it.

func (k *callH2) sendHead(req *codec.Request) {
	k.known = true
	if k.client != nil {
		k.writeHead(req)
	}
}

func (k *callH2) writeHead(req *codec.Request) {
	c := k.client
	f := req.Framing
	if f.Kind == codec.BodyLength && req.Version != codec.HTTP2 {
		k.left = f.Length // no HTTP/1.1 request with a length has trailers
	}
	ended := !f.HasBody() && k.x.requestEnded && k.protocol == nil
	opts := h2.RequestOptions{Scheme: "http", Host: c.conn.Node().Address, Protocol: k.protocol, Trailers: k.x.trailersWelcome}
	if c.conn.Secured() {
		opts.Scheme = "https"
	}
	c.out.Commit(c.codec.AppendRequestHead(c.out.Buffer(), &k.stream, req, opts, ended))
}

func (k *callH2) sendBody(p []byte) {
	if k.client == nil {
		k.backlog.add(k.x.worker.loop, p)
		return
	}
	k.client.body(&k.outlet, p)
}

func (k *callH2) sendEnd(trailer *codec.Header) {
	if k.protocol != nil && !k.tunneled { // what may follow is of the other protocol
		return
	}
	if k.client == nil {
		if trailer != nil {
			k.keepTrailer(trailer)
		}
		k.ending = true
		return
	}
	if trailer != nil {
		k.client.trailer(&k.outlet, trailer)
	}
	k.client.endSending(&k.outlet)
}

func (k *callH2) congested() bool {
	if k.client == nil {
		k.told = k.backlog.size > 0
		return k.told
	}
	return k.client.congested(&k.outlet)
}

func (k *callH2) connected() bool { return k.client != nil && k.client.open }
func (k *callH2) reused() bool    { return !k.fresh || k.refused }
func (k *callH2) taken() uint64   { return k.sent }
func (k *callH2) hold()           { k.held = true }

// socket is none: a body goes in frames.
func (k *callH2) socket() *event.Conn { return nil }

func (k *callH2) want() {
	if k.held {
		k.held = false
		k.client.codec.CreditStream(&k.stream, k.owed)
		k.owed = 0
		k.client.control()
	}
}

// cancel gives the call up.
func (k *callH2) cancel() {
	w := k.x.worker
	c := k.client
	if c == nil {
		if k.pool != nil {
			k.pool.leave(k)
		}
		k.backlog.drop(w.loop)
		k.free(w)
		return
	}
	if !c.shut {
		c.out.Commit(c.codec.AppendReset(c.out.Buffer(), &k.stream, h2.Cancel))
	} else {
		c.codec.Forget(&k.stream)
	}
	silent := !k.began && !k.refused && c.lastRead <= k.started && w.loop.Now() > k.started
	c.drop(&k.outlet)
	k.free(w)
	if silent {
		c.suspect()
	}
	c.release()
}

// goOn tells the exchange that the node has caught up.
func (k *callH2) goOn() { k.x.drainedBy(k) }

// sendEnded is the end of the request behind what had to wait.
func (k *callH2) sendEnded() {
	if k.told {
		k.told = false
		k.x.drainedBy(k)
	}
}

// The call as its connection sees it.

// head takes the head of an answer.
func (k *callH2) head(ended bool) {
	x, c, turn := k.x, k.client, k.turn
	w := x.worker
	x.callBegan(k)
	k.began = true
	lines, err := c.codec.ReadResponse(w.lines, &k.stream, &x.resp, x.req.Method, ended, &responseLimits)
	w.lines = lines[:0]
	if k.refuseMessage("read response head", err) {
		return
	}
	if x.resp.Informational() {
		x.responseInformational()
		x.resp.Reset(nil)
		return
	}
	if k.protocol != nil && x.resp.Status >= 200 && x.resp.Status < 300 {
		k.switched(ended)
		return
	}
	ended = ended || !x.resp.Framing.HasBody()
	x.responseHead()
	if k.turn == turn && k.x == x && ended {
		k.end(nil)
	}
}

// refuseMessage ends the call, or the connection, for what the node has sent. It reports whether there was anything wrong.
func (k *callH2) refuseMessage(op string, err error) bool {
	if err == nil {
		return false
	}
	if h2.Broken(err) {
		k.client.broken(err)
		return true
	}
	k.failed(fault.New(op, fault.Upstream, fault.UpstreamProtocol, err))
	return true
}

// data takes a run of the answer's body.
func (k *callH2) data(p []byte, ended bool) {
	x, c, turn := k.x, k.client, k.turn
	c.codec.CreditConn(len(p))
	if len(p) > 0 {
		if k.tunneled {
			x.tunnelDown(p)
		} else {
			x.responseBody(p)
		}
		if k.turn != turn || k.x != x {
			return
		}
		if k.held {
			k.owed += len(p)
		} else {
			c.codec.CreditStream(&k.stream, len(p))
		}
	}
	switch {
	case ended && k.tunneled:
		x.tunnelDownEnd()
	case ended:
		k.end(nil)
	}
}

// readTrailer takes the fields behind the body.
func (k *callH2) readTrailer() {
	w := k.x.worker
	lines, err := k.client.codec.ReadTrailer(w.lines, &k.trailer, &responseLimits)
	w.lines = lines[:0]
	switch {
	case k.refuseMessage("read trailer", err):
	case k.tunneled: // its bytes have ended, and nobody could be told of fields
		k.x.tunnelDownEnd()
	default:
		k.end(&k.trailer)
	}
}

// end is the end of the answer. What the node has not been sent of the request it does not want any more.
func (k *callH2) end(trailer *codec.Header) {
	x, c, w := k.x, k.client, k.x.worker
	c.served = true
	c.out.Commit(c.codec.AppendReset(c.out.Buffer(), &k.stream, h2.Cancel))
	c.drop(&k.outlet)
	k.x, k.client = nil, nil
	x.responseEnd(trailer)
	k.free(w)
	c.release()
}

// reset is the end of a stream that the node gave up, or that has broken a rule.
func (k *callH2) reset(ev *h2.Event) {
	switch {
	case ev.Err != nil:
		k.failed(fault.New("read response", fault.Upstream, fault.UpstreamProtocol, ev.Err))
	case ev.Code == h2.NoError && k.tunneled && k.x.responseEnded: // it has said all, and wants to hear no more
		k.x.requestEnded = true
		k.x.finish(false)
	case ev.Code == h2.RefusedStream:
		k.refuse()
	case k.began:
		k.failed(fault.New("read response", fault.Upstream, fault.UpstreamReset, errNodeReset))
	default:
		k.failed(fault.New("read response", fault.Upstream, fault.UpstreamReset, errNodeReset).Retryable(fault.IfIdempotent))
	}
}

// movesMost is how often a call that its node has refused is given to another connection before it counts as failed.
const movesMost = 5

// refuse is for a request that the node has not looked at (RFC 9113 §8.7): it moves to another connection, which is no other try. Where that cannot be, since the body has
// outgrown what is kept of it, or has been too often, the exchange decides. A node that has begun to answer has looked at it.
func (k *callH2) refuse() {
	if k.began {
		k.failed(fault.New("read response", fault.Upstream, fault.UpstreamReset, errNodeReset))
		return
	}
	if k.moves < movesMost && !k.x.replayLost {
		k.move()
		return
	}
	k.refused = true
	k.failed(fault.New("read response", fault.Upstream, fault.UpstreamReset, errRefused).Retryable(fault.Always))
}

func (k *callH2) move() {
	x, c := k.x, k.client
	c.codec.Forget(&k.stream)
	c.drop(&k.outlet)
	told := k.told
	k.outlet.reset(k, k)
	k.told = told // the client's body waits for it
	k.client = nil
	k.moves++
	if len(x.replay) > 0 {
		k.sendBody(x.replay)
	}
	if x.requestEnded {
		k.sendEnd(x.trailer)
	}
	err := c.pool.assign(k)
	if c.pool.mayWait(err) {
		err = c.pool.lineUp(k)
	}
	switch {
	case err != nil:
		k.failed(x.worker.dialFault(c.pool.node, err))
	case k.client == nil && !k.hedges():
		x.await(waitConnect) // as long as any other, and not for an answer
	}
	c.release()
}

// hedges reports whether the call is a second one, beside another of its exchange.
func (k *callH2) hedges() bool { return k.x.call != nil && k.x.call != call(k) }

// mayWait counts the exchange as one that waits for a connection to the pool's node, or for a stream on one, and reports false where no more may.
func (k *callH2) mayWait(p *poolH2) bool { return k.x.pending.Enter(k.x.service, p.node) }

// crowded reports whether the call waits for what others have, and not for its node.
func (k *callH2) crowded() bool { return k.pool != nil && !k.pool.owes(k.x.waitStart) }

// failed tells the exchange, which gives the call up.
func (k *callH2) failed(e *fault.Error) { k.x.callLost(k, e) }

var (
	_ call   = (*callH2)(nil)
	_ source = (*callH2)(nil)
)
