package cli

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
)

func newRollback() *cobra.Command {
	var r remote
	var dry bool
	out := asTable
	cmd := &cobra.Command{
		Use:   "rollback REVISION [RESOURCE]",
		Short: "Go back to how a resource, or everything, stood at a revision of the history, as one transaction",
		Long: "Go back to how a resource, such as routes/demo1, or everything stood at a revision of the history, as one transaction. What was changed after that\n" +
			"revision through the admin API is undone; to undo the change of a revision itself, go back to the number below it.\n\n" +
			"Accounts and nodes under a lease stay as they are. A rollback is a change like any other: it can be undone.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usageError{fmt.Errorf("%s wants REVISION [RESOURCE]", cmd.CommandPath())}
			}
			return checkRevision(args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.connect(cmd); err != nil {
				return err
			}
			query := url.Values{}
			if dry {
				query.Set("dry_run", "1")
			}
			if len(args) == 2 {
				query.Set("resource", args[1])
			}
			a, err := r.call(cmd.Context(), "POST", "/v1/history/"+args[0]+"/rollback", query, nil)
			if err != nil {
				return err
			}
			return printOutcome(cmd, out, dry, a.body)
		},
	}
	r.addTo(cmd)
	out.addTo(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would change, and change nothing")
	return cmd
}
