package etcd

import (
	"net"
	"testing"

	"google.golang.org/grpc/stats"
)

// A connection that ends without an answer was none: it neither makes anybody wait for the next nor owes an audit. One that served does.
func TestOnlyAConnectionThatServedIsLost(t *testing.T) {
	l := newLinks()
	ends := 0
	attempt := func(answers ...stats.RPCStats) {
		ends++ // each connection has a port of its own
		near, far := &net.TCPAddr{Port: ends}, &net.TCPAddr{Port: 2379}
		conn := l.TagConn(t.Context(), &stats.ConnTagInfo{LocalAddr: near, RemoteAddr: far})
		l.HandleConn(conn, &stats.ConnBegin{Client: true})
		for _, a := range answers {
			call := l.TagRPC(t.Context(), &stats.RPCTagInfo{})
			l.HandleRPC(call, &stats.OutHeader{Client: true, LocalAddr: near, RemoteAddr: far})
			l.HandleRPC(call, a)
		}
		l.HandleConn(conn, &stats.ConnEnd{Client: true})
	}
	took := func(c chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	for _, answer := range []stats.RPCStats{&stats.InHeader{Client: true}, &stats.InTrailer{Client: true}} {
		l.since.Store(clock() - int64(2*linkPatience))
		attempt()
		attempt(&stats.OutHeader{Client: true})
		if !l.gone() || took(l.again) {
			t.Error("a connection that brought no answer counts as one")
		}
		attempt(answer)
		if l.gone() {
			t.Error("nobody waits for a connection that has just been lost")
		}
		attempt()
		if took(l.again) {
			t.Error("a connection that brought no answer is a new server")
		}
		attempt(answer)
		if !took(l.again) || !took(l.none) {
			t.Error("an answer after a loss is no new server")
		}
		attempt(answer)
		if !took(l.again) {
			t.Error("each loss is followed by an audit")
		}
		l = newLinks()
	}
}
