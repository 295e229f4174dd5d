package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"
)

// child is the command that register runs.
type child struct {
	process *exec.Cmd
	ended   chan struct{} // closed once it has ended; err is written before
	err     error
}

// passed are the signals that the command gets. Others are this process's own: of the end of the command, of the Go runtime, of a pipe.
var passed = []os.Signal{
	syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGCONT, syscall.SIGWINCH,
}

// startChild starts a command with this process's streams.
func startChild(cmd *cobra.Command, args []string) (*child, error) {
	c := &child{process: exec.Command(args[0], args[1:]...), ended: make(chan struct{})}
	c.process.Stdin, c.process.Stdout, c.process.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	// Ctrl-C of a terminal goes to the whole group: the command must hear of it from us, when the gateways have stopped asking it.
	c.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.process.Start(); err != nil {
		return nil, usageError{err}
	}
	go func() {
		c.err = c.process.Wait()
		close(c.ended)
	}()
	return c, nil
}

// passOn gives the command the signals of this process until it has ended. The first that asks for the end only calls leave: the command gets it, from last,
// once it is asked no more. leave is also called when the command ends by itself.
func (c *child) passOn(signals <-chan os.Signal, last chan<- syscall.Signal, leave func()) {
	defer leave()
	leaving := false
	for {
		select {
		case <-c.ended:
			return
		case sig := <-signals:
			number := sig.(syscall.Signal) // all of passed are
			if !ends(number) || leaving {
				c.tell(number)
				continue
			}
			leaving = true
			last <- number
			leave()
		}
	}
}

// tell sends the command a signal.
func (c *child) tell(sig syscall.Signal) {
	_ = c.process.Process.Signal(sig) // one that has ended needs none
}

// kill ends the command at once.
func (c *child) kill() {
	c.tell(syscall.SIGKILL)
	<-c.ended
}

// exit returns how the command has ended, as the error that makes this process end likewise.
func (c *child) exit() error {
	var failed *exec.ExitError
	switch {
	case c.err == nil:
		return nil
	case !errors.As(c.err, &failed):
		return fmt.Errorf("%s: %w", c.process.Path, c.err)
	}
	status, _ := failed.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return exitCode(128 + int(status.Signal())) // as shells have it
	}
	return exitCode(failed.ExitCode())
}

// exitCode is the end of a command that this one was run for: its code is ours, and there is nothing to say.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }
