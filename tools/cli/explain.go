package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sluice/control/admin"
)

func newExplain() *cobra.Command {
	var r remote
	var q admin.ExplainRequest
	out := asTable
	cmd := &cobra.Command{
		Use:   "explain METHOD URL [-H 'k: v']",
		Short: "Ask a running gateway what would become of a request: route, plugins, node, and why other routes lost",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{fmt.Errorf("%s wants METHOD URL, such as GET http://api.example.com/users/7", cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Method, q.URL = args[0], args[1]
			if _, err := q.Headers.Check(); err != nil {
				return usageError{fmt.Errorf("--header: %w", err)}
			}
			if err := r.connect(cmd); err != nil {
				return err
			}
			body, err := json.Marshal(q)
			if err != nil {
				return err
			}
			a, err := r.call(cmd.Context(), "POST", "/v1/explain", nil, body)
			if err != nil {
				return placed(err, inBody)
			}
			if out != asTable {
				return out.printJSON(cmd.OutOrStdout(), a.body)
			}
			var e admin.Explanation
			if err := json.Unmarshal(a.body, &e); err != nil {
				return fmt.Errorf("the gateway's answer: %w", err)
			}
			_, err = cmd.OutOrStdout().Write(describeExplanation(&e))
			return err
		},
	}
	r.addTo(cmd)
	out.addTo(cmd)
	cmd.Flags().StringArrayVarP((*[]string)(&q.Headers), "header", "H", nil, "a field of the request, as 'name: value' (repeatable)")
	cmd.Flags().StringVar(&q.ClientIP, "client-ip", "", "address that the request comes from; default 127.0.0.1")
	return cmd
}

// describeExplanation is an explanation for people.
func describeExplanation(e *admin.Explanation) []byte {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	line("path", e.Path)
	line("route", e.Route)
	line("service", e.Service)
	if e.Route != "" {
		line("plugins", orNone(strings.Join(e.Plugins, ", ")))
		line("nodes", orNone(strings.Join(e.Nodes, ", ")))
	}
	line("next node", e.Node)
	if a := e.Answer; a != nil {
		line("answer", fmt.Sprintf("%d %s: %s", a.Status, a.Code, a.Message))
		line("cause", a.Cause)
		line("allow", strings.Join(a.Allow, ", "))
	}
	_ = t.Flush() // b takes everything
	if len(e.Candidates) == 0 {
		return b.Bytes()
	}
	b.WriteString("\n")
	var rows [][]string
	for _, c := range e.Candidates {
		methods := join(c.Methods)
		if len(c.Methods) == 0 {
			methods = "any"
		}
		rows = append(rows, []string{c.ID, c.Host, c.Pattern, methods, fmt.Sprint(c.Priority), c.Reason, c.Text})
	}
	_ = printTable(&b, []string{"ROUTE", "HOST", "PATTERN", "METHODS", "PRIORITY", "REASON", ""}, rows) // the same
	if e.More {
		b.WriteString("… and more\n")
	}
	return b.Bytes()
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
