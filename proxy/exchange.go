package proxy

import (
	"net/netip"
	"time"

	"sluice/codec"
	"sluice/core/event"
	"sluice/core/observe"
	"sluice/internal/fault"
	"sluice/plugin"
	"sluice/router"
	"sluice/upstream"
)

// Exchange is one request and its response. It knows neither protocol: the client's side is a [downstream], the node's a [call], and what
// passes between them is heads, runs of body, trailers and ends. It belongs to one worker, and is used again once it is over.
//
//	            begin                     responseHead          responseEnd
//	routing ───────────► trying ◄──┐ ───────────────► relaying ─────────────► over
//	   │                   │       │                     │
//	   │ no route, plugin  │ failed, may be              │ failed: cut the answer
//	   │ answers           └───────┘ tried again         │ so that the client can tell
//	   └──────────────────────► answering ◄── failed ────┴──────────────────► over
//
// Where a plugin has put another body in the place of the node's, dropping stands for relaying. A node that switches protocols leads from trying to a tunnel, and from there to over.
//
// Every path ends in finish, exactly once.
type Exchange struct {
	worker *worker
	down   downstream
	client *client
	set    *settings

	// The heads.
	req  codec.Request
	resp codec.Response

	// What was decided.
	snapshot *Snapshot
	route    *Route
	service  *upstream.Service
	query    router.Query // here, and not on the stack, because Facts would make it escape
	match    router.Match[*Route]
	clientIP netip.Addr
	path     []byte // normalized; valid while the route is looked for

	// The tries.
	call    call // nil while no node is asked
	node    *upstream.Node
	try     upstream.Try // at node
	key     uint64       // of the request, that its node is found by; see findKeys
	sticky  uint64       // the node that the client's cookie names; 0 = none
	tried   [maxTried]*upstream.Node
	tries   int
	stale   bool // the connection of the try that failed last had served before
	trails  bool // whether the try was good is said behind the body of the answer: it is a call of gRPC
	waiting wait
	timer   event.Timer
	mark    uint64 // what the node had taken of the request when the wait for it to take more began
	replay  []byte // the request body so far, for another try; borrowed, nil when there is none
	held    bool   // the request body was stopped while nobody was asked
	entered bool   // service.Enter was called

	// What it waits for or is bounded by, beside the timer.
	deadline  event.Timer      // of the whole exchange
	total     time.Duration    // that the service gives the exchange; 0 = any, or its client asked for less
	tryEnd    int64            // loop time at which the try under way has taken too long; 0 = it may
	pending   upstream.Pending // while a connection is waited for
	waiter    upstream.Waiter  // while room is
	roomUntil int64            // loop time up to which room is waited for, however often it comes and goes; 0 = it never was
	grant     upstream.Grant   // of the budget, for a try beyond the first that is yet to be made
	retrying  bool             // service.EnterRetry was called

	// A second try beside the first.
	hedge      event.Timer // until it is made
	second     call        // nil while there is none
	secondNode *upstream.Node
	secondTry  upstream.Try

	// How far it has come.
	state           state
	trailer         *codec.Header // of the request, for another try; nil without
	requestEnded    bool          // the client has sent all
	responseEnded   bool          // of a tunnel: the node has sent all
	replaced        bool          // the body of the answer is substitute, by the word of a plugin or since the gateway itself answers
	substitute      []byte        // not the exchange's
	rest            int           // bytes of the node's body that are still read and thrown away
	kept            []kept        // by plugins, in keptBytes
	keptBytes       []byte
	transformers    []plugin.Transformer // of bodies, in the order of the request; nearly always none
	trailersWelcome bool                 // the client takes trailers
	upgrade         []byte               // the protocol that the client asks to switch to; nil for none
	replayLost      bool                 // the body has outgrown the replay buffer
	failed          *fault.Error

	// For the record.
	asked       asked
	status      int             // of the final head that was sent to the client; 0 while none was
	result      observe.Outcome // of the try, once its head has come
	start       int64           // loop time
	startWall   int64
	tryStart    int64 // loop time of the latest try
	waitStart   int64 // loop time at which what waiting says began
	readTime    int64 // until the head of the request was whole
	connectTime int64
	headTime    int64
	bytesIn     int64
	bytesOut    int64
	idLen       int
	id          [maxRequestID]byte
}

// asked is the request as the client sent it: plugins change the head that goes upstream. The slices are valid as long as the request's own bytes.
type asked struct {
	method, target, host, userAgent, referer []byte
}

const (
	maxTried     = 10  // upstream.Config allows no more attempts
	maxRequestID = 128 // bytes; longer ids are cut
)

// state is how far an exchange has come.
type state uint8

const (
	stateRouting   state = iota // no node has been asked
	stateTrying                 // a node has been asked and nothing of its final answer has come
	stateRelaying               // the answer's head is on its way to the client
	stateDropping               // the client has its answer, with another body than the node's, of which a rest is on its way
	stateTunnel                 // bytes of another protocol pass both ways
	stateAnswering              // the gateway itself answers
	stateOver                   // finished
)

// wait is what the exchange's timer stands for.
type wait uint8

const (
	waitNothing wait = iota
	waitConnect
	waitSend // for a node that takes the request slower than it comes
	waitHead
	waitBody
	waitRest    // for the end of a body that nobody gets
	waitTunnel  // for either side to say anything
	waitRoom    // for some node to have room
	waitBackoff // for the moment of the next try
)

// reset prepares an exchange for a request that begins now.
func (x *Exchange) reset(w *worker, down downstream, c *client) {
	x.worker, x.down, x.client = w, down, c
	x.req.Reset(nil)
	x.resp.Reset(nil)
	x.snapshot, x.route, x.service = nil, nil, nil
	x.call, x.node = nil, nil
	x.tries, x.stale, x.trails = 0, false, false
	x.roomUntil = 0
	x.waiting = waitNothing
	x.timer.Owner, x.deadline.Owner, x.hedge.Owner, x.waiter.Owner = x, x, x, x
	x.entered, x.held = false, false
	x.tryEnd, x.total = 0, 0
	x.state = stateRouting
	x.requestEnded, x.responseEnded, x.replayLost = false, false, false
	x.replaced = false
	x.failed, x.trailer = nil, nil
	x.status = 0
	x.start, x.startWall = w.loop.Now(), w.wall()
	x.readTime, x.connectTime, x.headTime, x.bytesIn, x.bytesOut = 0, 0, 0, 0, 0
	x.idLen = 0
	x.clientIP = c.addr.Addr()
}

// downDrained tells that the client's side, which was congested, no longer is.
func (x *Exchange) downDrained() {
	if x.call != nil {
		x.call.want()
		switch x.state {
		case stateRelaying:
			x.await(waitBody)
		case stateTunnel:
			x.await(waitTunnel)
		}
	}
}

// callDrained tells that the node's side, which was congested, no longer is.
func (x *Exchange) callDrained() {
	slow := x.waiting == waitSend
	if slow {
		x.awaitNothing()
	}
	switch {
	case !x.requestEnded:
		x.down.wantBody()
	case x.state == stateTunnel && x.responseEnded:
		x.tunnelEnded()
	case slow:
		x.awaitHead()
	}
}

// fail ends the exchange with an error: as an answer when none has begun, else by cutting the one that has.
func (x *Exchange) fail(e *fault.Error) {
	if x.state == stateDropping && e.Side != fault.Downstream { // the client has its answer
		if x.call != nil { // and the node's was none the worse: nobody has counted it
			x.endDropping()
		} else {
			x.finish(false)
		}
		return
	}
	x.failed = e
	x.dropCall()
	if x.state < stateRelaying && e.Kind.Status != 0 {
		x.answer(e)
		return
	}
	if !x.trailGRPC(e) {
		x.finish(true)
	}
}

// dropCall gives up the try that is under way.
func (x *Exchange) dropCall() {
	x.try.End()
	if x.call != nil {
		x.call.cancel()
		x.call = nil
	}
	if x.second != nil {
		x.dropSecond()
	}
}

// leave gives back what the exchange was counted for at its service.
func (x *Exchange) leave() {
	x.pending.Leave()
	x.waiter.Cancel()
	x.grant.Return(x.worker.loop.Now())
	if x.retrying {
		x.service.LeaveRetry()
		x.retrying = false
	}
	if x.entered {
		x.service.Leave()
		x.entered = false
	}
}

// finish ends the exchange: everything it holds is given back and it is recorded. The last thing it does is to hand itself over.
func (x *Exchange) finish(cut bool) {
	x.endTunnel()
	x.state = stateOver
	x.dropTransformers()
	x.forget()
	x.dropCall()
	x.worker.loop.DropTimer(&x.timer)
	x.worker.loop.DropTimer(&x.deadline)
	x.worker.loop.DropTimer(&x.hedge)
	x.dropReplay()
	x.leave()
	x.record()
	for i := range x.tried {
		x.tried[i] = nil
	}
	x.snapshot, x.route, x.service, x.node = nil, nil, nil, nil
	x.match.Rule = nil // or an exchange that waits for use would keep a chain that is to be closed
	x.asked = asked{}
	x.substitute = nil
	x.down.done(cut)
}
