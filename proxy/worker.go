package proxy

import (
	crand "crypto/rand"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	"sluice/codec"
	"sluice/core/event"
	"sluice/core/observe"
	"sluice/upstream"
)

// worker is what one event loop needs to proxy: everything in it is the loop's own.
type worker struct {
	server *Server
	index  int
	loop   *event.Loop
	stats  *observe.Worker
	random *rand.ChaCha8

	listeners   []listener
	oldest      *seat           // the other end of the list
	sessions    *seat           // list of all client connections that can have requests
	greetings   greetings       // those that cannot yet
	draining    bool            // nothing is accepted any more, and the process is to end
	handingOver bool            // the drain is in no hurry: see Server.HandOver
	drained     chan<- struct{} // hears that a drain has ended; nil otherwise

	// Objects that are used again.
	spareRequests   *event.Spares[*request]
	spareRequestsH2 *event.Spares[*requestH2]
	spareCalls      *event.Spares[*h1Call]
	spareCallsH2    *event.Spares[*callH2]
	poolsH2         map[*upstream.Node]*poolH2 // of nodes with connections over HTTP/2
	scratch         []byte                     // free for use within one call
	trailer         codec.Header               // of an answer that the gateway ends itself
	transformed     [2][]byte                  // what plugins make of a run of a body, in turns
	lines           []byte                     // a head as HTTP/2 decodes it, on its way to a buffer of its own
	frames          []byte                     // the frames of a large run of a body; nil until there was one
	answerText      []byte                     // the body of an answer of the gateway's own; apart from scratch, which the plugins that see its head may use

	// The clock on the wall, taken at most once a turn.
	wallAt   int64 // loop time
	wallTime time.Time
	dateText []byte // of the second in wallTime
	dateUnix int64
}

// scratchSize holds any path and any error body.
const scratchSize = 16 << 10

func newWorker(s *Server, index int, stats *observe.Worker) (*worker, error) {
	var seed [32]byte
	if _, err := crand.Read(seed[:]); err != nil {
		return nil, fmt.Errorf("proxy: seed: %w", err)
	}
	w := &worker{server: s, index: index, stats: stats, random: rand.NewChaCha8(seed), scratch: make([]byte, 0, scratchSize)}
	options := event.Options{
		NoRing: s.config.NoRing, NoPass: s.config.NoPass, Logger: s.logger, OnPanic: stats.Panic, AtEnd: w.stop, Now: s.config.now, Connect: s.config.connect,
	}
	if s.config.PinWorkers {
		options.CPU = s.cpus[index%len(s.cpus)] + 1
	}
	loop, err := event.NewLoop(options)
	if err != nil {
		return nil, err
	}
	w.loop = loop
	w.spareRequests, w.spareRequestsH2 = event.NewSpares[*request](loop), event.NewSpares[*requestH2](loop)
	w.spareCalls, w.spareCallsH2 = event.NewSpares[*h1Call](loop), event.NewSpares[*callH2](loop)
	return w, nil
}

// acceptor returns what takes the new client connections of a listener.
func (w *worker) acceptor(l *ListenerConfig) event.Accept {
	d := &door{tls: l.TLS, proxied: l.ProxyProtocol, redirect: l.RedirectHTTPS}
	return func(c *event.Conn, err error) event.Handler { return w.accept(c, err, d) }
}

// accept takes a new client connection.
func (w *worker) accept(c *event.Conn, err error, d *door) event.Handler {
	if err != nil {
		w.stats.AcceptError()
		if event.Exhausted(err) {
			w.shed(shedForDescriptors, observe.ShedDescriptors)
		}
		return nil
	}
	from := w.newClient(c.Remote(), d)
	if !w.admit(&from, d) {
		return nil
	}
	w.stats.ConnOpened()
	if d.tls || d.proxied {
		return w.greet(c, d, from)
	}
	return newSession(w, c, from)
}

// dial begins a call to node.
func (w *worker) dial(x *Exchange, node *upstream.Node, fresh bool) (call, error) {
	if x.route.GRPC || node.SpeaksHTTP2() {
		if x.upgrade == nil {
			return w.dialH2(x, node)
		}
		return w.dialUpgrade(x, node, fresh)
	}
	return w.dialH1(x, node, fresh)
}

// dialH1 begins a call over HTTP/1.1.
func (w *worker) dialH1(x *Exchange, node *upstream.Node, fresh bool) (call, error) {
	k, ok := w.spareCalls.Take()
	if !ok {
		k = new(h1Call)
	}
	conn, err := node.Acquire(w.index, w.loop, k, fresh)
	if err != nil {
		w.spareCalls.Put(k)
		return nil, err
	}
	x.spendRetry()
	k.start(x, conn)
	return k, nil
}

// wall returns the time on the wall in Unix nanoseconds.
func (w *worker) wall() int64 {
	if now := w.loop.Now(); now != w.wallAt {
		w.wallAt, w.wallTime = now, time.Now()
	}
	return w.wallTime.UnixNano()
}

// date returns the time for a Date field (RFC 9110 §5.6.7).
func (w *worker) date() []byte {
	if unix := w.wall() / int64(time.Second); unix != w.dateUnix {
		w.dateUnix = unix
		w.dateText = w.wallTime.UTC().AppendFormat(w.dateText[:0], "Mon, 02 Jan 2006 15:04:05 GMT")
	}
	return w.dateText
}

// newID returns an id for an exchange that has none: 128 random bits in hex. It is valid until the scratch is used again.
func (w *worker) newID() []byte {
	var bits [16]byte
	_, _ = w.random.Read(bits[:]) // never fails
	return hex.AppendEncode(w.scratch[:0], bits[:])
}
