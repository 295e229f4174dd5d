package etcd

import (
	"context"
	"errors"
	"net"
	"sync"
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
	lost   atomic.Bool   // one that served, since the last answer
	each   sync.Map      // those there are, by linkName: *link
	none   chan struct{} // holds one when the last has been lost
	again  chan struct{} // holds one when there is an answer after a loss: it may be another server's
}

// link is one connection.
type link struct {
	name   linkName
	served atomic.Bool // something has been answered on it
}

// linkName is what gRPC tells of a connection in all of its calls: its two ends.
type linkName struct{ remote, local string }

func nameLink(remote, local net.Addr) (n linkName) {
	if remote != nil {
		n.remote = remote.String()
	}
	if local != nil {
		n.local = local.String()
	}
	return n
}

// attempt is one call, on the connection that it turns out to be sent on.
type attempt struct{ on atomic.Pointer[link] }

// The keys of a link and an attempt in their contexts.
type (
	linkKey    struct{}
	attemptKey struct{}
)

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
// closes it. So only one that has brought an answer can be lost, whatever others there are.
func (l *links) HandleConn(ctx context.Context, s stats.ConnStats) {
	one, _ := ctx.Value(linkKey{}).(*link)
	switch s.(type) {
	case *stats.ConnEnd:
		if one != nil {
			l.each.CompareAndDelete(one.name, one)
			if one.served.Load() {
				l.lost.Store(true)
			}
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
func (l *links) HandleRPC(ctx context.Context, s stats.RPCStats) {
	try, _ := ctx.Value(attemptKey{}).(*attempt)
	if try == nil {
		return
	}
	switch s := s.(type) {
	case *stats.OutHeader:
		if one, ok := l.each.Load(nameLink(s.RemoteAddr, s.LocalAddr)); ok {
			try.on.Store(one.(*link))
		}
	case *stats.InHeader, *stats.InTrailer: // a refusal has trailers alone
		if one := try.on.Load(); one != nil {
			one.served.Store(true)
		}
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
func (l *links) TagConn(ctx context.Context, info *stats.ConnTagInfo) context.Context {
	one := &link{name: nameLink(info.RemoteAddr, info.LocalAddr)}
	l.each.Store(one.name, one)
	return context.WithValue(ctx, linkKey{}, one)
}

// TagRPC implements stats.Handler.
func (l *links) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, attemptKey{}, new(attempt))
}
