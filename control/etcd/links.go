package etcd

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/stats"
)

// links notices what becomes of gRPC's connections, of which the client library tells nobody: it goes on by itself. It is called by gRPC's goroutines.
type links struct {
	open  atomic.Int64
	lost  atomic.Bool   // one since the last that was made
	none  chan struct{} // holds one when the last has been lost
	again chan struct{} // holds one when there is a new one after a loss: it may be to another server
}

func newLinks() *links { return &links{none: make(chan struct{}, 1), again: make(chan struct{}, 1)} }

var _ stats.Handler = (*links)(nil)

// HandleConn implements stats.Handler.
func (l *links) HandleConn(_ context.Context, s stats.ConnStats) {
	switch s.(type) {
	case *stats.ConnEnd:
		l.lost.Store(true)
		if l.open.Add(-1) == 0 {
			tell(l.none)
		}
	case *stats.ConnBegin:
		l.open.Add(1)
		if l.lost.Swap(false) {
			tell(l.again)
		}
	}
}

// tell puts one into a channel that has room for one, unless there is one already.
func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// TagConn implements stats.Handler.
func (l *links) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// TagRPC implements stats.Handler.
func (l *links) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (l *links) HandleRPC(context.Context, stats.RPCStats) {}
