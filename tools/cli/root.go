// Package cli is the commands that a person types, one file for each.
//
// Most of them talk to the admin API of a gateway that runs. "run" and "demo" are the gateway: gateway.go puts it together from the other packages, in the order in which its parts
// start.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// The exit codes of the program.
const (
	exitOK      = 0 // it did what was asked, or stopped gracefully
	exitFailure = 1 // something went wrong at run time
	exitUsage   = 2 // the command or the configuration is wrong; nothing was started
)

// usageError is an error of whoever typed the command or wrote the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Main runs the command in args (without the program's name) and returns the exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return execute(ctx, newRoot(stdout, stderr), args, stderr)
}

// execute runs a command and returns the exit code.
func execute(ctx context.Context, root *cobra.Command, args []string, stderr io.Writer) int {
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	var code exitCode
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, errReported):
	default:
		fmt.Fprintln(stderr, "sluice:", err)
	}
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

// errReported is a failure whose reasons have been printed.
var errReported = errors.New("reported")

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:           "sluice",
		Short:         "An L7 gateway and edge proxy with live configuration from etcd",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       versionLine(),
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("there is no command %q: see sluice --help", args[0])}
			}
			return noCommand(cmd)
		},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w: see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(newRun(), newDemo(), newCheck(), newRegister(), newUser(), newImport(), newVersion(),
		newGet(), newPut(), newDelete(), newExplain(), newApply(), newHistory(), newRollback())
	return root
}

// noCommand shows what commands there are to somebody who has given none.
func noCommand(cmd *cobra.Command) error {
	cmd.SetOut(cmd.ErrOrStderr())
	return usageError{cmp.Or(cmd.Help(), errReported)}
}

// noArgs refuses arguments that a command does not take.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no argument, but was given %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

// environ is the environment that settings are read from; tests replace it.
var environ = os.Environ
