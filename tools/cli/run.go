package cli

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"sluice/control/file"
	"sluice/core/event"
	"sluice/internal/handoff"
)

func newRun() *cobra.Command {
	var s settings
	var pidFile string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the gateway in the foreground",
		Long: "Run the gateway in the foreground.\n\nSIGTERM and SIGINT drain, a second one stops at once; SIGHUP reads the configuration again and applies what can\n" +
			"change live; SIGUSR2 starts the binary that is now at the program's path in the place of this process.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, level, err := s.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			program, err := handoff.Self()
			if err != nil {
				return err
			}
			inherited, err := handoff.Receive()
			if err != nil {
				return err
			}
			config, err := s.load(cmd)
			if err != nil {
				return err
			}
			p := plan{
				config: config, log: log, level: level, program: &program, inherited: inherited, pidFile: pidFile,
				load: func() (*file.Config, error) { return s.read(cmd) },
			}
			return serve(cmd.Context(), p, func(*gateway) error { return nil })
		},
	}
	s.addTo(cmd)
	cmd.Flags().StringVar(&pidFile, "pid-file", "", "file that holds the process id while the gateway serves; an upgrade writes the new one")
	return cmd
}

// serve runs a gateway until a signal, an upgrade or ctx ends it. ready is called once it serves; its error ends the gateway.
func serve(ctx context.Context, p plan, ready func(*gateway) error) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR2)
	defer signal.Stop(signals)

	starting, cancel := context.WithCancel(ctx)
	defer cancel()
	started, kept := make(chan struct{}), make(chan []os.Signal, 1)
	go func() { kept <- watchStart(signals, started, cancel) }()
	g, err := startGateway(starting, p)
	close(started)
	for _, sig := range <-kept { // from here on the signals are for the gateway alone
		select {
		case signals <- sig:
		default: // as many as there is room for are waiting already
		}
	}
	if err != nil {
		if starting.Err() != nil && ctx.Err() == nil {
			return nil // stopped by a signal before it served
		}
		return err
	}
	if starting.Err() != nil {
		g.stop(context.Background(), signals) // the signal came in the last moment
		return nil
	}
	if err := ready(g); err != nil {
		g.stop(context.Background(), nil)
		return err
	}
	event.Foreground() // a successor is started from here, and begins with the priority of this thread
	if err := event.GiveWay(); err != nil {
		p.log.Warn("the workers have no precedence over the rest of the process", "error", err)
	}
	return g.wait(ctx, signals)
}

// watchStart looks after the signals until the gateway has started: one that asks the process to end cancels the start. It returns those that the gateway should
// hear of later.
func watchStart(signals <-chan os.Signal, started <-chan struct{}, cancel func()) (kept []os.Signal) {
	for {
		select {
		case sig := <-signals:
			if ends(sig) {
				cancel()
				return nil
			}
			if !slices.Contains(kept, sig) {
				kept = append(kept, sig)
			}
		case <-started:
			return kept
		}
	}
}
