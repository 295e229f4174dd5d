package proxy

import "sluice/plugin"

// filterRequest runs the plugins on the head of the request: those of every route, then the route's own, until one answers.
func (x *Exchange) filterRequest() plugin.Verdict {
	if every := x.snapshot.Plugins; every != nil {
		if v := every.Request(x); v.Action == plugin.Respond {
			return v
		}
	}
	return x.route.Chain.Request(x)
}

// filterResponse runs them on the head of the answer, the other way round. An answer that is given before there is a route has none.
func (x *Exchange) filterResponse() {
	was := x.resp.Status
	if x.route != nil {
		x.route.Chain.Response(x)
		if every := x.snapshot.Plugins; every != nil {
			every.Response(x)
		}
	}
	x.reframe(was)
}
