package upstream

import "time"

// How long a connection may rest in the pool. A node closes connections that are idle for too long by its own measure, and a request that is sent
// at that moment is lost or, where it may not be repeated, fails. So ours must give up first: by the service's idle_timeout, by what the node
// says in Keep-Alive: timeout=, and by when it has been seen to close.

// margin is how much earlier than the node we close: the time of a round trip and of a busy loop, but no more than half of what there is.
func margin(limit time.Duration) time.Duration { return min(time.Second, limit/2) }

// LimitIdle notes that the node keeps the connection for at most d while it is idle. 0 means that it said nothing.
func (c *Conn) LimitIdle(d time.Duration) { c.idleLimit = d }

// idleTime is how long the connection may rest now.
func (c *Conn) idleTime(s *Service) time.Duration {
	d := s.pool.idleTimeout
	if c.idleLimit > 0 {
		d = min(d, c.idleLimit-margin(c.idleLimit))
	}
	if learned := c.pool.closes.limit(c.Loop().Now()); learned > 0 {
		d = min(d, learned-margin(learned))
	}
	if s.pool.maxAge > 0 {
		d = min(d, s.pool.maxAge-time.Duration(c.Loop().Now()-c.born))
	}
	return d
}

// closes learns a node's idle timeout from the connections that it has closed while they were idle. One close tells nothing, it may be a restart: three
// in a row after nearly the same time are a timeout. What was learned is forgotten after a while, since the node may have been configured anew.
type closes struct {
	last  time.Duration // how long the connection that was closed last had been idle
	alike int           // closes in a row within a tenth of that
	until int64         // loop time until which last is taken for the node's timeout; 0 = it is not
}

const (
	closesAlike  = 3
	closesKept   = 10 * time.Minute
	shortestIdle = 500 * time.Millisecond // nobody sets less, since a client's next request would hardly find the connection: what is closed sooner was not closed for being idle
)

// note takes in that the node has closed a connection after it was idle for d.
func (l *closes) note(d time.Duration, now int64) {
	if d < shortestIdle {
		return
	}
	if diff := (d - l.last).Abs(); diff > d/10 {
		*l = closes{last: d, alike: 1}
		return
	}
	l.last = min(l.last, d)
	if l.alike++; l.alike >= closesAlike {
		l.until = now + int64(closesKept)
	}
}

// limit returns the idle timeout that was learned, or 0.
func (l *closes) limit(now int64) time.Duration {
	if l.until == 0 || now >= l.until {
		return 0
	}
	return l.last
}
