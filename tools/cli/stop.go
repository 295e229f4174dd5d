package cli

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// stopTimeout bounds what comes after the drain: the store's last words and the log's last lines.
const stopTimeout = 10 * time.Second

// ends reports whether a signal asks the process to end. SIGHUP and SIGUSR2 do not: whoever is about to end has nothing to reload or to upgrade.
func ends(sig os.Signal) bool { return sig == syscall.SIGTERM || sig == syscall.SIGINT }

// wait serves until a signal, the end of ctx, an upgrade, or a failure of a part that nothing works without.
func (g *gateway) wait(ctx context.Context, signals <-chan os.Signal) error {
	var next upgrade
	for {
		select {
		case sig := <-signals:
			switch {
			case sig == syscall.SIGHUP:
				g.reload()
			case sig == syscall.SIGUSR2:
				g.beginUpgrade(ctx, &next)
			default:
				g.log.Info("draining", "signal", sig.String(), "at_most", g.live.drainTime().String())
				next.abort()
				g.stop(context.Background(), signals)
				return nil
			}
		case err := <-next.done:
			if g.endUpgrade(&next, err) {
				g.handOver(signals)
				return nil
			}
		case <-ctx.Done():
			next.abort()
			g.stop(context.Background(), signals)
			return nil
		case err := <-g.server.Failed():
			next.abort()
			g.stop(context.Background(), signals)
			return err
		}
	}
}

// stop drains the workers for as long as timeouts.drain says, or until another signal comes, and stops everything. Only the first call does.
func (g *gateway) stop(ctx context.Context, signals <-chan os.Signal) {
	if g.draining.Swap(true) {
		return
	}
	if g.listened.Load() {
		g.drain(ctx, signals, g.server.Drain)
	}
	g.close(ctx)
}

// drain lets what is in flight end, in the first of the ways. Each signal to end goes on to the next of them, and behind the last one the drain is over.
func (g *gateway) drain(ctx context.Context, signals <-chan os.Signal, ways ...func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, g.live.drainTime())
	defer cancel()
	for _, way := range ways {
		waiting, hurry := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- way(waiting) }()
		err := awaitDrain(done, signals, hurry)
		if err == nil || !errors.Is(err, errHurry) {
			if err != nil {
				g.log.Warn("drain", "error", err)
			}
			return
		}
	}
}

// errHurry is the end of a way of draining by a signal.
var errHurry = errors.New("cut short by a signal")

func awaitDrain(done <-chan error, signals <-chan os.Signal, hurry func()) error {
	defer hurry()
	for {
		select {
		case err := <-done:
			return err
		case sig := <-signals:
			if ends(sig) {
				hurry()
				<-done
				return errHurry
			}
		}
	}
}

// close stops everything that was started.
func (g *gateway) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	for i := len(g.closers) - 1; i >= 0; i-- {
		if err := g.closers[i](ctx); err != nil {
			g.log.Error("stop", "error", err)
		}
	}
}
