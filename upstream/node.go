package upstream

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"sluice/core/event"
	"sluice/core/tlsconn"
)

// Node is one running instance of a service. It is known by service and address, so it outlives the snapshots that name it: its
// connections and counts stay when a route or another node changes.
type Node struct {
	Service string
	Address string // host:port as it was registered

	identity string                  // names it within its service
	id       uint64                  // the same as a number; never 0
	addr     netip.AddrPort          // where it is
	tls      atomic.Pointer[nodeTLS] // how it is reached; nil = in plain text
	http2    atomic.Bool             // what it speaks
	owner    *serviceState
	conns    atomic.Int64 // open connections of all workers
	pending  atomic.Int64 // connections that are being established, where they are counted
	retrying atomic.Int64 // tries that are not the first of their exchanges, where they are counted
	retired  atomic.Bool  // no longer named by any snapshot; pools keep nothing of it
	pools    []pool       // by worker
	load     load

	// Health.
	health      atomic.Uint32 // 0 = it is in; see health.go
	failures    atomic.Int32  // failed tries in a row
	silentSince atomic.Int64  // loop time of the first try that another has outrun, since an answer; 0 = none was

	// Guarded by the service's mu.
	round      uint64    // of assemble, which made it a member last
	weight     int       // as of then
	carried    int       // the last weight that was not 0
	since      time.Time // when it came in; zero = it was there from the beginning
	why        string    // of the latest flip
	checker    *checker  // nil = it is not probed
	ejections  int       // in a row, each soon after the one before
	ejectedFor Failure
	ejectedAt  time.Time // the latest time
	term       int       // counts the ends that were set for ejections: the latest counts
	returned   time.Time // from the latest ejection
	swept      [3]uint64 // what sinceSweep has returned so far
	warm       warmAsked // what the workers were told last
}

// load is what a node has to carry, counted by all workers where the service asks for it.
type load struct {
	_       [linePad]byte // what is written with every request shares no cache line with what is only read
	active  atomic.Int64  // exchanges in flight
	latency latency
	_       [linePad]byte
}

// linePad keeps a neighbour off a cache line.
const linePad = 64

// NodeSpec is a node as discovery or a service's configuration names it.
type NodeSpec struct {
	Upstream string // host:port
	Weight   int    // 0 drains
	Metadata map[string]string
}

// The metadata that balancing reads.
const (
	metaZone     = "zone"     // where the node is; nodes of the gateway's own zone are preferred
	metaPriority = "priority" // its tier, a whole number from 0, the default, to MaxPriority
)

// MaxPriority is the last tier that a node may stand in.
const MaxPriority = 100

// tier returns the tier that the metadata names; the value has been validated.
func (s *NodeSpec) tier() int {
	text := s.Metadata[metaPriority]
	if text == "" { // of most; an error for each of thousands would not be free
		return 0
	}
	n, _ := strconv.Atoi(text)
	return n
}

// In reports whether the node is well, as far as is known. Any goroutine may call it.
func (n *Node) In() bool { return !n.out() }

// ID names the node in cookies: a number that tells nothing of its address.
func (n *Node) ID() uint64 { return n.id }

// SpeaksHTTP2 reports whether the node speaks HTTP/2, as the latest configuration of its service says: who is picked may be of a later one than the snapshot that a request began with. Any
// goroutine may call it.
func (n *Node) SpeaksHTTP2() bool { return n.http2.Load() }

// Conns returns the number of open connections to the node, of all workers. Any goroutine may call it.
func (n *Node) Conns() int { return int(n.conns.Load()) }

// Acquire returns an idle connection of that worker, or begins a new one on its loop; fresh asks for a new one whatever the pool holds. h is the
// owner until Release or Discard. Where there may be no more connections, one of the same worker that rests is given up for it. A new connection is not established yet: h hears Opened, once TLS has shaken hands too, or Closed.
func (n *Node) Acquire(worker int, loop *event.Loop, h event.Handler, fresh bool) (*Conn, error) {
	p := &n.pools[worker]
	if !fresh {
		if c := p.take(); c != nil {
			c.Reused = true
			p.stats.UpstreamReused()
			c.SetHandler(h)
			c.Resume()
			return c, nil
		}
	}
	c, err := n.dialHTTP1(worker, loop, h)
	if err == ErrFull && p.giveUp() {
		c, err = n.dialHTTP1(worker, loop, h)
	}
	return c, err
}

// dialHTTP1 begins a connection for one exchange at a time.
func (n *Node) dialHTTP1(worker int, loop *event.Loop, h event.Handler) (*Conn, error) {
	var config *tls.Config
	now := n.tls.Load()
	if now != nil {
		config = now.config
	}
	return n.dial(worker, loop, h, now, config)
}

// DialHTTP2 begins a connection that is to speak HTTP/2: over TLS it offers nothing else, see [Conn.SpeaksHTTP2]. It is h's until Discard or CloseWhenSent, and h
// hears Opened or Closed.
func (n *Node) DialHTTP2(worker int, loop *event.Loop, h event.Handler) (*Conn, error) {
	var config *tls.Config
	now := n.tls.Load()
	if now != nil {
		config = now.http2
	}
	c, err := n.dial(worker, loop, h, now, config)
	if err == ErrFull && n.pools[worker].giveUp() {
		c, err = n.dial(worker, loop, h, now, config)
	}
	return c, err
}

// dial begins a new connection, or returns [ErrFull].
func (n *Node) dial(worker int, loop *event.Loop, h event.Handler, now *nodeTLS, config *tls.Config) (*Conn, error) {
	if !n.addConn() {
		return nil, ErrFull
	}
	c := &Conn{node: n, pool: &n.pools[worker], tls: now, born: loop.Now()}
	ev, err := loop.Dial(n.addr, h)
	if err != nil {
		n.dropConn()
		return nil, err
	}
	if config != nil {
		c.layer = tlsconn.Client(ev, config)
	}
	c.Conn = ev
	c.timer.Owner = c
	return c, nil
}

// Idle reports whether that worker has a connection to the node that can take one more exchange, as far as the pool knows: of those that carry several at once their owner
// knows better.
func (n *Node) Idle(worker int) bool {
	return len(n.pools[worker].idle) > 0 || len(n.pools[worker].shared) > 0
}

// retire closes the idle connections of one worker, on its loop.
func (n *Node) retire(worker int) {
	p := &n.pools[worker]
	p.chill()
	for len(p.idle) > 0 {
		p.idle[len(p.idle)-1].Discard()
	}
	for _, c := range slices.Clone(p.shared) { // retire may take it out
		c.retire()
	}
}
