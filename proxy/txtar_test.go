package proxy

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// section is one part of an archive in the format of txtar.
type section struct{ name, text string }

// archive is a file in that format: a comment, then sections that begin with a line "-- name --".
type archive struct {
	file     string
	comment  string
	sections []section
}

func readArchive(t *testing.T, file string) *archive {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a := &archive{file: file}
	for line := range strings.Lines(string(text)) {
		name, begins := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		name, ends := strings.CutSuffix(name, " --")
		switch {
		case begins && ends:
			a.sections = append(a.sections, section{name: name})
		case len(a.sections) == 0:
			a.comment += line
		default:
			a.sections[len(a.sections)-1].text += line
		}
	}
	return a
}

func (a *archive) write(t *testing.T) {
	t.Helper()
	out := strings.Builder{}
	out.WriteString(a.comment)
	for _, s := range a.sections {
		fmt.Fprintf(&out, "-- %s --\n%s", s.name, s.text)
	}
	if err := os.WriteFile(a.file, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// onWire turns the text of a section into bytes: lines end with CRLF, but for those that end with a backslash, which goes with the end of the line. \n, \r, \t and
// \xff stand for one byte each.
func onWire(text string) string {
	text = strings.ReplaceAll(text, "\\\n", "")
	text = strings.ReplaceAll(text, "\n", "\r\n")
	text = strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\t`, "\t").Replace(text)
	return escapedByte.ReplaceAllStringFunc(text, func(s string) string {
		n, _ := strconv.ParseUint(s[len(`\x`):], 16, 8)
		return string([]byte{byte(n)})
	})
}

var escapedByte = regexp.MustCompile(`\\x[0-9a-f]{2}`)

// inFile is the inverse of onWire.
func inFile(wire string) string {
	var text strings.Builder
	for i := 0; i < len(wire); i++ {
		switch c := wire[i]; {
		case strings.HasPrefix(wire[i:], "\r\n"):
			text.WriteString("\n")
			i++
		case c == '\n':
			text.WriteString(`\n`)
		case c == '\r':
			text.WriteString(`\r`)
		case c == '\t':
			text.WriteString(`\t`)
		case c < ' ' || c > '~', c == ' ' && strings.HasPrefix(wire[i+1:], "\r\n"):
			fmt.Fprintf(&text, `\x%02x`, c)
		default:
			text.WriteByte(c)
		}
	}
	if text.Len() > 0 && !strings.HasSuffix(wire, "\r\n") {
		text.WriteString("\\\n")
	}
	return text.String()
}
