package observe

import "sync/atomic"

// linePad keeps a neighbour off the lines of a counter: two lines, since processors fetch them in pairs.
const linePad = 128

// Worker is what one worker counts. All methods belong to that worker's loop: they take no lock, make no system call, and
// allocate only as [Worker.Finish] says. Readers are elsewhere, so the counters are atomic; having one writer, they cost
// no more than an addition in the processor's own cache.
type Worker struct {
	_ [linePad]byte

	registry *Registry
	index    int
	log      atomic.Pointer[lineLog] // nil = off

	counts workerCounts
	flags  flagCounts

	_ [linePad]byte
}

// workerCounts are the counters of one worker that are neither of a route nor of a service.
type workerCounts struct {
	bytesIn       atomic.Uint64
	bytesOut      atomic.Uint64
	connOpened    atomic.Uint64
	connClosed    atomic.Uint64
	upOpened      atomic.Uint64
	upClosed      atomic.Uint64
	upReused      atomic.Uint64
	retries       atomic.Uint64
	hedges        atomic.Uint64
	acceptErrors  atomic.Uint64
	noPort        atomic.Uint64
	panics        atomic.Uint64
	connsRefused  [refusals]atomic.Uint64
	connsShed     [sheds]atomic.Uint64
	tunnelsOpened atomic.Uint64
	tunnelsClosed atomic.Uint64
	proxyRefused  atomic.Uint64
	handshakes    [handshakes]atomic.Uint64
}

// Finish counts an exchange that has ended and writes its line to the access log, if there is one. It never blocks. It
// allocates nothing, but for the first request that a route sees in this worker and for a log line longer than any before.
func (w *Worker) Finish(rec *Record) {
	rt := rec.Route
	if rt == nil {
		rt = w.registry.unmatched
	}
	w.statsOf(rt).add(rec.Status, rec.Duration)
	if rec.BytesIn > 0 {
		w.counts.bytesIn.Add(uint64(rec.BytesIn))
	}
	if rec.BytesOut > 0 {
		w.counts.bytesOut.Add(uint64(rec.BytesOut))
	}
	if rec.Flag != "" {
		w.flags.add(rec.Flag)
	}
	if log := w.log.Load(); log != nil {
		log.write(rec)
	}
}

// ConnOpened counts a connection accepted from a client.
func (w *Worker) ConnOpened() { w.counts.connOpened.Add(1) }

// ConnClosed counts the end of a connection that ConnOpened counted.
func (w *Worker) ConnClosed() { w.counts.connClosed.Add(1) }

// ConnRefused counts a connection that was accepted and closed at once.
func (w *Worker) ConnRefused(why Refusal) { w.counts.connsRefused[why].Add(1) }

// ConnShed counts a connection that was idle and closed before its time.
func (w *Worker) ConnShed(why Shed) { w.counts.connsShed[why].Add(1) }

// AcceptError counts an accept that failed, such as for want of descriptors.
func (w *Worker) AcceptError() { w.counts.acceptErrors.Add(1) }

// NoPort counts a connection to a node that could not be made for want of a local port.
func (w *Worker) NoPort() { w.counts.noPort.Add(1) }

// UpstreamOpened counts a connection established to a node.
func (w *Worker) UpstreamOpened() { w.counts.upOpened.Add(1) }

// UpstreamClosed counts the end of a connection that UpstreamOpened counted.
func (w *Worker) UpstreamClosed() { w.counts.upClosed.Add(1) }

// UpstreamReused counts an exchange that was given a connection which had served before.
func (w *Worker) UpstreamReused() { w.counts.upReused.Add(1) }

// Retry counts one attempt beyond the first.
func (w *Worker) Retry() { w.counts.retries.Add(1) }

// Hedge counts a second try that was made while the first was still waited for.
func (w *Worker) Hedge() { w.counts.hedges.Add(1) }

// Panic counts a panic that the loop survived.
func (w *Worker) Panic() { w.counts.panics.Add(1) }

// ProxyHeaderRefused counts a connection that did not begin with a PROXY header, though it had to.
func (w *Worker) ProxyHeaderRefused() { w.counts.proxyRefused.Add(1) }

// Handshake counts the end of a client's TLS handshake.
func (w *Worker) Handshake(h Handshake) { w.counts.handshakes[h].Add(1) }

// TunnelOpened counts an exchange that became a tunnel (101 or CONNECT).
func (w *Worker) TunnelOpened() { w.counts.tunnelsOpened.Add(1) }

// TunnelClosed counts the end of a tunnel that TunnelOpened counted.
func (w *Worker) TunnelClosed() { w.counts.tunnelsClosed.Add(1) }

// Refusal is why a client's connection was closed at once.
type Refusal uint8

// The refusals.
const (
	RefusedConnections Refusal = iota // limits.connections
	RefusedPerClient                  // limits.connections_per_client
	RefusedMemory                     // limits.memory

	refusals = iota
)

func (r Refusal) String() string {
	return [...]string{"connections", "connections_per_client", "memory"}[r]
}

// Shed is what was wanting when an idle connection was closed before its time.
type Shed uint8

// The reasons to shed.
const (
	ShedDescriptors Shed = iota
	ShedMemory

	sheds = iota
)

func (s Shed) String() string { return [...]string{"descriptors", "memory"}[s] }
