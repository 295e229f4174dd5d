package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sluice/control"
	"sluice/upstream/register"
)

// registration is the command line of register.
type registration struct {
	settings
	node    register.Node
	ttl     time.Duration
	wait    time.Duration // for the address to accept connections, with a command
	drain   time.Duration // how long the node stays with weight 0, without a command
	prefix  string        // of the store; "" = as the configuration says
	command []string
}

func newRegister() *cobra.Command {
	var r registration
	cmd := &cobra.Command{
		Use:   "register --service NAME --upstream HOST:PORT [--weight N] [-- CMD…]",
		Short: "Keep a node registered while this command, or the one after --, runs",
		Long: "Keep a node registered under a lease while this command runs, and take it out at the end.\n\nWith a command after --, that one is started, gets the signals, and its exit code is this one's; when it is to stop, the\n" +
			"gateways stop asking the node first. A node whose machine dies is out after --ttl.",
		Args: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); len(args) > 0 && at != 0 {
				return usageError{fmt.Errorf("%q is not expected: a command stands behind --", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r.command = args
			return r.run(cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.node.Service, "service", "", "name of the service")
	f.StringVar(&r.node.Upstream, "upstream", "", "host:port at which the gateways reach the node")
	f.IntVar(&r.node.Weight, "weight", 1, "share of the traffic, from 1 to 65535")
	f.DurationVar(&r.ttl, "ttl", register.DefaultTTL, "how long a node that died stays registered, whole seconds")
	f.DurationVar(&r.wait, "wait", 2*time.Second, "with a command: register once the address accepts connections, but no later than this")
	f.DurationVar(&r.drain, "drain", 5*time.Second, "without a command: how long requests in flight have at the end")
	f.StringVar(&r.prefix, "prefix", "", "what the keys of the store begin with; as the configuration says, or /sluice/")
	r.addStoreTo(cmd)
	return cmd
}

// check reports what is wrong with the node as the gateways will find it.
func (r *registration) check() error {
	value, err := json.Marshal(map[string]any{"service_name": r.node.Service, "upstream": r.node.Upstream, "weight": r.node.Weight})
	if err != nil {
		return err
	}
	if r.node.Weight == 0 {
		return usageError{errors.New("--weight: 0 is a node that gets nothing: leave it out")}
	}
	if _, err := control.DecodeNode(value); err != nil {
		return usageError{err}
	}
	return nil
}

func (r *registration) run(cmd *cobra.Command) error {
	log, _, err := r.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	config, err := r.load(cmd)
	if err != nil {
		return err
	}
	client, closed, err := connect(config)
	if err != nil {
		return err
	}
	defer closed()
	options := register.Options{Prefix: cmp.Or(r.prefix, config.Etcd.Prefix), TTL: r.ttl, Log: log}
	if len(r.command) > 0 {
		return r.runChild(cmd, client.Leases(), options, log)
	}
	return r.runAlone(cmd.Context(), client.Leases(), options)
}

// runAlone keeps the node registered until a signal; what is in flight then has some time.
func (r *registration) runAlone(ctx context.Context, client register.Client, options register.Options) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	options.Drain = func(context.Context) error {
		stop() // another signal ends the process: the lease sees to the rest
		time.Sleep(r.drain)
		return nil
	}
	node, err := register.New(client, r.node, options)
	if err != nil {
		return usageError{err}
	}
	return node.Run(ctx)
}

// settle is how long the gateways have to stop asking a node before its command is told to stop: they promise 100 ms from the store's answer on.
const settle = 200 * time.Millisecond

// runChild keeps the node registered while the command runs.
//
//	TERM, INT ──► weight 0 ──► settle ──► to the command ──► it ends ──► out
//	others ─────► to the command
//	it ends by itself ──► out
func (r *registration) runChild(cmd *cobra.Command, client register.Client, options register.Options, log *slog.Logger) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passed...)
	defer signal.Stop(signals)
	child, err := startChild(cmd, r.command)
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancel(cmd.Context())
	defer leave()
	last := make(chan syscall.Signal, 1) // what asked for the end
	options.Drain = func(context.Context) error {
		select {
		case sig := <-last:
			wait(child.ended, settle)
			child.tell(sig)
		case <-child.ended:
		}
		<-child.ended
		return nil
	}
	node, err := register.New(client, r.node, options)
	if err != nil {
		child.kill()
		return usageError{err}
	}
	go child.passOn(signals, last, leave)
	r.awaitAddress(ctx, child)
	if err := node.Run(ctx); err != nil {
		log.Error("the node was not taken out", "error", err)
	}
	return child.exit()
}

// awaitAddress returns once the node's address accepts a connection, or has had the time to.
func (r *registration) awaitAddress(ctx context.Context, child *child) {
	ctx, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	var dialer net.Dialer
	for ctx.Err() == nil {
		conn, err := dialer.DialContext(ctx, "tcp", r.node.Upstream)
		if err == nil {
			_ = conn.Close() // nothing was said on it
			return
		}
		if wait(child.ended, 20*time.Millisecond) {
			return
		}
	}
}

// wait returns after d or once done is closed, and reports whether it is.
func wait(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
