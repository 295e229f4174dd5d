package upstream

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"sluice/core/event"
	"sluice/core/observe"
	"sluice/core/tlsconn"
)

// pool is the idle connections of one worker to one node, the latest used last: the top of the stack is the warmest, and the ones at the
// bottom run into the idle timeout when the load goes down.
type pool struct {
	idle   []*Conn // owned by the worker's loop
	shared []*Conn // that carry several exchanges at once; owned by who called Share
	worker int
	stats  *observe.Worker // of the worker
	closes closes
	seen   seen
	warm   *warmth // nil = it is as it comes
	_      [8]byte // two workers' pools never share a cache line
}

// Conn is one connection to a node. Its owner is the exchange that acquired it or, while it is idle, its pool. Loop only.
type Conn struct {
	*event.Conn
	Reused bool // it has served before, so its end may be a race with the node's own idle timeout

	node      *Node
	pool      *pool
	tls       *nodeTLS      // that it was made with; nil = none
	timer     event.Timer   // idle timeout; once it is given up, for its last bytes
	idleLimit time.Duration // what the node said it keeps an idle connection for; 0 = nothing
	idleSince int64         // loop time
	born      int64         // loop time
	served    int           // requests
	idle      bool
	gone      bool
	open      bool          // it was established, and is counted as such
	retire    func()        // of a shared one
	warming   *warmth       // that it is being opened for; nil = an exchange waits for it, or it is there
	resting   bool          // a shared one: no exchange is under way
	layer     *tlsconn.Conn // nil = plain text
}

// Node returns the node at the other end.
func (c *Conn) Node() *Node { return c.node }

// Established tells that a connection that Acquire began is there.
func (c *Conn) Established() {
	c.open = true
	c.pool.stats.UpstreamOpened()
}

// Share notes that the connection carries several exchanges at once: its owner keeps it, and never releases it. retire is called on the loop when the node goes
// out.
func (c *Conn) Share(retire func()) {
	c.retire = retire
	c.pool.shared = append(c.pool.shared, c)
}

// Unshare notes that a shared connection takes no more exchanges: it ends with those it has.
func (c *Conn) Unshare() {
	if i := slices.Index(c.pool.shared, c); i >= 0 {
		c.pool.shared = slices.Delete(c.pool.shared, i, i+1)
		c.pool.cooled(!c.open || time.Duration(c.Loop().Now()-c.born) < longRest)
	}
}

// Current reports whether a shared connection may be given more exchanges: its node is still reached as it was when the connection was made.
func (c *Conn) Current() bool { return c.tls == c.node.tls.Load() && !c.node.retired.Load() }

// Secured reports whether the connection is over TLS.
func (c *Conn) Secured() bool { return c.layer != nil }

// SpeaksHTTP2 reports whether the node has agreed to speak HTTP/2, once the connection is there: in plain text nobody asks.
func (c *Conn) SpeaksHTTP2() bool {
	return c.layer == nil || c.layer.State().NegotiatedProtocol == "h2"
}

// Spend counts one more exchange on a shared connection, and reports whether the service lets it have no other.
func (c *Conn) Spend(s *Service) bool {
	if c.served > 0 {
		c.pool.stats.UpstreamReused()
	}
	c.served++
	c.resting = false
	if c.timer.Armed() { // see fit
		c.Loop().StopTimer(&c.timer)
	}
	return s.pool.maxRequests > 0 && c.served >= s.pool.maxRequests
}

// Aged reports whether the connection is too old to be given another exchange.
func (c *Conn) Aged(s *Service) bool {
	return s.pool.maxAge > 0 && time.Duration(c.Loop().Now()-c.born) >= s.pool.maxAge
}

// Rest lets a shared connection rest on which no exchange is under way, beside that many others of its worker. Its owner is told to retire it once it has rested for as long as it may, by
// what its service says then. Rest reports false where it may not rest at all.
func (c *Conn) Rest(s *Service, others int) bool {
	d := c.idleTime(s)
	if d <= 0 || others >= s.pool.maxIdle || c.wantedElsewhere() || c.node.surplus() {
		return false
	}
	c.resting = true
	c.idleSince = c.Loop().Now()
	c.Loop().SetTimer(&c.timer, d)
	return true
}

// ClosedAtRest notes that the node has ended a shared connection on which no exchange was under way.
func (c *Conn) ClosedAtRest() {
	now := c.Loop().Now()
	c.pool.closes.note(time.Duration(now-c.idleSince), now)
}

// giveUp closes the connection that has rested longest, and reports whether there is one.
func (p *pool) giveUp() bool {
	if len(p.idle) > 0 {
		p.idle[0].Discard()
		return true
	}
	for _, c := range p.shared {
		if c.resting {
			c.retire()
			c.Discard() // its place is wanted now, and nobody waits for what its owner may have said at last
			return true
		}
	}
	return false
}

// fit brings what rests in the pool in line with what its service says by now: whatever may not rest on is closed, and the rest does for as long as one that comes to rest today.
func (p *pool) fit(s *Service) {
	for surplus := len(p.idle) - s.pool.maxIdle; surplus > 0; surplus-- {
		p.idle[0].Discard()
	}
	for _, c := range slices.Clone(p.idle) {
		c.fit(s)
	}
	resting := slices.DeleteFunc(slices.Clone(p.shared), func(c *Conn) bool { return !c.resting })
	slices.SortFunc(resting, func(a, b *Conn) int { return cmp.Compare(a.idleSince, b.idleSince) })
	for i, c := range resting {
		switch {
		case !c.resting: // it ended, or was taken, when one before it ended
		case i < len(resting)-s.pool.maxIdle:
			c.retire()
		default:
			c.fit(s)
		}
	}
}

// fit is that of one connection.
func (c *Conn) fit(s *Service) {
	left := c.idleTime(s) - time.Duration(c.Loop().Now()-c.idleSince)
	if left > 0 && !c.wornOut(s) && !c.node.surplus() {
		c.Loop().SetTimer(&c.timer, left)
		return
	}
	if c.retire != nil {
		c.retire()
	} else {
		c.Discard()
	}
}

// fitPools has every worker do so with its pools of all nodes. The caller holds s.mu.
func (s *serviceState) fitPools() {
	view := s.view
	nodes := slices.Collect(maps.Values(s.nodes))
	for i, w := range s.registry.workers {
		w.Post(func() {
			for _, n := range nodes {
				n.pools[i].fit(view)
			}
		})
	}
}

// take returns the connection used last that is still good, or nil.
func (p *pool) take() *Conn {
	for last := len(p.idle) - 1; last >= 0; last = len(p.idle) - 1 {
		c := p.idle[last]
		p.idle[last] = nil
		p.idle = p.idle[:last]
		c.idle = false
		c.Loop().StopTimer(&c.timer)
		p.cooled(false)
		if c.tls == c.node.tls.Load() && c.stillGood() {
			return c
		}
		c.Discard()
	}
	return nil
}

// longRest is when a connection has rested for so long that the node may have ended it in this moment: no idle timeout is shorter, and one that is busy is not
// asked about.
const longRest = time.Second

// stillGood reports whether the node has not ended the connection, as far as can be known: after a long rest the kernel is asked, since what it has to tell may
// stand in the same batch of events behind the request that is to be sent.
func (c *Conn) stillGood() bool {
	if c.Loop().Now()-c.idleSince < int64(longRest) {
		return !c.PeerShut() && len(c.Unread()) == 0
	}
	return c.Quiet()
}

// Release gives the connection back after a complete answer. It is closed instead where the pool is full, the node is retired, or bytes have come that
// nobody asked for.
func (c *Conn) Release(s *Service) {
	if c.idle {
		return // it was given back already; twice in the pool, it would serve two exchanges at once
	}
	c.served++
	if c.IsClosed() || c.PeerShut() || len(c.Unread()) > 0 || c.node.retired.Load() || c.tls != c.node.tls.Load() || len(c.pool.idle) >= s.pool.maxIdle || c.wornOut(s) || c.wantedElsewhere() || c.node.surplus() {
		c.Discard()
		return
	}
	c.rest(s)
	if owner := c.node.owner; owner.local[c.pool.worker].queue.first != nil { // nobody else could use it
		owner.tell(c.pool.worker)
	}
}

// wornOut reports whether the connection has served as much or for as long as it may.
func (c *Conn) wornOut(s *Service) bool {
	return s.pool.maxRequests > 0 && c.served >= s.pool.maxRequests || c.Aged(s)
}

// wantedElsewhere reports whether another worker waits for a connection and this one does not: it gets what is given up here.
func (c *Conn) wantedElsewhere() bool {
	owner := c.node.owner
	return owner.waiting.Load() > 0 && owner.bounds.Load().boundConns() && owner.local[c.pool.worker].queue.first == nil
}

// rest puts the connection into its pool.
func (c *Conn) rest(s *Service) {
	c.idle = true
	c.pool.idle = append(c.pool.idle, c)
	c.SetHandler(c)
	c.Resume()
	c.idleSince = c.Loop().Now()
	c.Loop().SetTimer(&c.timer, c.idleTime(s))
}

// sendTime is how long a connection that is given up may take to send its last bytes.
const sendTime = 10 * time.Second

// CloseWhenSent gives the connection up: it is closed once the node has taken what was written.
func (c *Conn) CloseWhenSent() {
	if c.gone {
		return
	}
	c.resting = false
	c.SetHandler(c)
	c.Loop().SetTimer(&c.timer, sendTime)
	c.Conn.CloseWhenSent()
}

// Discard closes the connection; what has not been sent on it is not. It may be called again, and after the connection has failed.
func (c *Conn) Discard() {
	if c.gone {
		return
	}
	c.gone, c.resting = true, false
	if c.open {
		c.pool.stats.UpstreamClosed()
	}
	c.Loop().DropTimer(&c.timer)
	if c.retire != nil {
		c.Unshare()
	}
	if w := c.warming; w != nil {
		w.opening--
		c.pool.cooled(true)
	}
	if c.idle {
		c.idle = false
		if i := slices.Index(c.pool.idle, c); i >= 0 {
			c.pool.idle = slices.Delete(c.pool.idle, i, i+1)
		}
		c.pool.cooled(c.served == 0 && time.Duration(c.Loop().Now()-c.idleSince) < longRest)
	}
	c.node.dropConn()
	c.Abandon()
}

// The pool as the owner of a connection that is idle, or is opened in advance: whatever else happens to it is its end. A node that sends bytes nobody asked for would otherwise have them
// taken for the next answer.

// Opened takes in a connection that is opened in advance.
func (c *Conn) Opened(*event.Conn) {
	if c.warming != nil {
		c.warming.opened(c)
	}
}

// Data closes a connection on which a node sends without being asked.
func (c *Conn) Data(*event.Conn) { c.Discard() }

// EOF removes a connection that the node has closed.
func (c *Conn) EOF(*event.Conn) {
	if c.idle {
		c.ClosedAtRest()
	}
	c.Discard()
}

// Drained never happens to an idle connection.
func (c *Conn) Drained(*event.Conn) {}

// Closed removes a connection that has failed.
func (c *Conn) Closed(*event.Conn, error) { c.Discard() }

// Expired closes a connection that has been idle for too long.
func (c *Conn) Expired(*event.Timer) {
	if c.resting { // its owner closes it
		c.retire()
		return
	}
	c.Discard()
}

var _ event.Handler = (*Conn)(nil)

// poolSettings are what a service says of its pools.
type poolSettings struct {
	maxIdle     int
	idleTimeout time.Duration
	maxRequests int           // 0 = any
	maxAge      time.Duration // 0 = any
	preconnect  int
}

func newPoolSettings(c *PoolConfig) poolSettings {
	s := poolSettings{
		maxIdle: valueOr(c.MaxIdlePerWorker, DefaultMaxIdle), idleTimeout: c.IdleTimeout.Std(),
		maxRequests: c.MaxRequests, maxAge: c.MaxAge.Std(), preconnect: c.Preconnect,
	}
	if s.idleTimeout == 0 {
		s.idleTimeout = DefaultIdleTimeout
	}
	return s
}
