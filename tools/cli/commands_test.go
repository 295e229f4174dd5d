package cli

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/reference/commands.md")

// The reference of the commands is what they say of themselves.
func TestTheReferenceOfTheCommandsIsWhatTheySay(t *testing.T) {
	const page = "../../docs/reference/commands.md"
	var b strings.Builder
	b.WriteString("# Commands\n\nMade from the program's own help: `go test ./tools/cli -run Reference -update`.\n\n" +
		"Exit codes: 0 done, or stopped gracefully; 1 something failed, or the gateway said no; 2 the command, a file or the configuration is wrong, and nothing was begun.\n\n" +
		"Commands that ask a running gateway find it by `--admin` and `--token`, the variables `SLUICE_ADMIN_ADDRESS` and `SLUICE_ADMIN_TOKEN`, the file that `--config` names, or, on the same machine, " +
		"`--data-dir`. `sluice completion bash|zsh|fish` prints a script that completes commands, kinds and the ids that the gateway has.\n")
	root := newRoot(io.Discard, io.Discard)
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" || cmd.Name() == "completion" || cmd.Hidden {
			continue
		}
		describe(&b, cmd, "")
	}
	want := b.String()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the commands say: run go test ./tools/cli -run Reference -update", page)
	}
}

// describe writes a command's section, and those of what is below it.
func describe(b *strings.Builder, cmd *cobra.Command, above string) {
	fmt.Fprintf(b, "\n## sluice %s%s\n\n", above, cmd.Name())
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	if cmd.Runnable() {
		fmt.Fprintf(b, "`sluice %s%s`\n\n", above, cmd.Use)
	}
	b.WriteString(text + "\n")
	rows := ""
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		if f.Name == "help" || f.Hidden {
			return
		}
		value := ""
		if f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "false" && f.DefValue != "0" {
			value = "`" + f.DefValue + "`"
		}
		rows += fmt.Sprintf("| %s | %s | %s |\n", name, value, strings.ReplaceAll(f.Usage, "|", `\|`))
	})
	if rows != "" {
		b.WriteString("\n| flag | default | |\n|---|---|---|\n" + rows)
	}
	for _, sub := range cmd.Commands() {
		describe(b, sub, above+cmd.Name()+" ")
	}
}
