package etcd

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/stats"
)

// reconnects notices that gRPC has connected once more after it had lost a connection, of which the client library tells nobody. It is called by gRPC's goroutines.
type reconnects struct {
	lost atomic.Bool
	told chan<- struct{} // has room for one
}

var _ stats.Handler = (*reconnects)(nil)

// HandleConn implements stats.Handler.
func (r *reconnects) HandleConn(_ context.Context, s stats.ConnStats) {
	switch s.(type) {
	case *stats.ConnEnd:
		r.lost.Store(true)
	case *stats.ConnBegin:
		if !r.lost.Swap(false) {
			return
		}
		select {
		case r.told <- struct{}{}:
		default:
		}
	}
}

// TagConn implements stats.Handler.
func (r *reconnects) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// TagRPC implements stats.Handler.
func (r *reconnects) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (r *reconnects) HandleRPC(context.Context, stats.RPCStats) {}
