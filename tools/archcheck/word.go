package archcheck

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// word is something that must not be in any file of the tree.
type word struct {
	text string
	why  string
}

const (
	whyPath = "is a path of one machine; the tree works from wherever it is checked out"
	whyHost = "is the host of a package registry; which one is used is a matter of the machine's settings"
)

// words returns what is forbidden everywhere, and what this machine adds. They are put together from their parts, so that this
// file does not forbid itself.
func words(root string) []word {
	var list []word
	add := func(text, why string) {
		if !slices.ContainsFunc(list, func(w word) bool { return w.text == text }) {
			list = append(list, word{text, why})
		}
	}
	for _, name := range []string{"work", "root"} {
		add("/"+name+"/", whyPath)
	}
	if abs, err := filepath.Abs(root); err == nil && strings.Count(abs, "/") > 1 {
		add(abs+"/", whyPath)
	}
	if home, err := os.UserHomeDir(); err == nil && len(home) > 1 {
		add(home+"/", whyPath)
	}
	for _, labels := range [][]string{
		{"proxy", "golang", "org"}, {"sum", "golang", "org"}, {"goproxy", "io"}, {"goproxy", "cn"},
		{"registry", "npmjs", "org"}, {"registry", "yarnpkg", "com"}, {"deb", "debian", "org"}, {"security", "debian", "org"},
		{"files", "pythonhosted", "org"}, {"index", "crates", "io"}, {"repo", "maven", "apache", "org"},
	} {
		add(strings.Join(labels, "."), whyHost)
	}
	for _, host := range proxyHosts() {
		add(host, whyHost)
	}
	return list
}

// proxyHosts returns the hosts that this machine's Go asks for modules, none when it cannot tell.
func proxyHosts() []string {
	out, err := exec.Command("go", "env", "GOPROXY").Output()
	if err != nil {
		return nil
	}
	var hosts []string
	for entry := range strings.FieldsFuncSeq(string(out), func(r rune) bool { return r == ',' || r == '|' || r == '\n' }) {
		_, rest, ok := strings.Cut(entry, "://")
		host, _, _ := strings.Cut(rest, "/")
		if ok && strings.Contains(host, ".") {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// checkWords looks at every text of the tree, test data included.
func checkWords(t *tree) []Problem {
	var problems []Problem
	list := words(t.root)
	for _, x := range t.texts {
		line := 0
		for data := range bytes.Lines(x.data) {
			line++
			for _, w := range list {
				if hasWord(data, w.text) {
					problems = append(problems, Problem{x.name, line, fmt.Sprintf("%q %s", w.text, w.why)})
				}
			}
		}
	}
	return problems
}

// hasWord reports whether the line has the word at the beginning of a name: "/a/" is not in "b/a/", nor "x.org" in "yx.org".
func hasWord(line []byte, word string) bool {
	for at := 0; ; {
		i := bytes.Index(line[at:], []byte(word))
		if i < 0 {
			return false
		}
		if at += i; at == 0 || !nameByte(line[at-1]) {
			return true
		}
		at++
	}
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
}
