package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"sluice/control"
	"sluice/control/admin"
)

func newGet() *cobra.Command {
	var r remote
	var q string
	out := asTable
	cmd := &cobra.Command{
		Use:   "get " + kindNames + " [ID]",
		Short: "Show resources of a running gateway: all of a kind as a table, or one",
		Args:  kindArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, err := parseKind(args[0])
			if err != nil {
				return err
			}
			if err := r.connect(cmd); err != nil {
				return err
			}
			if len(args) == 2 {
				return r.getOne(cmd, kind, args[1], out)
			}
			items, err := r.list(cmd.Context(), kind, q, 0)
			if err != nil {
				return err
			}
			if out == asTable {
				return tabulate(cmd, kind, items)
			}
			if items == nil {
				items = []admin.Item{}
			}
			return out.print(cmd.OutOrStdout(), map[string]any{"items": items})
		},
	}
	cmd.ValidArgsFunction = r.completeKinds
	r.addTo(cmd)
	out.addTo(cmd)
	cmd.Flags().StringVarP(&q, "search", "q", "", "only resources with this text in their id or value")
	return cmd
}

// getOne shows one resource: as JSON, which is YAML too, if nothing else is asked for.
func (r *remote) getOne(cmd *cobra.Command, kind control.Kind, id string, out output) error {
	a, err := r.call(cmd.Context(), "GET", path(kind, id), nil, nil)
	if err != nil {
		return err
	}
	if out == asTable && cmd.Flags().Changed("output") {
		return tabulate(cmd, kind, []admin.Item{{ID: id, Revision: revisionOf(a), Value: a.body}})
	}
	return out.printJSON(cmd.OutOrStdout(), a.body)
}

// tabulate shows resources as a table.
func tabulate(cmd *cobra.Command, kind control.Kind, items []admin.Item) error {
	c := columns[kind]
	var rows [][]string
	for _, it := range items {
		row := c.row(it.ID, it.Value)
		for len(row) < len(c.names) {
			row = append(row, "-")
		}
		rows = append(rows, append(row, fmt.Sprint(it.Revision)))
	}
	return printTable(cmd.OutOrStdout(), append(c.names[:len(c.names):len(c.names)], "REVISION"), rows)
}
