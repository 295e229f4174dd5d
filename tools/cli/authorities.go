package cli

import (
	"context"

	"sluice/control/acme"
)

// startAuthorities obtains certificates from authorities, for those that ask for one, and renews them.
func (g *gateway) startAuthorities(context.Context) error {
	manager := acme.NewManager(acme.Options{
		Store: g.store, Wanted: g.engine.ACME, Applied: func() int64 { return g.engine.Status().Revision }, Log: g.log,
	})
	g.inBackground(manager.Run)
	return nil
}
