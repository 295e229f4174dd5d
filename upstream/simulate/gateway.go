package simulate

import (
	"time"

	"sluice/upstream"
)

// gateway is what an exchange does, in few words: see proxy/forward.go for the real one.
type gateway struct {
	*loop
	service *upstream.Service
	nodes   map[string]*node
	turn    int // of the workers
	workers int
	perTry  time.Duration
	result  *Result
}

// exchange is one request of a client.
type exchange struct {
	gateway *gateway
	worker  int
	began   time.Duration
	key     uint64
	tried   []*upstream.Node
	open    []*call // tries under way
	over    bool
}

// call is one try.
type call struct {
	exchange *exchange
	try      upstream.Try
	request  *request
}

func (g *gateway) clock() int64 { return int64(g.now) + int64(time.Hour) }

// arrive is a client's request.
func (g *gateway) arrive() {
	g.turn++
	x := &exchange{gateway: g, worker: g.turn % g.workers, began: g.now, key: uint64(g.random() * (1 << 62))}
	g.result.Requests++
	if g.outage() {
		g.result.OutageRequests++
	}
	if !g.service.Enter() {
		g.result.Overloaded++
		return
	}
	g.service.CountRequest(x.worker, g.clock())
	node := x.pick()
	if node == nil {
		x.finish(false)
		return
	}
	x.ask(node)
}

// outage reports whether no node is well.
func (g *gateway) outage() bool {
	for _, n := range g.nodes {
		if n.condition == well {
			return false
		}
	}
	return true
}

func (x *exchange) pick() *upstream.Node {
	return x.gateway.service.Pick(x.worker, upstream.Want{Tried: x.tried, Key: x.key, Now: x.gateway.clock()})
}

func (x *exchange) ask(n *upstream.Node) {
	g := x.gateway
	c := &call{exchange: x}
	c.try.Begin(g.service, x.worker, n, g.clock())
	x.tried = append(x.tried, n)
	x.open = append(x.open, c)
	g.result.Tries++
	if g.outage() {
		g.result.OutageTries++
	}
	c.request = &request{done: c.ended}
	if g.perTry > 0 {
		g.after(g.perTry, func() {
			if !c.request.given {
				c.request.given = true
				c.ended(reset)
			}
		})
	}
	g.nodes[n.Address].ask(c.request)
	if len(x.tried) == 1 && g.service.Hedges {
		if d := g.service.HedgeAfter(); d > 0 {
			g.after(d, x.hedge)
		}
	}
}

// hedge makes a second try beside the first.
func (x *exchange) hedge() {
	if x.over || len(x.open) != 1 || len(x.tried) > 1 {
		return
	}
	if n := x.pick(); n != nil && x.mayRetry() {
		x.ask(n)
	}
}

// mayRetry takes one more try out of the budget. Here it is always made.
func (x *exchange) mayRetry() bool {
	_, ok := x.gateway.service.AllowRetry(x.worker, x.gateway.clock())
	return ok
}

// ended is the end of a try.
func (c *call) ended(o outcome) {
	x := c.exchange
	g := x.gateway
	switch o {
	case answered:
		c.try.Answered(200, g.clock())
		c.try.Whole()
	case erred:
		c.try.Answered(500, g.clock())
	case refused:
		c.try.Failed(upstream.FailedConnect, g.clock())
	default:
		c.try.Failed(upstream.FailedBroken, g.clock())
	}
	c.try.End()
	x.drop(c)
	switch {
	case o == answered:
		x.finish(true)
	case len(x.open) > 0: // the other goes on
	case o != erred && len(x.tried) < g.service.Attempts:
		if n := x.pick(); n != nil && x.mayRetry() {
			x.ask(n)
			return
		}
		x.finish(false)
	default:
		x.finish(false)
	}
}

func (x *exchange) drop(c *call) {
	for i, o := range x.open {
		if o == c {
			x.open = append(x.open[:i:i], x.open[i+1:]...)
		}
	}
}

func (x *exchange) finish(ok bool) {
	x.over = true
	for _, c := range x.open {
		c.request.given = true
		c.try.Outrun(x.gateway.clock())
		c.try.End()
	}
	x.open = nil
	x.gateway.service.Leave()
	if ok {
		x.gateway.result.latencies = append(x.gateway.result.latencies, x.gateway.now-x.began)
	} else {
		x.gateway.result.Failed++
	}
}
