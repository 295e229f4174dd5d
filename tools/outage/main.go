// Command outage kills, freezes, slows and restarts five origins, one after the other and then all at once, and has all of them break off what they are asked, while clients ask at a steady
// rate whatever the answers are. It says what they noticed, what reached the origins, and how soon it was over: behind sluice and, where they are installed, behind nginx and HAProxy with
// settings for the same purpose.
//
//	go run ./tools/outage                                               six minutes, on a machine that does nothing else
//	go run ./tools/outage -sluice /tmp/sluice -only sluice -time 30s    a first look
//
// Everything listens on 127.0.0.1, and every process that it ends is one that it has started.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options are what the run is asked for.
type options struct {
	sluice string
	rivals []string
	length time.Duration
	rate   int
	dir    string
	self   string // this program, which is an origin too
}

func main() {
	var o options
	sluice := flag.String("sluice", "", "the binary to try; empty = it is built")
	only := flag.String("only", "sluice,nginx,haproxy", "proxies to try")
	flag.DurationVar(&o.length, "time", 2*time.Minute, "how long each proxy is tried")
	flag.IntVar(&o.rate, "rate", 300, "requests a second")
	origin := flag.String("origin", "", "be an origin that listens there; the program starts itself so")
	name := flag.String("name", "", "of the origin")
	counts := flag.String("counts", "", "the file in which the origin counts")
	flag.Parse()
	if *origin != "" {
		fmt.Fprintln(os.Stderr, "outage: origin:", serveOrigin(*origin, *name, *counts))
		os.Exit(1)
	}
	o.sluice, o.rivals = *sluice, strings.Split(*only, ",")
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "outage:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "sluice-outage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o.dir = dir
	if o.self, err = os.Executable(); err != nil {
		return err
	}
	if o.sluice == "" {
		o.sluice = filepath.Join(dir, "sluice")
		if err := build(ctx, o.sluice, "."); err != nil {
			return err
		}
	}
	good := true
	var all []*report
	for _, name := range o.rivals {
		if _, err := exec.LookPath(name); name != "sluice" && err != nil {
			fmt.Printf("\n%s is not installed\n", name)
			continue
		}
		r, err := try(ctx, &o, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r.print(os.Stdout)
		if name == "sluice" {
			good = r.keepsPromises(os.Stdout)
		}
		all = append(all, r)
	}
	compare(os.Stdout, all)
	if !good {
		return fmt.Errorf("a promise was not kept")
	}
	return nil
}

func build(ctx context.Context, to, what string) error {
	out, err := exec.CommandContext(ctx, "go", "build", "-o", to, what).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", what, err, out)
	}
	return nil
}

// try runs the script against one proxy.
func try(ctx context.Context, o *options, name string) (*report, error) {
	origins, err := startOrigins(o, 5)
	if err != nil {
		return nil, err
	}
	defer origins.stop()
	p, err := startProxy(ctx, o, name, origins.addresses())
	if err != nil {
		return nil, err
	}
	defer p.stop()
	r := &report{name: name, length: o.length}
	clients := newClients(p.address, o.rate)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		clients.run(ctx, o.length)
	}()
	err = play(ctx, o.length, origins, func(s step) error {
		c, err := origins.counts()
		if err == nil {
			c.probes, err = p.failedProbes()
		}
		r.enter(s, time.Now(), c)
		return err
	})
	if err == nil {
		<-done
	} else {
		cancel()
		<-done
	}
	r.add(clients.take())
	return r, err
}
