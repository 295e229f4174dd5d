package cli

import (
	"context"
	"runtime/debug"
	"time"

	"sluice/control"
	"sluice/control/admin"
	"sluice/control/etcd"
	"sluice/control/lastgood"
	"sluice/core/observe"
	"sluice/proxy"
)

const (
	// storePatience is how long a start waits for the store where there is a last good state on disk to serve instead: with what else a start takes, it serves
	// within a second.
	storePatience = 750 * time.Millisecond

	// resyncJitter spreads the full reads of gateways that have lost their watch by the same cause. The embedded store has one gateway.
	resyncJitter = 2 * time.Second

	confirmPeriod = 30 * time.Second // how exactly the file on disk knows since when it is stale
	largeBatch    = 10_000           // changes that leave more behind than is worth keeping
	tidyAfter     = 5 * time.Second  // by then they are on disk too
	rebuildPeriod = 10 * time.Minute // between comparisons of the table with one made anew: half a second of one CPU for 100,000 routes
)

// startControl puts in force what is on disk, and follows the store.
func (g *gateway) startControl(context.Context) error {
	g.keeper = lastgood.New(g.config.DataDir, g.config.Etcd.Prefix, g.log)
	large := make(chan struct{}, 1)
	keep := func(changes []control.Change, revision int64) {
		g.keeper.Keep(changes, revision)
		if len(changes) >= largeBatch {
			select {
			case large <- struct{}{}:
			default:
			}
		}
	}
	g.engine = control.NewEngine(control.Options{
		Upstream: g.registry, Stats: g.stats, Log: g.log, Configure: g.configure, Keep: keep, Publish: func(s *proxy.Snapshot) {
			g.server.Publish(s)
			g.stats.SetRevision(s.Revision)
		},
	})
	options := etcd.Options{Log: g.log, Known: g.keeper.Replay(g.engine)}
	if g.embedded == nil {
		options.ResyncJitter = resyncJitter
	}
	g.source = etcd.NewSource(g.client, options)
	g.stats.SetStore(g.storeState)
	g.inBackground(g.keeper.Run)
	g.holder = control.NewHolder(control.HolderOptions{
		Engine: g.engine, Stats: g.stats, Health: g.registry.Status, LeaseEnded: g.client.LeaseEnded, Log: g.log,
		StoreLost: func() time.Time { return g.source.Status().LastLoss },
	})
	g.onStop(func(context.Context) error { g.holder.Close(); return nil })
	g.inBackground(func(ctx context.Context) { _ = g.source.Run(ctx, g.holder) }) // it ends with ctx, and says no more than that
	g.inBackground(g.confirm)
	g.inBackground(g.rebuild)
	g.inBackground(func(ctx context.Context) { tidy(ctx, large) })
	return nil
}

// inBackground runs f until the gateway stops. What was started last is stopped first.
func (g *gateway) inBackground(f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f(ctx)
	}()
	g.onStop(func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
}

// confirm tells the keeper, again and again, that what is in force is the store's.
func (g *gateway) confirm(ctx context.Context) {
	ticker := time.NewTicker(confirmPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
		if g.source.Status().Connected {
			g.keeper.Confirm()
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// tidy gives memory back to the system some time after a large batch: a full read of 100,000 routes leaves 200 MB behind, which the collector would keep for
// a second one that does not come.
func tidy(ctx context.Context, large <-chan struct{}) {
	for {
		select {
		case <-large:
		case <-ctx.Done():
			return
		}
		wait := time.NewTimer(tidyAfter)
		select {
		case <-wait.C:
			debug.FreeOSMemory()
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

// rebuild compares, again and again, the table of routes with one that is made anew.
func (g *gateway) rebuild(ctx context.Context) {
	ticker := time.NewTicker(rebuildPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			g.engine.Rebuild()
		case <-ctx.Done():
			return
		}
	}
}

// firstSnapshot waits for the store's first word. Where there is a last good state on disk it waits storePatience, and then that is served. Nobody waits for an embedded store that
// cannot be started.
func (g *gateway) firstSnapshot(ctx context.Context) error {
	if g.embedded != nil && g.embedded.dead != nil {
		disk := g.keeper.Status()
		if !disk.Loaded {
			return g.embedded.dead
		}
		g.log.Error("the embedded etcd cannot be started: the last good state from disk is served, and nothing can be changed until the gateway is started anew with a store",
			"revision", disk.Revision, "age", time.Since(disk.Current).Round(time.Second).String(), "error", g.embedded.dead)
		return nil
	}
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	begin := time.Now()
	for warned := begin; !g.source.Status().Read; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
		if disk := g.keeper.Status(); disk.Loaded && time.Since(begin) > storePatience {
			g.log.Warn("the store has not answered in time: serving the last good state from disk", "revision", disk.Revision,
				"age", time.Since(disk.Current).Round(time.Second).String(), "error", g.source.Status().Error)
			return nil
		}
		if time.Since(warned) > 5*time.Second {
			warned = time.Now()
			g.log.Warn("still waiting for the store: nothing is served before the first snapshot", "error", g.source.Status().Error)
		}
	}
	return nil
}

// storeState tells a scrape how the connection to the store stands.
func (g *gateway) storeState() observe.StoreState {
	s, disk := g.source.Status(), g.keeper.Status()
	out := observe.StoreState{Connected: s.Connected, LastContact: s.LastContact, Revision: s.Revision, Resyncs: s.Resyncs, Audits: s.Audits,
		FromDisk: disk.Loaded && !s.Read, DiskRevision: disk.Revision, DiskFailures: disk.Failures}
	if out.FromDisk {
		out.LastContact = disk.Current // of the process that wrote it
	}
	return out
}

// sourceStatus tells the admin API the same, and why.
func (g *gateway) sourceStatus() admin.SourceStatus {
	s, disk := g.source.Status(), g.keeper.Status()
	if g.embedded != nil && g.embedded.dead != nil {
		s.Error = g.embedded.dead.Error()
	}
	return admin.SourceStatus{StoreState: g.storeState(), Error: s.Error, Server: s.Server, DiskCurrent: disk.Current, DiskError: disk.Error}
}
