// Command bench measures Sluice beside nginx and HAProxy doing the same job on the same machine in the same minutes.
//
// It starts an origin and the rivals, checks that each rival really does the job (jobcheck.go), loads them in turn with wrk in
// interleaved rounds, and prints one table. Only ratios within one run carry over to another machine or another day: the
// absolute figures of one and the same program move by a third with the machine's mood.
//
// Run it as bench/run, which installs wrk, nginx and haproxy first where it can. README.md tells how to read the tables.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// errUsage marks a command line that makes no sense: exit code 2.
var errUsage = errors.New("bad usage")

// errResult marks a run that went through but whose answers or figures are not good enough: exit code 1.
var errResult = errors.New("result refused")

func init() {
	// Children are told of this process's death (process.go) by the death of the thread that started them, so they are all
	// started from the main goroutine on the one thread that lives as long as the process.
	runtime.LockOSThread()
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	os.Exit(exitCode(err))
}

func exitCode(err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	return 1
}

// run is the whole program but for the exit.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opt, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	if opt.report != "" {
		return remakeReport(opt.report, stdout)
	}
	h, err := newHarness(ctx, opt, stderr)
	if err != nil {
		return err
	}
	defer h.close()
	var failed []error
	var records []*record
	for _, s := range opt.scenarios {
		fmt.Fprintf(stdout, "\n%s: %s\n", s.name, s.about(opt))
		rec, err := s.measure(ctx, h, stdout)
		records = append(records, rec)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", s.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	if err := h.writeProfile(ctx); err != nil {
		failed = append(failed, err)
	}
	if err := writeReport(opt, h, records); err != nil {
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// measure runs the scenario and prints its tables. The record has what there is, also beside an error, and then says that it does not count.
func (s scenario) measure(ctx context.Context, h *harness, stdout io.Writer) (*record, error) {
	started := time.Now()
	rec, err := s.run(ctx, h)
	rec.Seconds = time.Since(started).Seconds()
	if presented := s.present(rec); presented != nil {
		return rec, errors.Join(err, presented)
	}
	if err != nil {
		refused := rec.err()
		rec.fail("it was not measured to its end: %v", cmp.Or(context.Cause(ctx), err))
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted: %w", err)
		}
		err = errors.Join(err, refused)
	} else {
		if s.variants != nil {
			judge(rec, rec.rows, h.opt.maxRatio)
		}
		err = rec.err()
	}
	return rec, errors.Join(rec.print(stdout), err)
}

// scenario is one kind of measurement.
type scenario struct {
	name     string
	about    func(*options) string
	variants func(*options) []variant // of a load; nil of the others
	run      func(ctx context.Context, h *harness) (*record, error)
	present  func(rec *record) error // makes tables, and a load's rows, of the raw result
}

// scenarios in the order in which "all" runs them.
var scenarios = append(loadScenarios,
	scenario{name: "idle", about: aboutIdle, run: runIdle, present: presentIdle},
	scenario{name: "tls-idle", about: func(o *options) string { return aboutIdle(o) + ", over TLS" }, run: runIdleTLS, present: presentIdle},
	scenario{name: "start", about: aboutStart, run: runStart, present: presentStart},
	scenario{name: "syscalls", about: aboutSyscalls, run: runSyscalls, present: presentSyscalls},
)

func findScenarios(list string) ([]scenario, error) {
	if list == "all" {
		return scenarios, nil
	}
	var found []scenario
next:
	for name := range strings.SplitSeq(list, ",") {
		for _, s := range scenarios {
			if s.name == name {
				found = append(found, s)
				continue next
			}
		}
		return nil, fmt.Errorf("%w: no scenario %q: choose of %s, or all", errUsage, name, scenarioNames())
	}
	return found, nil
}

func scenarioNames() string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}
