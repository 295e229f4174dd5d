package cli

import (
	"context"
	"slices"
	"time"

	"sluice/control"
	"sluice/proxy"
)

// ticketPatience is how long the listeners wait for the shared keys of TLS sessions, where the store has answered. Without them the gateway has keys of its own, and clients
// shake hands in full.
const ticketPatience = 2 * time.Second

// startTickets shares the keys of TLS sessions with the other gateways of the store, and with the process that this one replaces.
func (g *gateway) startTickets(ctx context.Context) error {
	if !slices.ContainsFunc(g.config.Listeners, func(l proxy.ListenerConfig) bool { return l.TLS }) {
		return nil
	}
	tickets := &control.Tickets{Store: g.store, Secret: g.config.TLS.Secret, Use: g.server.SetTicketKeys, Log: g.log}
	if g.source.Status().Read { // a start from disk has waited long enough
		soon, cancel := context.WithTimeout(ctx, ticketPatience)
		defer cancel()
		if err := tickets.Refresh(soon); err != nil && ctx.Err() == nil {
			g.log.Warn("TLS sessions of before are not resumed yet: their keys cannot be read", "error", err)
		}
	}
	g.inBackground(tickets.Run)
	return ctx.Err()
}
