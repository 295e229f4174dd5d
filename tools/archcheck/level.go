package archcheck

import (
	"fmt"
	"path"
	"strings"
)

// level is the place of a folder: it may import our folders of lower rank, and of those, where sees is set, only the listed.
type level struct {
	folder string // "a/b", or "a/*" for all below a; the first row that matches counts
	rank   int
	sees   []string // nil: all of lower rank
	why    string
}

// levels from top to bottom. Folders of one rank never import one another, save for those below internal.
var levels = []level{
	{".", 90, nil, "main.go only assembles"},
	{"tools/cli", 80, nil, "the commands stand above everything they start"},
	{"docs", 80, nil, "its tests hold the pages to the code; there is nothing else in it"},
	{"tools/archcheck", 80, none, "the checks must not depend on what they check"},
	{"tools/origin/*", 78, []string{"tools/origin"}, "a command around the sample origin"},
	{"tools/bulk", 77, []string{"control"}, "it writes to a store, whichever it is"},
	{"tools/fill", 78, []string{"control", "control/etcd", "tools/bulk"}, "it writes to the store that a gateway follows"},
	{"tools/churn", 78, []string{"control", "control/etcd"}, "it writes to the store that a gateway follows, and to the gateway's admin API"},
	{"tools/loadroutes", 78, []string{"control", "control/etcd", "tools/bulk", "internal/*"}, "it fills the store that the gateway follows, and looks at the gateway from outside"},
	{"tools/upstream-sim", 75, []string{"upstream/simulate"}, "a command around the simulation"},
	{"tools/*", 75, []string{"internal/*"}, "a tool looks at the gateway from outside"},
	{"bench/rivals/internal/*", 74, none, "what the rivals have in common is none of the gateway's"},
	{"bench/rivals/*", 75, []string{"bench/rivals/internal/*"}, "the rivals are a module of their own, for which the gateway does not exist"},
	{"bench", 75, none, "bench is a module of its own and treats the gateway as a program, like its rivals"},
	{"bench/*", 75, none, "bench is a module of its own and treats the gateway as a program, like its rivals"},
	{"control/*", 70, nil, "stores and the admin API meet in control, not in one another"},
	{"control", 60, nil, "what is wanted is made into a snapshot, and knows no store and no API"},
	{"proxy", 50, nil, "a request lives by a snapshot, wherever that comes from"},
	{"plugin/builtin", 45, []string{"plugin", "plugin/*", "codec", "internal/*"}, "the list of plugins"},
	{"plugin/*", 40, []string{"plugin", "codec", "internal/*"}, "a plugin sees the exchange and never what is behind it"},
	{"plugin", 30, []string{"codec", "internal/*"}, "the promise to plugins names no part of the gateway"},
	{"upstream/register", 30, []string{"internal/*"}, "a service links it, and no part of the gateway with it"},
	{"upstream/simulate", 35, []string{"upstream", "internal/*"}, "a simulation has nothing of the gateway but what chooses nodes"},
	{"upstream", 30, []string{"core/*", "codec", "codec/*", "internal/*"}, "choosing and reaching a node knows nothing of routes"},
	{"core/observe", 25, []string{"core/event", "internal/*"}, "what everything runs on carries any protocol"},
	{"core/tlsconn", 25, []string{"core/event", "internal/*"}, "what everything runs on carries any protocol"},
	{"core/event", 20, []string{"internal/*"}, "what everything runs on carries any protocol"},
	{"codec/*", 15, []string{"codec", "internal/*"}, "the protocols never import one another"},
	{"codec", 12, []string{"internal/*"}, "a codec does no I/O, so it needs nothing that does"},
	{"router", 10, none, "the router is generic: it matches patterns and does not know to what they lead"},
	{"internal/*", 10, []string{"internal/*"}, "helpers are leaves"},
}

// none is a list of folders that is empty, which is not the same as no list.
var none = []string{}

func levelOf(folder string) *level {
	for i := range levels {
		if matches(levels[i].folder, folder) {
			return &levels[i]
		}
	}
	return nil
}

// checkLevels holds imports between our own folders to the table, and every folder with Go files to being in it.
func checkLevels(t *tree) []Problem {
	var problems []Problem
	unknown := map[string]bool{}
	for _, s := range t.sources {
		from := levelOf(s.folder)
		if from == nil {
			if !unknown[s.folder] {
				unknown[s.folder] = true
				problems = append(problems, Problem{s.folder, 0, "the folder has no place in the table of levels (tools/archcheck/level.go): give it one, so that what may import it is decided and not found out"})
			}
			continue
		}
		for _, i := range s.imports {
			to, ours := ownFolder(i.path)
			if !ours || to == s.folder {
				continue
			}
			if reason := forbidden(s, from, to); reason != "" {
				problems = append(problems, Problem{s.name, i.line, reason})
			}
		}
	}
	return problems
}

func ownFolder(importPath string) (string, bool) {
	if importPath == Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, Module+"/")
}

// forbidden returns why a file must not import the folder, "" when it may.
func forbidden(s source, from *level, to string) string {
	if forTests(to) {
		if s.test || forTests(s.folder) {
			return ""
		}
		return fmt.Sprintf("imports %s, which is for tests alone", to)
	}
	if s.test && to == "tools/origin" {
		return "" // any test may have an origin to talk to
	}
	if s.test && s.folder == "upstream" && to == "upstream/simulate" {
		return "" // the simulation is what the tests of upstream, in a package of their own, run it in
	}
	target := levelOf(to)
	switch {
	case target == nil:
		return fmt.Sprintf("imports %s, which has no place in the table of levels (tools/archcheck/level.go)", to)
	case target.rank > from.rank:
		return fmt.Sprintf("%s imports %s, which stands above it (%d above %d): no arrow runs back up; %s", s.folder, to, target.rank, from.rank, from.why)
	case target.rank == from.rank && target != from:
		return fmt.Sprintf("%s imports %s, which stands beside it (both %d): %s", s.folder, to, from.rank, from.why)
	case target == from && from.folder != "internal/*":
		return fmt.Sprintf("%s imports its sibling %s: %s", s.folder, to, from.why)
	case from.sees != nil && !matchesAny(from.sees, to):
		return fmt.Sprintf("%s imports %s, but may import %s: %s", s.folder, to, listed(from.sees), from.why)
	}
	return ""
}

// forTests reports whether a folder holds helpers of tests, as its name says: testnet, codectest.
func forTests(folder string) bool {
	name := path.Base(folder)
	return strings.HasPrefix(name, "test") || strings.HasSuffix(name, "test")
}

func listed(folders []string) string {
	if len(folders) == 0 {
		return "nothing of ours"
	}
	return "only " + strings.Join(folders, ", ")
}
