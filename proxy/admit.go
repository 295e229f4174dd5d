package proxy

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"

	"sluice/core/observe"
)

// Who may connect: so many connections in all (limits.connections), and so many of one client (limits.connections_per_client). Both are counted over all
// workers, at accept and at close and never in between.

// admit counts a new client connection and reports false where there are too many. Whose it is, a PROXY header has yet to tell where there is to be one.
func (w *worker) admit(from *client, d *door) bool {
	if pressure(w.server.pressure.Load()) == refusing {
		w.stats.ConnRefused(observe.RefusedMemory)
		return false
	}
	if !w.server.enter() {
		w.stats.ConnRefused(observe.RefusedConnections)
		return false
	}
	if !d.proxied && !w.admitClient(from) {
		w.server.leave()
		return false
	}
	return true
}

// admitClient counts the connection of a client and reports false where that one has too many. Behind a trusted proxy there are many.
func (w *worker) admitClient(from *client) bool {
	bound := w.server.settings.Load().limits.connsPerClient
	if bound == 0 || from.trusted {
		return true
	}
	if from.counted = w.server.clients.enter(from.addr.Addr(), bound); from.counted == nil {
		w.stats.ConnRefused(observe.RefusedPerClient)
		return false
	}
	return true
}

// enter counts a client connection and reports false where there are too many. All are counted, since a bound may be set while they are open.
func (s *Server) enter() bool {
	bound := s.settings.Load().limits.conns
	if n := s.conns.Add(1); bound > 0 && n > bound {
		s.leave()
		return false
	}
	return true
}

func (s *Server) leave() { s.conns.Add(-1) }

// countClients counts the connections that were there before their clients were counted. It may bring a client above its bound, which closes none.
func (w *worker) countClients() {
	for s := w.sessions; s != nil; s = s.next {
		w.server.clients.include(s.client)
	}
	for g := w.greetings.oldest; g != nil; g = g.next {
		if g.phase != greetHeader {
			w.server.clients.include(&g.client)
		}
	}
}

// clientBuckets is the size of the table of clients: 128 KiB, and chains of 6 where a hundred thousand clients are connected.
const clientBuckets = 1 << 14

// clientCounts knows how many connections each client has open. All workers change it at once and none ever waits for another: a bucket is the head of a chain
// that is never changed, only replaced. What it holds is bounded by the open connections: a client that has none has no place in it.
type clientCounts struct {
	buckets []atomic.Pointer[clientLink]
	seed    maphash.Seed // so that nobody can choose addresses that fall into one bucket
}

// clientLink is a place in a chain. It is immutable.
type clientLink struct {
	count *clientCount
	next  *clientLink
}

// clientCount is the connections of one client: an IPv4 address, or the /64 of an IPv6 address, which is the least that a subscriber is given.
type clientCount struct {
	client netip.Addr
	n      atomic.Int64 // 0 is final: a count that has been given up is not used again
}

func newClientCounts() *clientCounts {
	return &clientCounts{buckets: make([]atomic.Pointer[clientLink], clientBuckets), seed: maphash.MakeSeed()}
}

// enter counts one more connection, and returns nil where the client has as many as bound already; 0 is no bound.
func (t *clientCounts) enter(ip netip.Addr, bound int64) *clientCount {
	client := clientOf(ip)
	b := t.bucket(client)
	for {
		head := b.Load()
		if count := head.find(client); count != nil {
			n := count.n.Load()
			switch {
			case n == 0: // given up in this moment, and on its way out of the chain
			case bound > 0 && n >= bound:
				return nil
			case count.n.CompareAndSwap(n, n+1):
				return count
			default:
				continue
			}
		}
		count := &clientCount{client: client}
		count.n.Store(1)
		if b.CompareAndSwap(head, &clientLink{count, head.pruned()}) {
			return count
		}
	}
}

// include counts a connection that is there, whatever the bound, unless it is counted or is not to be.
func (t *clientCounts) include(from *client) {
	if from.counted == nil && !from.trusted {
		from.counted = t.enter(from.addr.Addr(), 0)
	}
}

// leave takes a connection off its client's count; nil is fine.
func (t *clientCounts) leave(count *clientCount) {
	if count == nil || count.n.Add(-1) > 0 {
		return
	}
	for b := t.bucket(count.client); ; {
		if head := b.Load(); b.CompareAndSwap(head, head.pruned()) {
			return
		}
	}
}

func (t *clientCounts) bucket(client netip.Addr) *atomic.Pointer[clientLink] {
	return &t.buckets[maphash.Comparable(t.seed, client)%clientBuckets]
}

// find returns the count of a client, also one that has been given up.
func (l *clientLink) find(client netip.Addr) *clientCount {
	for ; l != nil; l = l.next {
		if l.count.client == client {
			return l.count
		}
	}
	return nil
}

// pruned returns the chain without the counts that have been given up.
func (l *clientLink) pruned() *clientLink {
	var kept *clientLink
	for ; l != nil; l = l.next {
		if l.count.n.Load() > 0 {
			kept = &clientLink{l.count, kept}
		}
	}
	return kept
}

// clientOf returns what stands for the client of an address.
func clientOf(ip netip.Addr) netip.Addr {
	if ip = ip.Unmap(); ip.Is4() {
		return ip
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil { // no address at all
		return ip
	}
	return prefix.Addr()
}
