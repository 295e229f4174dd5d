package etcd

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/stats"
)

// linkPatience is how long a call waits for a connection to etcd where there is none: an embedded server that another process takes over is away for a few tenths
// of a second, and gRPC tries again within two.
const linkPatience = 2 * time.Second

var errNoLink = errors.New("there is no connection")

// links notices what becomes of gRPC's connections, of which the client library tells nobody: it goes on by itself. It is called by gRPC's goroutines.
type links struct {
	open  atomic.Int64
	since atomic.Int64  // when the last one was lost, or the first was wanted, in nanoseconds
	lost  atomic.Bool   // one since the last that was made
	none  chan struct{} // holds one when the last has been lost
	again chan struct{} // holds one when there is a new one after a loss: it may be to another server
}

func newLinks() *links {
	l := &links{none: make(chan struct{}, 1), again: make(chan struct{}, 1)}
	l.since.Store(time.Now().UnixNano())
	return l
}

var _ stats.Handler = (*links)(nil)

// HandleConn implements stats.Handler.
func (l *links) HandleConn(_ context.Context, s stats.ConnStats) {
	switch s.(type) {
	case *stats.ConnEnd:
		l.lost.Store(true)
		if l.open.Add(-1) == 0 {
			l.since.Store(time.Now().UnixNano())
			tell(l.none)
		}
	case *stats.ConnBegin:
		l.open.Add(1)
		if l.lost.Swap(false) {
			tell(l.again)
		}
	}
}

// gone reports whether there has been no connection for so long that nobody should wait for one.
func (l *links) gone() bool {
	return l.open.Load() == 0 && time.Since(time.Unix(0, l.since.Load())) > linkPatience
}

// within returns a context that ends, with errNoLink as its cause, when there is no connection linkPatience after the call began. stop gives back what it holds.
func (l *links) within(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	look := time.AfterFunc(linkPatience, func() {
		if l.open.Load() == 0 {
			cancel(errNoLink)
		}
	})
	return ctx, func() {
		look.Stop()
		cancel(nil)
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
