package proxy

import (
	"fmt"
	"strings"
)

// PathPolicy is what becomes of a path that nodes may read in several ways: one with an escaped slash or backslash, a backslash, or ".." behind an empty segment. A path that
// climbs above the root or hides a NUL is refused whatever the policy.
type PathPolicy uint8

// The policies.
const (
	PathAgree   PathPolicy = iota // taken where all its readings lead to one route, else refused
	PathRefuse                    // always refused: for nodes that decode before they decide who may do what
	PathLiteral                   // taken by the RFC's reading alone: for nodes that do not decode, whose segments have slashes in them
)

var pathPolicies = [...]string{PathAgree: "agree", PathRefuse: "refuse", PathLiteral: "literal"}

func (p PathPolicy) String() string { return pathPolicies[p] }

// UnmarshalText reads a policy by its name.
func (p *PathPolicy) UnmarshalText(text []byte) error {
	for i, name := range pathPolicies {
		if name == string(text) {
			*p = PathPolicy(i)
			return nil
		}
	}
	return fmt.Errorf("%q is none of %s", text, strings.Join(pathPolicies[:], ", "))
}
