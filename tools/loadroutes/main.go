// Command loadroutes fills an etcd of its own, or one that it is told of, with many routes and services, starts the gateway on it, and prints what
// that costs: the time to load them, memory for each route, how soon a change is in force on every worker, and CPU for a request with few and with many routes.
//
//	go run ./tools/loadroutes                                     # 100,000 routes, 10,000 services, an etcd in a process of its own
//	go run ./tools/loadroutes -routes 1000000 -timeout 10m
//	go run ./tools/loadroutes -etcd 127.0.0.1:2379                # below /loadroutes/ there, which is not removed
//
// Only loopback addresses are listened on, and what was started is ended. With -check it fails where a figure is above its bound.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// The prefixes in the store.
const (
	manyPrefix  = "/loadroutes/many/"
	fewPrefix   = "/loadroutes/few/"
	fewRoutes   = asked // so that no more is colder in the caches than the table
	fewServices = 100
)

// options is the command line.
type options struct {
	routes, services, changes, connections, workers int
	etcd, sluice                                    string
	check                                           bool
	timeout                                         time.Duration
}

func init() {
	// The kernel tells children of the death of the thread that started them: they are all started on the one that lives as long as the process.
	runtime.LockOSThread()
}

func main() {
	if dir, ok := os.LookupEnv(serveEnv); ok {
		serveStore(dir)
	}
	var o options
	flag.IntVar(&o.routes, "routes", 100_000, "routes")
	flag.IntVar(&o.services, "services", 10_000, "services they lead to")
	flag.IntVar(&o.changes, "changes", 200, "changes, one after the other, whose way is timed")
	flag.IntVar(&o.connections, "connections", 16, "connections that look for a change; the kernel spreads them over the workers")
	flag.IntVar(&o.workers, "workers", runtime.NumCPU(), "workers of the gateway")
	flag.StringVar(&o.etcd, "etcd", "", "endpoint of an etcd; none = one is started")
	flag.StringVar(&o.sluice, "sluice", "", "binary of the gateway; none = it is built")
	flag.BoolVar(&o.check, "check", false, "fail where a figure is above its bound")
	flag.DurationVar(&o.timeout, "timeout", 5*time.Minute, "give up after")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := run(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "loadroutes:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options) (err error) {
	if flag.NArg() > 0 || o.routes <= fewRoutes || o.services < 1 || o.changes < 1 || o.connections < 1 || o.workers < 1 {
		return fmt.Errorf("bad usage: see -h; more than %d routes", fewRoutes)
	}
	dir, err := os.MkdirTemp("", "loadroutes-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := o.sluice
	if binary == "" {
		if binary, err = build(ctx, dir); err != nil {
			return err
		}
	}
	store, err := openStore(ctx, o.etcd, filepath.Join(dir, "etcd"))
	if err != nil {
		return err
	}
	defer store.close()

	few, err := measureFew(ctx, o, store, binary, filepath.Join(dir, "few"))
	if err != nil {
		return err
	}
	many, err := measureMany(ctx, o, store, binary, filepath.Join(dir, "many"))
	if err != nil {
		return err
	}
	return report(os.Stdout, o, few, many)
}

// measureFew is the gateway with no more routes than are asked for, to compare with.
func measureFew(ctx context.Context, o *options, store *store, binary, dir string) (f figures, err error) {
	if err := store.fill(ctx, fewPrefix, fewRoutes, fewServices); err != nil {
		return f, err
	}
	g, err := startGateway(ctx, o, store, fewPrefix, binary, dir)
	if err != nil {
		return f, err
	}
	defer g.stop()
	if f, err = g.settled(); err != nil {
		return f, err
	}
	f.cpu, err = g.cpuPerRequest(ctx, o, fewRoutes)
	return f, err
}

// measureMany is the gateway with everything.
func measureMany(ctx context.Context, o *options, store *store, binary, dir string) (f figures, err error) {
	begin := time.Now()
	if err := store.fill(ctx, manyPrefix, o.routes, o.services); err != nil {
		return f, err
	}
	fmt.Printf("%d routes and %d services were written in %v\n", o.routes, o.services, time.Since(begin).Round(time.Millisecond))
	g, err := startGateway(ctx, o, store, manyPrefix, binary, dir)
	if err != nil {
		return f, err
	}
	defer g.stop()
	if f, err = g.settled(); err != nil {
		return f, err
	}
	if f.cpu, err = g.cpuPerRequest(ctx, o, o.routes); err != nil {
		return f, err
	}
	if f.changes, err = g.timeChanges(ctx, o, store); err != nil {
		return f, err
	}
	f.still, f.busy, err = g.underChurn(ctx, o, store)
	return f, err
}
