package seed

import "regexp/syntax"

// once reports whether an expression matches at the start of a text alone, and so once: then it makes no difference that ws-cloud-gateway replaces every match and
// proxy-rewrite the first.
func once(expr string) bool {
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return false
	}
	prog, err := syntax.Compile(parsed.Simplify())
	return err == nil && prog.StartCond()&syntax.EmptyBeginText != 0
}
