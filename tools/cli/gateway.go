package cli

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"

	"go.uber.org/automaxprocs/maxprocs"

	"sluice/control"
	"sluice/control/admin"
	"sluice/control/etcd"
	"sluice/control/file"
	"sluice/control/lastgood"
	"sluice/core/observe"
	"sluice/internal/handoff"
	"sluice/proxy"
	"sluice/upstream"
)

// gateway is everything that runs in the process, in the order in which it is started. It is stopped the other way round.
//
//	etcd ──► source ──► holder ──► engine ──► server (workers)
//	  ▲                             ▲  │        ▲
//	store ◄── admin                 keeper      └── clients
//
// Its fields belong to the goroutine that starts it and waits.
type gateway struct {
	plan

	embedded *embedded // nil with an external etcd
	client   *etcd.Client
	store    *etcd.Store
	source   *etcd.Source
	stats    *observe.Registry
	access   *observe.AccessLog // nil when off
	server   *proxy.Server
	registry *upstream.Registry
	engine   *control.Engine
	holder   *control.Holder
	keeper   *lastgood.Keeper
	admin    *admin.Server
	panel    *upstream.Service // the admin API, for the workers; nil until it was exposed
	live     live

	listened atomic.Bool // clients may be connected
	draining atomic.Bool // nobody is let in any more, and nobody else listens
	closers  []func(context.Context) error
}

// plan is what a gateway is to be, beyond what its configuration says.
type plan struct {
	config    *file.Config // what is in force; a reload changes it
	log       *slog.Logger
	level     *slog.LevelVar               // of log; nil = it stays as it is
	load      func() (*file.Config, error) // reads the configuration again, for SIGHUP
	program   *handoff.Program             // what SIGUSR2 starts; nil = it cannot be done
	inherited *handoff.Inheritance         // from the process that this one replaces; nil = none
	pidFile   string                       // "" = none
}

// startGateway starts everything and returns once the first snapshot is in force and the listeners are open. It stops what it has started
// when it fails or ctx ends.
func startGateway(ctx context.Context, p plan) (*gateway, error) {
	g := &gateway{plan: p}
	look, wait := g.startAdmin, g.firstSnapshot
	if p.inherited != nil {
		// Whoever accepts must be able to answer: as long as the snapshot is missing, the process that this one replaces can.
		look, wait = wait, look
	}
	for _, step := range []func(context.Context) error{g.makeDataDir, g.startStore, g.startWorkers, g.startControl, look, wait, g.startTickets, g.listen, g.startAuthorities, g.announce} {
		if err := step(ctx); err != nil {
			g.stop(context.Background(), nil)
			return nil, err
		}
	}
	return g, nil
}

func (g *gateway) makeDataDir(context.Context) error {
	if err := os.MkdirAll(g.config.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	return nil
}

// startStore connects to etcd, or starts one.
func (g *gateway) startStore(ctx context.Context) error {
	config := etcd.Config(g.config.Etcd)
	if len(config.Endpoints) == 0 {
		e, err := startEmbedded(ctx, g.config.DataDir, g.inherited.Note(noteEtcd), g.log)
		if err != nil {
			return err
		}
		g.embedded = e
		g.onStop(e.stop)
		config.Endpoints = []string{e.endpoint()}
	}
	client, err := etcd.NewClient(config)
	if err != nil {
		return err
	}
	g.client = client
	if g.embedded != nil {
		g.embedded.use(client)
	}
	g.onStop(func(context.Context) error { client.Close(); return nil })
	g.store = etcd.NewStore(client)
	return nil
}

// startWorkers makes the event loops. They run once there is something to serve.
func (g *gateway) startWorkers(context.Context) error {
	workers := processors(g.config.Workers)
	g.stats = observe.NewRegistry(workers)
	g.stats.SetVersion(Version)
	access, err := observe.OpenAccessLog(g.config.AccessLog, workers)
	if err != nil {
		return err
	}
	g.access = access
	g.stats.SetAccessLog(access)
	g.onStop(func(context.Context) error {
		g.stats.SetAccessLog(nil)
		return g.access.Close()
	})
	trusted, err := proxy.ParseTrustedProxies(g.config.TrustedProxies)
	if err != nil {
		return err
	}
	g.server, err = proxy.New(proxy.Config{
		Workers:        workers,
		PinWorkers:     g.config.PinWorkers,
		NoRing:         !g.config.IOUring,
		NoPass:         !g.config.Splice,
		Listeners:      g.config.Listeners,
		TrustedProxies: trusted,
		Limits:         g.config.Limits,
		Timeouts:       g.config.Timeouts,
	}, g.stats, g.log)
	if err != nil {
		return err
	}
	g.live.level = g.level
	g.live.begin(g.server, proxy.Settings{TrustedProxies: trusted, Limits: g.config.Limits, Timeouts: g.config.Timeouts})
	g.registry = upstream.NewRegistry(g.server.Loops(), g.stats)
	g.registry.SetZone(g.config.Zone)
	g.registry.SetHealthDefaults(upstream.StandardHealth())
	g.onStop(func(context.Context) error {
		g.registry.Close()
		g.server.Close()
		return nil
	})
	return nil
}

// processors returns the number of event loops, and gives the runtime two processors more than that: with as many as loops, the control plane and the
// collector would have to wait for a loop to sleep. automaxprocs knows what a container may use.
func processors(workers int) int {
	if _, err := maxprocs.Set(); err == nil && workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if workers == 0 {
		workers = runtime.NumCPU()
	}
	runtime.GOMAXPROCS(workers + 2)
	return workers
}

// configure puts settings of the store in force. Called by the goroutine that runs the engine, which owns the registry.
func (g *gateway) configure(s control.LiveSettings) {
	g.live.setStored(s)
	g.registry.SetHealthDefaults(cmp.Or(s.Health, upstream.StandardHealth()))
}

// startAdmin opens the admin API.
func (g *gateway) startAdmin(context.Context) error {
	token, err := adminToken(g.config)
	if err != nil {
		return err
	}
	address, err := proxy.ParseListenAddress(g.config.Admin.Address)
	if err != nil {
		return err
	}
	g.admin = admin.New(admin.Deps{
		Store: g.store, Token: token, Version: Version, Workers: len(g.server.Loops()), Log: g.log,
		Status: g.engine.Status, Source: g.sourceStatus, Held: g.holder.Held,
		Nodes: g.registry.Status, Explain: g.server.Explain, Snapshot: g.server.Snapshot, Claimants: g.engine.Claimants, Uncertified: g.server.Uncertified,
		Ready: func() bool { return g.listened.Load() && !g.draining.Load() },
		Stats: g.stats,
	})
	if fds := g.inherited.Take(adminSocket(address)); len(fds) > 0 {
		err = g.admin.StartOn(fds[0])
	} else {
		err = g.admin.Start(address.String())
	}
	if err != nil {
		return err
	}
	g.onStop(g.admin.Shutdown)
	return g.expose(g.config.Admin.Expose)
}

// adminToken returns the token that the configuration names, or that of the data directory.
func adminToken(config *file.Config) (string, error) {
	if config.Admin.Token != "" {
		return config.Admin.Token, nil
	}
	return admin.LoadOrCreateToken(config.DataDir)
}

// listen lets clients in.
func (g *gateway) listen(context.Context) error {
	g.server.Inherit(inheritedListeners(g.inherited))
	if err := g.server.Listen(); err != nil {
		return err
	}
	g.server.Start()
	g.listened.Store(true)
	return nil
}

// announce tells whom it concerns that this process serves.
func (g *gateway) announce(context.Context) error {
	if g.pidFile != "" {
		if err := writePIDFile(g.pidFile); err != nil {
			return err
		}
		g.onStop(func(context.Context) error { return removePIDFile(g.pidFile) })
	}
	g.log.Info("serving", "listeners", fmt.Sprint(g.server.Addrs()), "admin", g.admin.Addr().String(), "workers", len(g.server.Loops()),
		"routes", g.engine.Status().Routes, "revision", g.engine.Status().Revision, "pid", os.Getpid())
	if g.inherited == nil {
		return nil
	}
	if err := g.inherited.Ready(); err != nil {
		g.log.Warn("upgrade: the process that is to be replaced does not listen", "error", err)
	}
	if g.embedded != nil {
		g.embedded.takeOver()
	}
	return nil
}

// onStop remembers how to stop what was just started.
func (g *gateway) onStop(f func(context.Context) error) { g.closers = append(g.closers, f) }
