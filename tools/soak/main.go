// Command soak holds a gateway under a load that is long, slow or hostile, and says whether it stayed what it was: the same memory, the
// same descriptors, no answer lost or crossed.
//
//	go run ./tools/soak                                   all scenarios, ten minutes
//	go run ./tools/soak -scenario origin-chaos -duration 30s
//
// It builds the gateway, runs it as an operator would (sluice run, a configuration file, an empty data directory, routes put through the admin
// API), and looks at it from outside: through its listener, its metrics and /proc. Client, gateway and origins are on 127.0.0.0/8; nothing else is
// talked to. Every scenario has a gateway and origins of its own:
//
//	idle-active    as many idle connections as the gateway may have, and what one costs; then some beside others that work: memory, descriptors, goroutines
//	slow-download  clients that take a large answer slowly: the gateway must not hold what they have not taken
//	slow-upload    the same towards a slow origin, with a Content-Length and in chunks
//	origin-chaos   origins that are killed, restarted, silent, or talk nonsense
//	abuse          clients and origins that keep to no rule, and a gateway that runs out of descriptors
//	memory         clients that read nothing, and a gateway that runs out of memory
//
// It prints one table, and exits with 1 when a verdict is FAIL, with 2 when it was called wrongly. A short form of each scenario runs as a test.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	duration time.Duration // of all scenarios that run, together
	idle     int           // connections of idle-active that rest
	active   int           // connections of idle-active that work
	scenario string
	binary   string // "" = built
	seed     uint64
}

// scenario is one of the ways to hold a gateway under load.
type scenario struct {
	name  string
	share int // of the duration, in percent, when all of them run
	run   func(ctx context.Context, h *harness, r *report) error
}

// scenarios, with what each gets of the time: flat memory takes minutes to be seen, the rest shows itself sooner.
var scenarios = []scenario{
	{"idle-active", 50, idleActive},
	{"slow-download", 10, slowDownload},
	{"slow-upload", 10, slowUpload},
	{"origin-chaos", 15, originChaos},
	{"abuse", 10, abuse},
	{"memory", 5, shortage},
}

// harness is what a scenario is given.
type harness struct {
	binary string
	hold   string // tools/hold
	dir    string // for this scenario's files
	out    io.Writer
	size   sizes
}

// sizes is how much of everything a scenario does.
type sizes struct {
	duration time.Duration
	sample   time.Duration // between two looks at the gateway
	idle     int           // idle-active: connections that rest
	active   int           // idle-active: connections that work
	rate     int           // idle-active: requests a second of all working connections together
	body     int64         // slow-*: bytes of the large body
	clients  int           // origin-chaos: connections
	crowd    int           // abuse: connections of the cases that need many
	patience time.Duration // abuse: the gateway's timeouts
	seed     uint64
}

// sizes returns what the command line asks for, for a scenario that has so much time.
func (o *options) sizes(d time.Duration) sizes {
	// A body that a client takes at slowRate in 60 % of the time, so that the run ends in time on a machine that is busy.
	body := min(int64(1<<30), int64(d.Seconds()*0.6*slowRate))
	return sizes{
		duration: d, sample: time.Second, idle: o.idle, active: o.active, rate: max(o.active, 1), body: body,
		clients: 256, crowd: min(o.idle/2, 10_000), patience: 2 * time.Second, seed: o.seed,
	}
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main without a process around it. It returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	opt, err := parse(args, stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		fmt.Fprintln(stderr, "soak:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ok, err := soak(ctx, opt, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "soak:", err)
		return 1
	}
	if !ok {
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (*options, error) {
	var o options
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.DurationVar(&o.duration, "duration", 10*time.Minute, "how long all of it takes, about")
	f.IntVar(&o.idle, "idle", 20_000, "connections that rest (idle-active); half as many, and 10,000 at most, are the crowd of abuse")
	f.IntVar(&o.active, "active", 2_000, "connections that work (idle-active)")
	f.StringVar(&o.scenario, "scenario", "all", "all, or one of "+strings.Join(names(), ", "))
	f.StringVar(&o.binary, "sluice", "", "the gateway's binary; without one it is built")
	f.Uint64Var(&o.seed, "seed", 1, "of everything that is drawn at random")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case f.NArg() > 0:
		return nil, fmt.Errorf("%q is not a flag", f.Arg(0))
	case o.duration < 5*time.Second || o.duration > 24*time.Hour:
		return nil, fmt.Errorf("-duration %v: from 5s to 24h", o.duration)
	case o.idle < 100 || o.active < 1:
		return nil, fmt.Errorf("-idle %d -active %d: at least 100 and 1", o.idle, o.active)
	case o.scenario != "all" && !slices.Contains(names(), o.scenario):
		return nil, fmt.Errorf("-scenario %s: all, or one of %s", o.scenario, strings.Join(names(), ", "))
	}
	return &o, nil
}

func names() []string {
	var list []string
	for _, s := range scenarios {
		list = append(list, s.name)
	}
	return list
}

// soak runs what was asked for and prints the table. It reports whether every verdict is good.
func soak(ctx context.Context, o *options, out io.Writer) (bool, error) {
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	binary, err := gatewayBinary(ctx, o.binary, dir)
	if err != nil {
		return false, err
	}
	hold, err := build(ctx, "sluice/tools/hold", filepath.Join(dir, "hold"))
	if err != nil {
		return false, err
	}
	var reports []*report
	for _, s := range scenarios {
		d := o.duration * time.Duration(s.share) / 100
		switch o.scenario {
		case "all":
		case s.name:
			d = o.duration
		default:
			continue
		}
		h := &harness{binary: binary, hold: hold, dir: filepath.Join(dir, s.name), out: out, size: o.sizes(d)}
		reports = append(reports, h.run(ctx, s))
		if ctx.Err() != nil {
			break
		}
	}
	return printTable(out, reports), ctx.Err()
}

// run runs one scenario. What keeps it from running is a failed verdict like any other.
func (h *harness) run(ctx context.Context, s scenario) *report {
	fmt.Fprintf(h.out, "%s: about %v\n", s.name, h.size.duration.Round(time.Second))
	r := &report{scenario: s.name}
	start := time.Now()
	err := os.Mkdir(h.dir, 0o700)
	if err == nil {
		err = s.run(ctx, h, r)
	}
	if err != nil {
		r.fail("runs to its end", err)
	}
	r.note("time taken", time.Since(start).Round(100*time.Millisecond).String())
	return r
}

// say tells how far a scenario has come.
func (h *harness) say(format string, args ...any) { fmt.Fprintf(h.out, "  "+format+"\n", args...) }

// gatewayBinary returns the binary that was given, or builds one as a release is built.
func gatewayBinary(ctx context.Context, given, dir string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	return build(ctx, "sluice", filepath.Join(dir, "sluice"))
}

// build makes a program of this module, and returns where it is.
func build(ctx context.Context, what, binary string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, what).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", what, err, out)
	}
	return binary, nil
}
