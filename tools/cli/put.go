package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sluice/control"
	"sluice/control/admin"
	"sluice/control/file"
	"sluice/internal/strict"
)

func newPut() *cobra.Command {
	var r remote
	var from, match string
	var dry bool
	cmd := &cobra.Command{
		Use:   "put " + kindNames + " [ID] [-f FILE]",
		Short: "Create or replace a resource, from a file of JSON or YAML or from standard input",
		Long: "Create or replace a resource, from a file of JSON or YAML or from standard input.\n\nWithout an ID the one in the value counts: id, or name of a service. A route that has none gets the md5 of its prefix, " +
			"and a node\none that is made of its service and address.",
		Args: kindArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, err := parseKind(args[0])
			if err != nil {
				return err
			}
			doc, err := readOne(cmd, from)
			if err != nil {
				return err
			}
			id := idOf(kind, doc, "")
			if len(args) == 2 {
				id = args[1]
			}
			if id == "" {
				return usageError{fmt.Errorf("%s: the value does not say what it is called: name it behind %s", from, kind)}
			}
			if err := r.connect(cmd); err != nil {
				return err
			}
			a, err := r.call(cmd.Context(), "PUT", path(kind, id), dryRun(dry), doc.AppendJSON(nil), "If-Match", match)
			if err != nil {
				return placed(err, inBody)
			}
			if dry {
				return printPlan(cmd.OutOrStdout(), string(kind)+"/"+id, a.body)
			}
			done := "replaced"
			if a.status == 201 {
				done = "created"
			}
			return report(cmd, fmt.Sprintf("%s/%s %s (revision %d)", kind, id, done, revisionOf(a)), a)
		},
	}
	cmd.ValidArgsFunction = r.completeKinds
	r.addTo(cmd)
	cmd.Flags().StringVarP(&from, "file", "f", "-", "file; - is standard input")
	addWriteFlags(cmd, &dry, &match)
	return cmd
}

func addWriteFlags(cmd *cobra.Command, dry *bool, match *string) {
	cmd.Flags().BoolVar(dry, "dry-run", false, "say what would change, and change nothing")
	cmd.Flags().StringVar(match, "if-match", "", "only if the resource is at this revision")
}

// report prints what was done, and what the gateway warns of.
func report(cmd *cobra.Command, done string, a *answer) error {
	for _, warning := range a.header.Values(admin.WarningField) {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), done)
	return err
}

// revisionOf returns the revision in an answer's ETag, 0 where there is none.
func revisionOf(a *answer) int64 {
	n, _ := strconv.ParseInt(strings.Trim(a.header.Get("ETag"), `"`), 10, 64)
	return n
}

// readOne reads a file, "-" for standard input, that holds one object.
func readOne(cmd *cobra.Command, from string) (*strict.Node, error) {
	text, err := readText(cmd, from)
	if err != nil {
		return nil, usageError{err}
	}
	docs, err := file.ParseDocuments(text)
	switch {
	case err != nil:
		return nil, usageError{fmt.Errorf("%s: %w", from, err)}
	case len(docs) != 1 || docs[0].Kind != strict.Object:
		return nil, usageError{fmt.Errorf("%s: one object is wanted: the resource", from)}
	}
	return docs[0], nil
}

func readText(cmd *cobra.Command, from string) ([]byte, error) {
	if from == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	return os.ReadFile(from)
}

// idOf returns what a resource is called: what its value says or, where that says nothing, otherwise or, where that is "", what is made of its value. "" where
// none of them is there.
func idOf(kind control.Kind, doc *strict.Node, otherwise string) string {
	word := func(key string) string {
		if n := doc.Get(key); n != nil && n.Kind == strict.String {
			return n.Text
		}
		return ""
	}
	switch kind {
	case control.Services:
		return cmp.Or(word("name"), otherwise)
	case control.Nodes: // the id that is in a value is ws-cloud-gateway's
		if word("service_name") == "" || word("upstream") == "" {
			return otherwise
		}
		return control.NodeID(word("service_name"), word("upstream"))
	case control.Settings:
		return otherwise
	}
	id := cmp.Or(word("id"), otherwise)
	if prefix := word("prefix"); id == "" && kind == control.Routes && prefix != "" {
		id = control.RouteID(prefix)
	}
	return id
}

// printPlan prints the answer to a dry run of one write.
func printPlan(w io.Writer, name string, body []byte) error {
	var plan admin.Plan
	if err := json.Unmarshal(body, &plan); err != nil {
		return fmt.Errorf("the gateway's answer to a dry run: %w", err)
	}
	var b bytes.Buffer
	writeChange(&b, admin.ResourceChange{Resource: name, Action: plan.Action, Changes: plan.Changes})
	writeWarnings(&b, plan.Warnings, plan.Affected)
	b.WriteString("dry run: nothing was written\n")
	_, err := w.Write(b.Bytes())
	return err
}
