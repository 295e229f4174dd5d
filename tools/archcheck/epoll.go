package archcheck

import (
	"go/ast"
	"strings"
)

var epollPlaces = []string{"core/event", "core/tlsconn", "bench", "bench/*"}

// checkEpoll finds uses of epoll through package syscall; library.go keeps x/sys/unix in its place.
func checkEpoll(t *tree) []Problem {
	var problems []Problem
	for _, s := range t.sources {
		if s.test || matchesAny(epollPlaces, s.folder) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if ok && pkg.Name == "syscall" && strings.Contains(strings.ToLower(sel.Sel.Name), "epoll") {
				problems = append(problems, Problem{s.name, s.set.Position(sel.Pos()).Line, "uses syscall." + sel.Sel.Name + ": the loop in core/event alone waits for events, so that a thread has one place to sleep"})
			}
			return true
		})
	}
	return problems
}
