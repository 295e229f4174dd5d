package proxy

import (
	"sluice/codec"
	"sluice/core/observe"
	"sluice/internal/fault"
	"sluice/plugin"
	"sluice/router"
	"sluice/upstream"
)

// panel is the gateway's own control panel as clients of the listeners reach it: one route to one service, in a snapshot of its own, so that nothing behind the
// routing has to know of it.
type panel struct {
	snapshot Snapshot
	route    Route
}

// panelName is what the panel is called in metrics and logs. No resource can have the name, since it has a slash.
const panelName = "sluice/admin"

// Expose serves the paths of the control panel, /admin and /dashboard and what is below them, on all listeners: a service answers there, and no route does. nil ends
// that. Only clients on this machine or in private networks reach it; to all others there is nothing at these paths. Any goroutine may call it.
func (s *Server) Expose(service *upstream.Service, stats *observe.Registry) {
	if service == nil {
		s.panel.Store(nil)
		return
	}
	p := &panel{route: Route{ID: panelName, ServiceName: panelName, Chain: plugin.NewChain(nil), Stats: stats.Route(panelName, panelName)}}
	p.snapshot = Snapshot{Routes: new(router.Table[*Route]), Services: []*upstream.Service{service}}
	s.panel.Store(p)
}

// forPanel reports whether the path is one of the panel's. One that nodes may read in several ways is not.
func (x *Exchange) forPanel() bool {
	path, err := codec.NormalizePath(x.worker.scratch[:0], x.req.Path())
	return err == nil && (under(path, "/admin") || under(path, "/dashboard"))
}

func under(path []byte, root string) bool {
	return len(path) >= len(root) && string(path[:len(root)]) == root && (len(path) == len(root) || path[len(root)] == '/')
}

// routePanel is routeRequest for a path of the panel.
func (x *Exchange) routePanel(p *panel) *fault.Error {
	if !x.near() {
		return fault.New("route", fault.Downstream, fault.NoRoute, nil)
	}
	x.snapshot, x.route = &p.snapshot, &p.route
	return nil
}

// near reports whether the client is on this machine or in a private network (RFC 1918, RFC 4193). Where the peer is a trusted proxy, the client is whom it names. A
// peer that is not one and names somebody is a proxy that nobody told us of, and everybody may be behind that: a load balancer of the same network passes on
// "GET /admin/login" from anywhere.
func (x *Exchange) near() bool {
	h := &x.req.Header
	if !x.client.trusted && (h.Seen(codec.FieldForwardedFor) || h.Seen(codec.FieldRealIP) || h.Find("Forwarded") >= 0 || h.Find("Via") >= 0) {
		return false
	}
	return x.clientIP.IsLoopback() || x.clientIP.IsPrivate()
}
