package plugin

import (
	"io"
	"runtime"
	"slices"
	"sync/atomic"
)

// Instance is one built plugin of a route, on its way into a [Chain].
type Instance struct {
	Name     string // as the route has it; breaks ties between equal priorities
	Priority int    // the kind's
	Filter   any    // what Kind.Build returned: a RequestFilter, a ResponseFilter or both
}

// Chain is the plugins of one route in the order they run: by falling priority, then by name, on the request; the other way round on the
// response. It is immutable and used by all workers at once.
//
// # When instances are closed
//
// An exchange keeps the chain it began with, so a chain that has been replaced in the snapshot may still run. The garbage collector
// knows when the last exchange, route and snapshot have let go: a chain with instances to close asks it to close them then
// (runtime.AddCleanup), off the loops, some seconds after the replacement. This costs a request nothing, where a reference count would cost
// two atomic writes that all workers share. Close closes them at once, for who knows that nothing runs any more.
type Chain struct {
	requests  []RequestFilter  // in the order of the request
	responses []ResponseFilter // in the order of the response
	names     []string         // of all instances, in the order of the request
	closers   *closers         // nil when no instance has Close
}

var empty Chain

// NewChain orders the instances and takes them over: it closes them from now on, also when the chain is never used. An instance that is no
// filter at all is ignored. NewChain(nil) is the empty chain and allocates nothing.
func NewChain(instances []Instance) *Chain {
	if len(instances) == 0 {
		return &empty
	}
	ordered := slices.Clone(instances)
	slices.SortStableFunc(ordered, func(a, b Instance) int {
		if a.Priority != b.Priority {
			return b.Priority - a.Priority
		}
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	c := new(Chain)
	toClose := new(closers)
	for _, in := range ordered {
		c.names = append(c.names, in.Name)
		if f, ok := in.Filter.(RequestFilter); ok {
			c.requests = append(c.requests, f)
		}
		if f, ok := in.Filter.(ResponseFilter); ok {
			c.responses = append(c.responses, f)
		}
		if f, ok := in.Filter.(io.Closer); ok {
			toClose.list = append(toClose.list, f)
		}
	}
	slices.Reverse(c.responses)
	if len(toClose.list) > 0 {
		c.closers = toClose
		runtime.AddCleanup(c, func(l *closers) { l.close() }, toClose)
	}
	return c
}

// Request runs the request filters until one responds, and returns its verdict, or the zero Verdict when all let the request go on.
func (c *Chain) Request(x Exchange) (v Verdict) {
	for _, f := range c.requests {
		if v = f.RequestHead(x); v.Action == Respond {
			break
		}
	}
	runtime.KeepAlive(c) // the instances stay open until the last filter has returned
	return v
}

// Response runs the response filters, in the reverse order of the request. A filter runs also when another one answered before its turn
// came on the request.
func (c *Chain) Response(x Exchange) {
	for _, f := range c.responses {
		f.ResponseHead(x)
	}
	runtime.KeepAlive(c)
}

// Empty reports whether the chain does nothing.
func (c *Chain) Empty() bool { return len(c.requests) == 0 && len(c.responses) == 0 }

// Names returns the names of the plugins in the order they run on the request. The slice must not be changed.
func (c *Chain) Names() []string { return c.names }

// Close closes the instances, once. No filter may run any more. Errors are the instances' own to log: nobody can act on them here.
func (c *Chain) Close() {
	if c.closers != nil {
		c.closers.close()
	}
}

// closers is what a chain has to close. It is apart from the chain, so that the cleanup does not keep the chain alive.
type closers struct {
	list []io.Closer
	done atomic.Bool
}

func (l *closers) close() {
	if l.done.Swap(true) {
		return
	}
	for _, one := range l.list {
		_ = one.Close()
	}
}
