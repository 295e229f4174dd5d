package upstream

import (
	"net/netip"
	"sync/atomic"
	"time"

	"sluice/core/event"
)

// Node is one running instance of a service. It is known by service and address, so it outlives the snapshots that name it: its
// connections and counts stay when a route or another node changes.
type Node struct {
	Service string
	Address string // host:port as it was registered

	addr    atomic.Pointer[netip.AddrPort] // where it is; nil until the name has been resolved
	conns   atomic.Int64                   // open connections of all workers
	retired atomic.Bool                    // no longer named by any snapshot; pools keep nothing of it
	pools   []pool                         // by worker
	stop    func()                         // ends resolving; nil for literal addresses
}

// NodeSpec is a node as discovery or a service's configuration names it.
type NodeSpec struct {
	Upstream string // host:port
	Weight   int    // 0 drains
}

// Resolved reports whether the node's address is known. Any goroutine may call it.
func (n *Node) Resolved() bool { return n.addr.Load() != nil }

// Conns returns the number of open connections to the node, of all workers. Any goroutine may call it.
func (n *Node) Conns() int { return int(n.conns.Load()) }

// Acquire returns an idle connection of that worker, or begins a new one on its loop; fresh asks for a new one whatever the pool holds. h is the
// owner until Release or Discard. A new connection is not established yet: h hears Opened or Closed.
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
	c := &Conn{node: n, pool: p}
	ev, err := loop.Dial(*n.addr.Load(), h)
	if err != nil {
		return nil, err
	}
	c.Conn = ev
	c.timer.Owner = c
	n.conns.Add(1)
	return c, nil
}

// retire closes the idle connections of one worker, on its loop.
func (n *Node) retire(worker int) {
	p := &n.pools[worker]
	for len(p.idle) > 0 {
		p.idle[len(p.idle)-1].Discard()
	}
}

// poolSettings are what a service says of its pools; a node has the latest.
type poolSettings struct {
	maxIdle     int
	idleTimeout time.Duration
}
