package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newDelete() *cobra.Command {
	var r remote
	var match string
	var dry bool
	cmd := &cobra.Command{
		Use:   "delete " + kindNames + " ID",
		Short: "Delete a resource",
		Args:  kindArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, err := parseKind(args[0])
			if err != nil {
				return err
			}
			if err := r.connect(cmd); err != nil {
				return err
			}
			a, err := r.call(cmd.Context(), "DELETE", path(kind, args[1]), dryRun(dry), nil, "If-Match", match)
			if err != nil {
				return err
			}
			name := string(kind) + "/" + args[1]
			if dry {
				return printPlan(cmd.OutOrStdout(), name, a.body)
			}
			return report(cmd, fmt.Sprintf("%s deleted", name), a)
		},
	}
	cmd.ValidArgsFunction = r.completeKinds
	r.addTo(cmd)
	addWriteFlags(cmd, &dry, &match)
	return cmd
}
