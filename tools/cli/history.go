package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"sluice/control/admin"
)

func newHistory() *cobra.Command {
	var r remote
	var limit int
	var q string
	out := asTable
	cmd := &cobra.Command{
		Use:   "history [REVISION]",
		Short: "Show who changed what and when, the last change first; or one change and what it made different",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("%s takes one revision", cmd.CommandPath())}
			}
			return checkRevision(args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.connect(cmd); err != nil {
				return err
			}
			if len(args) == 1 {
				return r.showChange(cmd, args[0], out)
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			if q != "" {
				query.Set("q", q)
			}
			a, err := r.call(cmd.Context(), "GET", "/v1/history", query, nil)
			if err != nil {
				return err
			}
			if out != asTable {
				return out.printJSON(cmd.OutOrStdout(), a.body)
			}
			var page admin.HistoryPage
			if err := json.Unmarshal(a.body, &page); err != nil {
				return fmt.Errorf("the gateway's answer: %w", err)
			}
			var rows [][]string
			for _, it := range page.Items {
				rows = append(rows, []string{fmt.Sprint(it.Revision), it.Time.Local().Format(time.DateTime), it.By, it.Call, changed(it.Changes), it.Note})
			}
			return printTable(cmd.OutOrStdout(), []string{"REVISION", "TIME", "BY", "CALL", "CHANGES", "NOTE"}, rows)
		},
	}
	r.addTo(cmd)
	out.addTo(cmd)
	cmd.Flags().IntVarP(&limit, "limit", "n", 30, "how many changes, at most 1000")
	cmd.Flags().StringVarP(&q, "search", "q", "", "only changes with this text in who, call, note or a resource's name")
	return cmd
}

// checkRevision refuses a first argument that is no revision.
func checkRevision(args []string) error {
	if len(args) == 0 {
		return nil
	}
	if n, err := strconv.ParseInt(args[0], 10, 64); err != nil || n < 1 {
		return usageError{fmt.Errorf("%q is no revision: see sluice history", args[0])}
	}
	return nil
}

// changed is a cell for the resources of a change: the first few.
func changed(all []admin.ResourceChange) string {
	const few = 3
	var b bytes.Buffer
	for i, c := range all {
		if i == few {
			fmt.Fprintf(&b, " and %d more", len(all)-few)
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(signs[c.Action] + c.Resource)
	}
	return b.String()
}

func (r *remote) showChange(cmd *cobra.Command, revision string, out output) error {
	a, err := r.call(cmd.Context(), "GET", "/v1/history/"+revision, nil, nil)
	if err != nil {
		return err
	}
	if out != asTable {
		return out.printJSON(cmd.OutOrStdout(), a.body)
	}
	var it admin.HistoryItem
	if err := json.Unmarshal(a.body, &it); err != nil {
		return fmt.Errorf("the gateway's answer: %w", err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "revision %d, %s, %s from %s: %s\n", it.Revision, it.Time.Local().Format(time.DateTime), it.By, it.From, it.Call)
	if it.Note != "" {
		fmt.Fprintf(&b, "%s\n", it.Note)
	}
	for _, c := range it.Changes {
		writeChange(&b, c)
	}
	_, err = cmd.OutOrStdout().Write(b.Bytes())
	return err
}
