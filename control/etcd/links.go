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
	open   atomic.Int64
	served atomic.Bool   // something has been answered since there was none
	since  atomic.Int64  // when the last one that served was lost, or the first was wanted; see clock
	lost   atomic.Bool   // one since the last answer
	none   chan struct{} // holds one when the last has been lost
	again  chan struct{} // holds one when there is an answer after a loss: it may be another server's
}

// started is what clock counts from.
var started = time.Now()

// clock returns the time as a number of nanoseconds that no change of the machine's clock moves.
func clock() int64 { return int64(time.Since(started)) }

func newLinks() *links {
	l := &links{none: make(chan struct{}, 1), again: make(chan struct{}, 1)}
	l.since.Store(clock())
	return l
}

var _ stats.Handler = (*links)(nil)

// HandleConn implements stats.Handler. gRPC counts a connection before the server has said a word: a balancer with nothing behind it takes one every two seconds and
// closes it. So only an answer makes it one that can be lost.
func (l *links) HandleConn(_ context.Context, s stats.ConnStats) {
	switch s.(type) {
	case *stats.ConnEnd:
		if l.served.Load() {
			l.lost.Store(true)
		}
		if l.open.Add(-1) == 0 {
			if l.served.Swap(false) {
				l.since.Store(clock())
			}
			tell(l.none)
		}
	case *stats.ConnBegin:
		l.open.Add(1)
	}
}

// HandleRPC implements stats.Handler.
func (l *links) HandleRPC(_ context.Context, s stats.RPCStats) {
	switch s.(type) {
	case *stats.InHeader, *stats.InTrailer: // a refusal has trailers alone
		l.served.Store(true)
		if l.lost.Swap(false) {
			tell(l.again)
		}
	}
}

// gone reports whether a client that has no connection now has had none for so long that nobody should wait for one.
func (l *links) gone() bool { return time.Duration(clock()-l.since.Load()) > linkPatience }

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
