package cli

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"sluice/control/admin"
)

func newApply() *cobra.Command {
	var r remote
	var dir, note string
	var prune, dry bool
	out := asTable
	cmd := &cobra.Command{
		Use:   "apply -f DIR [--prune] [--dry-run]",
		Short: "Make the store equal to a directory of JSON and YAML files, as one transaction",
		Long: "Make the store equal to a directory of JSON and YAML files, as one transaction, and print the difference.\n\n" +
			"DIR/routes/demo1.yaml holds the route demo1, and so on for services, nodes, consumers, certificates and settings. A file may also hold a\n" +
			"list of resources, or several documents. A file beside these folders holds kinds: {routes: [...], services: [...]}.\n\n" +
			"--prune deletes what the directory does not have, of the kinds that it has a folder or a key for. Nodes under a lease stay.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usageError{fmt.Errorf("%s needs -f DIR", cmd.CommandPath())}
			}
			d, err := readDirectory(dir)
			if err != nil {
				return err
			}
			if err := r.connect(cmd); err != nil {
				return err
			}
			body, err := json.Marshal(d.request(prune, note))
			if err != nil {
				return err
			}
			a, err := r.call(cmd.Context(), "POST", "/v1/apply", dryRun(dry), body)
			if err != nil {
				return placed(err, d.place)
			}
			return printOutcome(cmd, out, dry, a.body)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&dir, "file", "f", "", "directory, or one file")
	f.BoolVar(&prune, "prune", false, "delete what the directory does not have, of the kinds that it has")
	f.BoolVar(&dry, "dry-run", false, "say what would change, and change nothing")
	f.StringVar(&note, "note", "", "for the history, such as the commit that is applied")
	r.addTo(cmd)
	out.addTo(cmd)
	return cmd
}

// printOutcome prints what a change of several resources did, or would do.
func printOutcome(cmd *cobra.Command, out output, dry bool, body []byte) error {
	if out != asTable {
		return out.printJSON(cmd.OutOrStdout(), body)
	}
	var o admin.Outcome
	if err := json.Unmarshal(body, &o); err != nil {
		return fmt.Errorf("the gateway's answer: %w", err)
	}
	var b bytes.Buffer
	count := map[string]int{}
	for _, c := range o.Changes {
		writeChange(&b, c)
		count[c.Action]++
	}
	for _, l := range o.LeftOut {
		fmt.Fprintf(&b, "  %s stays as it is: %s\n", l.Resource, l.Reason)
	}
	writeWarnings(&b, o.Warnings, o.Affected)
	fmt.Fprintf(&b, "%d created, %d updated, %d deleted", count["create"], count["update"], count["delete"])
	switch {
	case dry:
		b.WriteString("; dry run: nothing was written\n")
	case o.Revision == 0:
		b.WriteString("; nothing was different\n")
	default:
		fmt.Fprintf(&b, " at revision %d\n", o.Revision)
	}
	_, err := cmd.OutOrStdout().Write(b.Bytes())
	return err
}

// signs stand before a resource.
var signs = map[string]string{"create": "+", "update": "~", "delete": "-", "none": "="}

// writeChange prints the difference in one resource. What is there anew or no more needs no list of all that is in it.
func writeChange(b *bytes.Buffer, c admin.ResourceChange) {
	fmt.Fprintf(b, "%s %s\n", signs[c.Action], c.Resource)
	if c.Dropped {
		b.WriteString("    (too large for its values to be kept)\n")
	}
	for _, one := range c.Changes {
		if c.Action != "update" {
			break
		}
		fmt.Fprintf(b, "    %s: %s → %s\n", one.Path, valueOr(one.Before, "(none)"), valueOr(one.After, "(none)"))
	}
}

func valueOr(value json.RawMessage, none string) string {
	if value == nil {
		return none
	}
	return string(value)
}

// writeWarnings prints what the gateway warns of, and which other routes get less.
func writeWarnings(b *bytes.Buffer, warnings []admin.Warning, affected []admin.Affected) {
	for _, w := range warnings {
		fmt.Fprintf(b, "warning: %s: %s\n", w.Resource, w.Message)
	}
	for _, a := range affected {
		what := "loses a part of its requests"
		if a.Effect == "shadowed" {
			what = "is reached no more"
		}
		fmt.Fprintf(b, "affected: %s %s\n", a.Resource, what)
	}
}
