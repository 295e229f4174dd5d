package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newCheck() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Read and validate a configuration file; print every problem with its place",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.path == "" {
				return usageError{errors.New("check needs --config FILE")}
			}
			if _, err := s.load(cmd); err != nil {
				if errors.Is(err, errReported) {
					return errReported // what was asked for was done: the file is bad, not the command
				}
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: good\n", s.path)
			return err
		},
	}
	cmd.Flags().StringVar(&s.path, "config", "", "configuration file (YAML)")
	return cmd
}
