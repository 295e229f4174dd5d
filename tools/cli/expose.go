package cli

import (
	"context"

	"sluice/upstream"
)

// expose serves the panel's paths on the listeners, or ends that. The workers send their requests to the admin API over a socket of this process, as to any node: nothing
// of net/http runs on a loop.
func (g *gateway) expose(on bool) error {
	if on {
		if err := g.openPanel(); err != nil {
			return err
		}
	}
	g.showPanel(on)
	return nil
}

// showPanel is expose for a panel that is open.
func (g *gateway) showPanel(on bool) {
	if on {
		g.server.Expose(g.panel, g.stats)
	} else {
		g.server.Expose(nil, nil)
	}
}

// openPanel makes what showPanel needs, once. Nothing is served by it.
func (g *gateway) openPanel() error {
	if g.panel != nil {
		return nil
	}
	address, err := g.admin.ServeInside()
	if err != nil {
		return err
	}
	// Not the registry of the engine, which another goroutine owns and which knows services of the store alone.
	own := upstream.NewRegistry(g.server.Loops(), g.stats)
	g.panel = own.Update("sluice/admin", &upstream.Config{Nodes: []upstream.NodeConfig{{Upstream: address.String()}}}, nil)
	g.onStop(func(context.Context) error { own.Close(); return nil })
	return nil
}
