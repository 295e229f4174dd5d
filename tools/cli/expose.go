package cli

import (
	"context"

	"sluice/upstream"
)

// expose serves the panel's paths on the listeners, or ends that. The workers send their requests to the admin API over a socket of this process, as to any node: nothing
// of net/http runs on a loop.
func (g *gateway) expose(on bool) error {
	if !on {
		g.server.Expose(nil, nil)
		return nil
	}
	if g.panel == nil {
		address, err := g.admin.ServeInside()
		if err != nil {
			return err
		}
		// Not the registry of the engine, which another goroutine owns and which knows services of the store alone.
		own := upstream.NewRegistry(g.server.Loops(), g.stats)
		g.panel = own.Update("sluice/admin", &upstream.Config{Nodes: []upstream.NodeConfig{{Upstream: address.String()}}}, nil)
		g.onStop(func(context.Context) error { own.Close(); return nil })
	}
	g.server.Expose(g.panel, g.stats)
	return nil
}
