package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sluice/control/file"
)

// output is how a command prints what it was asked for.
type output string

// The forms. A table is for people; the others are for programs too.
const (
	asTable output = "table"
	asJSON  output = "json"
	asYAML  output = "yaml"
)

// addTo gives cmd the flag; o holds the default.
func (o *output) addTo(cmd *cobra.Command) {
	cmd.Flags().VarP(o, "output", "o", "table, json or yaml")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}

// String implements pflag.Value.
func (o *output) String() string { return string(*o) }

// Type implements pflag.Value.
func (o *output) Type() string { return "form" }

// Set implements pflag.Value.
func (o *output) Set(s string) error {
	switch v := output(s); v {
	case asTable, asJSON, asYAML:
		*o = v
		return nil
	}
	return fmt.Errorf("%q is none of table, json, yaml", s)
}

// print writes a value as JSON or YAML.
func (o output) print(w io.Writer, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return o.printJSON(w, text)
}

// printJSON writes a JSON text as JSON or YAML. What is not JSON is written as it is.
func (o output) printJSON(w io.Writer, text []byte) error {
	var b bytes.Buffer
	switch {
	case !json.Valid(text):
		b.Write(text)
		b.WriteByte('\n')
	case o == asYAML:
		made, err := file.FormatYAML(text)
		if err != nil {
			return err
		}
		b.Write(made)
	default:
		if err := json.Indent(&b, text, "", "  "); err != nil {
			return err
		}
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}

// printTable writes rows below names.
func printTable(w io.Writer, names []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(names, "\t"))
	for _, row := range rows {
		for len(row) < len(names) {
			row = append(row, "-")
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}
