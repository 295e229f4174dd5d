package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options is the command line.
type options struct {
	scenarios   []scenario
	rivals      []string // names, in the order of the table
	with        []command
	rounds      int
	duration    time.Duration // of one wrk run
	connections int
	idle        int      // connections of the scenario idle
	routes      []int    // of the scenario routes, in all
	maxRatio    float64  // above this CPU ratio of sluice to nginx the run fails; 0 = never
	repo        string   // root of the repository, to build sluice from
	sluice      string   // binary to use instead of building one
	out         string   // folder for the reports
	report      string   // folder of a run whose page and plots are made again; "" = measure
	profile     string   // file for sluice's CPU profile of all turns; "" = none is taken
	args        []string // as they were given
}

// command is a rival given on the command line: a program that is to be measured beside the known ones.
type command struct {
	name string
	line string // words separated by spaces; {port} and {origin} stand for the ports to listen on and to forward to
}

// What --quick sets: enough to notice a wrong answer or a cost that has doubled, too little for a figure.
const (
	quickScenarios = "small,tls-small"
	quickRounds    = 2
	quickDuration  = 2 * time.Second
	// The goal is below 0.85. Two rounds of two seconds on a busy machine have been seen 0.2 off, so 1.5 is beyond any such mishap.
	quickMaxRatio = 1.5
)

func parseOptions(args []string, stderr io.Writer) (*options, error) {
	opt := &options{args: args}
	f := flag.NewFlagSet("bench/run", flag.ContinueOnError)
	f.SetOutput(stderr)
	names := f.String("scenario", "small", scenarioNames()+", several with commas, or all; with -quick "+quickScenarios)
	rivals := f.String("rivals", "sluice,nginx,haproxy", "who is measured; also caddy, fasthttp, reverseproxy and netpoll")
	routes := f.String("routes", "1,1000,100000", "how many routes there are in the scenario routes, one after the other")
	quick := f.Bool("quick", false, "a short run for CI: 2 rounds of 2s; fails on a wrong answer or a CPU ratio to nginx above 1.5")
	f.IntVar(&opt.rounds, "rounds", 5, "rounds; in each, every rival has one turn")
	f.DurationVar(&opt.duration, "duration", 5*time.Second, "length of one turn")
	f.IntVar(&opt.connections, "connections", 64, "connections of wrk")
	f.IntVar(&opt.idle, "idle-connections", 20_000, "connections of the scenarios idle and tls-idle, as far as the descriptors of a gateway allow (ulimit -Hn)")
	f.Float64Var(&opt.maxRatio, "max-ratio", 0, "fail when sluice's CPU per request is above this multiple of nginx's; 0 = never")
	f.StringVar(&opt.repo, "repo", "..", "root of the repository")
	f.StringVar(&opt.sluice, "sluice", "", "sluice binary to measure; none = build one from the repository")
	f.StringVar(&opt.out, "out", "out", "folder for reports, one folder a run; empty = none")
	f.StringVar(&opt.report, "report", "", "folder of a run: make its page and plots again from its raw results, and measure nothing")
	f.StringVar(&opt.profile, "profile", "", "file for sluice's CPU profile of all turns, which costs some percent; empty = none")
	f.Func("with", "another rival, as NAME=COMMAND with {port} and {origin} for the two ports; repeatable", opt.addCommand)
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%w: %q is not a flag", errUsage, f.Arg(0))
	}
	opt.rivals = strings.Split(*rivals, ",")
	if *quick {
		opt.makeQuick(f, names)
	}
	var err error
	if opt.scenarios, err = findScenarios(*names); err != nil {
		return nil, err
	}
	if opt.routes, err = parseRoutes(*routes); err != nil {
		return nil, err
	}
	return opt, opt.validate()
}

func parseRoutes(list string) (counts []int, err error) {
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > 1_000_000 {
			return nil, fmt.Errorf("%w: -routes has %q: numbers from 1 to 1000000, with commas", errUsage, word)
		}
		counts = append(counts, n)
	}
	return counts, nil
}

// mostConnections is what the gateways' pools must hold in any of the scenarios: a stream of HTTP/2 has a connection to the origin while it is under way.
func (opt *options) mostConnections() int {
	most := opt.connections
	for _, s := range opt.scenarios {
		if s.variants != nil {
			for _, v := range s.variants(opt) {
				most = max(most, v.job.concurrency())
			}
		}
	}
	return most
}

// tools are the programs that the run needs: nginx in any case, since it is the origin.
func (opt *options) tools() []string {
	list := []string{"nginx", "wrk"}
	if slices.Contains(opt.rivals, "haproxy") {
		list = append(list, "haproxy")
	}
	for _, s := range opt.scenarios {
		switch {
		case s.name == "syscalls":
			list = append(list, "strace")
		case s.variants != nil && slices.ContainsFunc(s.variants(opt), func(v variant) bool { return v.job.streams > 0 && (!v.job.grpc || v.job.h2load) }):
			list = append(list, "h2load")
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// checkRivals refuses a name that is unknown, or stands for two.
func (opt *options) checkRivals() error {
	names := slices.Clone(opt.rivals)
	for _, name := range names {
		if _, err := starter(name); err != nil {
			return err
		}
	}
	for _, c := range opt.with {
		names = append(names, c.name)
	}
	slices.Sort(names)
	for i, name := range names {
		if i > 0 && name == names[i-1] {
			return fmt.Errorf("%w: two rivals have the name %q", errUsage, name)
		}
	}
	return nil
}

func (opt *options) addCommand(text string) error {
	name, line, ok := strings.Cut(text, "=")
	if !ok || name == "" || !strings.Contains(line, "{port}") {
		return errors.New("write NAME=COMMAND, with {port} in the command")
	}
	opt.with = append(opt.with, command{name, line})
	return nil
}

// makeQuick shortens what the command line does not set itself.
func (opt *options) makeQuick(f *flag.FlagSet, names *string) {
	set := map[string]bool{}
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if !set["scenario"] {
		*names = quickScenarios
	}
	if !set["rounds"] {
		opt.rounds = quickRounds
	}
	if !set["duration"] {
		opt.duration = quickDuration
	}
	if !set["max-ratio"] {
		opt.maxRatio = quickMaxRatio
	}
}

func (opt *options) validate() error {
	switch {
	case opt.rounds < 1:
		return fmt.Errorf("%w: -rounds is %d: at least 1", errUsage, opt.rounds)
	case opt.duration < time.Second || opt.duration%time.Second != 0:
		return fmt.Errorf("%w: -duration is %s: whole seconds, as wrk wants them", errUsage, opt.duration)
	case opt.connections < 1 || opt.connections > maxConnections:
		return fmt.Errorf("%w: -connections is %d: 1 to %d", errUsage, opt.connections, maxConnections)
	case opt.idle < 2*firstIdle || opt.idle > maxIdle:
		return fmt.Errorf("%w: -idle-connections is %d: %d to %d", errUsage, opt.idle, 2*firstIdle, maxIdle)
	}
	return opt.checkRivals()
}
