package proxy

import (
	"sluice/core/observe"
	"sluice/plugin"
	"sluice/router"
	"sluice/upstream"

	"time"
)

// Snapshot is one compiled configuration. It is immutable: an exchange loads the pointer once and works with what it found to its end,
// whatever is published meanwhile.
type Snapshot struct {
	Revision int64                 // of the store, that this snapshot shows
	Routes   *router.Table[*Route] // never nil
	Services []*upstream.Service   // by Route.Service; nil where the service has no node and no configuration

	Plugins      *plugin.Chain // of every route, around its own; nil = none
	Certificates *Certificates // nil = none
	Challenges   *Challenges   // nil = none
}

// Route is what a match leads to.
type Route struct {
	ID          string
	ServiceName string
	Service     int            // index into Snapshot.Services; the same for a service's whole life
	GRPC        bool           // protocol: grpc
	Chain       *plugin.Chain  // never nil
	Stats       *observe.Route // never nil
	Timeout     RouteTimeout
	Attempts    int // tries in all; 0 = the service's
}

// RouteTimeout overrides the service's bounds where it is not zero.
type RouteTimeout struct {
	Connect  time.Duration
	Response time.Duration
	PerTry   time.Duration
	Total    time.Duration
}
