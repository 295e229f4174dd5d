package proxy

import (
	"sluice/codec"
	"sluice/internal/fault"
	"sluice/router"
)

// routeRequest finds the route.
func (x *Exchange) routeRequest() *fault.Error {
	if p := x.worker.server.panel.Load(); p != nil && x.forPanel() {
		return x.routePanel(p)
	}
	outcome, err := x.matchPath()
	if err != nil {
		return fault.New("normalize path", fault.Downstream, fault.BadRequest, err)
	}
	switch outcome {
	case router.Found:
		x.route = x.match.Rule.Value
		return nil
	case router.MethodNotAllowed:
		return fault.New("route", fault.Downstream, fault.MethodNotAllowed, nil)
	}
	return fault.New("route", fault.Downstream, fault.NoRoute, nil)
}

// matchPath looks for the route of the path. The error says why the path can have none.
func (x *Exchange) matchPath() (router.Outcome, error) {
	raw := x.req.Path()
	path, err := codec.NormalizePath(x.worker.scratch[:0], raw)
	if err == codec.ErrPathSlash || err == codec.ErrPathEmptySegment {
		switch x.set.paths {
		case PathAgree:
			return x.matchReadings(raw, err)
		case PathLiteral:
			path, err = codec.ReadPath(x.worker.scratch[:0], raw, codec.ReadLiteral)
		}
	}
	if err != nil {
		return 0, err
	}
	outcome := x.matchAs(path)
	if outcome == router.NoRoute && len(path) == 1 && path[0] == '*' {
		// "OPTIONS *" asks about the server as a whole (RFC 9110 §9.3.7). Where no route is for that, the one for the root of the host is.
		outcome = x.matchAs(rootPath)
	}
	return outcome, nil
}

var rootPath = []byte("/")

// matchReadings looks for the route of a path that nodes may read in several ways. They must all lead to the same one: else "/public/..%2Fadmin" would pass as public
// and be served as admin. reason is the error where they do not.
func (x *Exchange) matchReadings(raw []byte, reason error) (router.Outcome, error) {
	var first router.Outcome
	var rule *router.Rule[*Route]
	for r := codec.ReadMerged; ; r-- {
		path, err := codec.ReadPath(x.worker.scratch[:0], raw, r)
		if err != nil {
			return 0, err
		}
		outcome := x.matchAs(path)
		if r == codec.ReadMerged {
			first, rule = outcome, x.match.Rule
		}
		if outcome != first || x.match.Rule != rule {
			return 0, reason
		}
		if r == codec.ReadLiteral {
			return outcome, nil
		}
	}
}

// matchAs looks for the route as if path were the request's.
func (x *Exchange) matchAs(path []byte) router.Outcome {
	x.path = path
	x.query = router.Query{Host: x.req.Host(), Path: path, Method: x.req.MethodBytes(), Facts: x}
	return x.snapshot.Routes.Match(&x.query, &x.match)
}
