package control

import (
	"slices"

	"sluice/internal/problem"
	"sluice/internal/strict"
)

// Redacted is what is shown in the place of a secret. Written back, it stands for the secret that is stored.
const Redacted = "redacted"

// secrets are the members that no call shows, by kind, as paths; "*" is any member.
var secrets = map[Kind][][]string{
	Certificates: {{"key"}},
	Services:     {{"tls", "client_key"}},
	Consumers:    {{"credentials", "*", "key"}, {"credentials", "*", "password"}, {"credentials", "*", "secret"}},
	Users:        {{"*"}},
}

// HasSecrets reports whether resources of the kind have members that are not shown.
func HasSecrets(k Kind) bool { return secrets[k] != nil }

// Redact returns a document with its secrets replaced. n is not changed.
func Redact(k Kind, n *strict.Node) *strict.Node {
	marker := &strict.Node{Kind: strict.String, Text: Redacted}
	for _, path := range secrets[k] {
		n = replace(n, path, func(*strict.Node, []string) *strict.Node { return marker }, nil)
	}
	return n
}

// IsSecret reports whether a member, named by its path from the document's root, is a secret or has one in it.
func IsSecret(k Kind, path []string) bool {
	return slices.ContainsFunc(secrets[k], func(secret []string) bool {
		for i := range min(len(path), len(secret)) {
			if secret[i] != "*" && secret[i] != path[i] {
				return false
			}
		}
		return true
	})
}

// Unredact returns a document with the secrets of the stored one where it says [Redacted]. Where the stored one, which may be nil, has none, that is a problem.
func Unredact(k Kind, n, stored *strict.Node) (*strict.Node, problem.Problems) {
	var problems problem.Problems
	for _, path := range secrets[k] {
		n = replace(n, path, func(was *strict.Node, at []string) *strict.Node {
			if was.Kind != strict.String || was.Text != Redacted {
				return was
			}
			if kept := member(stored, at); kept != nil {
				return kept
			}
			where := ""
			for _, key := range at {
				where = problem.Key(where, key)
			}
			problems.Add(where, "%q stands for a secret that is stored, and none is", Redacted)
			return was
		}, nil)
	}
	return n, problems
}

// replace returns a document with the members at path, which ends in a secret, put through change.
func replace(n *strict.Node, path []string, change func(n *strict.Node, at []string) *strict.Node, at []string) *strict.Node {
	if len(path) == 0 {
		return change(n, at)
	}
	if n.Kind != strict.Object {
		return n
	}
	made := *n
	made.Members = slices.Clone(n.Members)
	for i, m := range made.Members {
		if path[0] == "*" || path[0] == m.Key {
			made.Members[i].Value = replace(m.Value, path[1:], change, append(slices.Clip(at), m.Key))
		}
	}
	return &made
}

// member returns what is at a path, nil where nothing is.
func member(n *strict.Node, path []string) *strict.Node {
	for _, key := range path {
		if n == nil || n.Kind != strict.Object {
			return nil
		}
		n = n.Get(key)
	}
	return n
}
