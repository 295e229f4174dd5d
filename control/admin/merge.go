package admin

import (
	"slices"

	"sluice/internal/problem"
	"sluice/internal/strict"
)

// merge returns target with a merge patch applied, RFC 7396 §2: null removes a member, objects are merged, and everything else, lists
// too, replaces what was there. Neither argument is changed; the result shares parts of both. target may be nil.
func merge(target, patch *strict.Node) *strict.Node {
	if patch.Kind != strict.Object {
		return patch
	}
	merged := &strict.Node{Kind: strict.Object}
	if target != nil && target.Kind == strict.Object {
		merged.Members = slices.Clone(target.Members)
	}
	place := make(map[string]int, len(merged.Members)) // a body of 1 MiB has members enough to make a search for each of them felt
	for i, m := range merged.Members {
		if _, again := place[m.Key]; !again {
			place[m.Key] = i
		}
	}
	for _, m := range patch.Members {
		i, there := place[m.Key]
		switch {
		case there && m.Value.Kind == strict.Null:
			merged.Members[i].Value = nil // taken out below
		case there:
			merged.Members[i].Value = merge(merged.Members[i].Value, m.Value)
		case m.Value.Kind != strict.Null:
			place[m.Key] = len(merged.Members)
			merged.Members = append(merged.Members, strict.Member{Key: m.Key, Value: merge(nil, m.Value)})
		}
	}
	merged.Members = slices.DeleteFunc(merged.Members, func(m strict.Member) bool { return m.Value == nil })
	return merged
}

// repeated lists the members that a document has twice. Of a patch they have to be found before it is applied: only one of them would be
// left, and which one is not said anywhere.
func repeated(n *strict.Node) (problems problem.Problems) {
	findRepeated(n, "", &problems)
	return problems
}

func findRepeated(n *strict.Node, path string, problems *problem.Problems) {
	for i, item := range n.Items {
		findRepeated(item, problem.Index(path, i), problems)
	}
	seen := make(map[string]bool, len(n.Members))
	for _, m := range n.Members {
		at := problem.Key(path, m.Key)
		if seen[m.Key] {
			problems.Add(at, "given twice")
		}
		seen[m.Key] = true
		findRepeated(m.Value, at, problems)
	}
}
