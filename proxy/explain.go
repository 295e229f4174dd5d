package proxy

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"sluice/codec/h1"
	"sluice/internal/fault"
	"sluice/router"
	"sluice/upstream"
)

// Explanation is what would become of a request. Nothing in it may be changed.
type Explanation struct {
	Revision   int64                      // of the snapshot that was in force
	Path       string                     // by which routes are matched; "" where the request has none
	Candidates []router.Candidate[*Route] // best first
	More       bool                       // there are candidates beyond those
	Route      *Route                     // nil where none wins
	Allow      []string                   // after method_not_allowed: the methods that would match
	Plugins    []string                   // in the order in which they run on the request
	Service    *upstream.Service          // nil where the route's is not there
	Node       *upstream.Node             // that the worker would ask next; nil where none can be asked
	Failed     *fault.Error               // why the gateway itself would answer; nil where plugins and node decide
}

// maxCandidates bounds how many are told of: more are nothing that a person reads, and the loop is not to be held up.
const maxCandidates = 100

// errNotWhole is a head that does not end.
var errNotWhole = errors.New("proxy: the head of the request is not whole")

// Explain tells what would become of a request with that head, as it would come in clear text from a client's address, by the very code that decides it: on a loop, but without
// running plugins, asking a node, or moving the balancer. Any goroutine may call it; the workers must have been started.
func (s *Server) Explain(ctx context.Context, head []byte, from netip.Addr) (*Explanation, error) {
	done := make(chan *Explanation, 1)
	w := s.workers[0]
	w.loop.Post(func() { done <- w.explain(head, from) })
	select {
	case e := <-done:
		return e, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// explain is Explain on the loop. The exchange is none of those that are used again: it never begins, and so never ends.
func (w *worker) explain(head []byte, from netip.Addr) *Explanation {
	x := new(Exchange)
	c := &client{addr: netip.AddrPortFrom(from, 0)}
	x.set = w.server.settings.Load()
	c.trusted = x.set.trusts(from)
	x.reset(w, nil, c)
	x.snapshot = w.server.snapshot.Load()
	e := &Explanation{Revision: x.snapshot.Revision}
	n, err := h1.ParseRequest(head, &x.req, &x.set.limits.heads)
	switch {
	case err != nil:
		e.Failed = fault.New("read request head", fault.Downstream, rejectKind(err), err)
		return e
	case n == 0:
		e.Failed = fault.New("read request head", fault.Downstream, fault.BadRequest, errNotWhole)
		return e
	}
	x.noteRequest()
	x.findClient()
	e.Failed = x.routeRequest()
	if e.Failed == nil || e.Failed.Kind != fault.BadRequest { // else it has no path to be matched by
		e.Path = string(x.path)
		e.Candidates, e.More = x.snapshot.Routes.Explain(&x.query, maxCandidates)
	}
	if e.Failed != nil {
		e.Allow = slices.Clone(x.match.Allow)
		return e
	}
	x.explainRoute(e)
	return e
}

// explainRoute tells what comes behind the route: its plugins, and the node that would be asked.
func (x *Exchange) explainRoute(e *Explanation) {
	w := x.worker
	e.Route = x.route
	if every := x.snapshot.Plugins; every != nil {
		e.Plugins = slices.Clone(every.Names())
	}
	e.Plugins = append(e.Plugins, x.route.Chain.Names()...)
	if x.service = x.snapshot.Services[x.route.Service]; x.service != nil {
		x.findKeys()
		e.Service = x.service
		e.Node = x.service.Peek(w.index, upstream.Want{Key: x.key, Sticky: x.sticky, Now: w.loop.Now()})
	}
	if e.Node == nil {
		e.Failed = fault.New("pick node", fault.Upstream, fault.NoHealthyNode, errNoNode)
	}
}
