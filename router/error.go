package router

import (
	"errors"
	"fmt"
)

// RuleError says why a rule was refused. Build and With join one for each such rule.
type RuleError struct {
	ID    string // of the rule
	Field string // "id", "hosts", "paths" or "methods"
	Value string // the host, pattern or method at fault; empty where something is missing
	Err   error  // why
}

// Error names the rule, the value and the reason.
func (e *RuleError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("router: route %q: %s: %v", e.ID, e.Field, e.Err)
	}
	return fmt.Sprintf("router: route %q: %s: %q: %v", e.ID, e.Field, e.Value, e.Err)
}

// Unwrap returns the reason.
func (e *RuleError) Unwrap() error { return e.Err }

// ErrTooManyBranches is the reason of a RuleError for a pattern that would make matching too dear; see MaxBranches.
var ErrTooManyBranches = errors.New("with the other patterns of this host, parameters and literals stand side by side in too many places")

var (
	errNoID     = errors.New("is missing")
	errNoPath   = errors.New("at least one is needed")
	errNoMethod = errors.New("a method cannot be empty")

	errPatternEmpty   = errors.New("a pattern cannot be empty")
	errPatternStart   = errors.New(`a pattern begins with "/"`)
	errPatternStar    = errors.New(`nothing may follow a "*", which matches all that is left`)
	errPatternName    = errors.New(`a name is made of letters, digits, "_" and "-"`)
	errPatternNoName  = errors.New(`a parameter needs a name after the ":"`)
	errPatternTwice   = errors.New("two parameters have the same name")
	errPatternParams  = fmt.Errorf("more than %d parameters", MaxParams)
	errPatternEscape  = errors.New(`a "%" is followed by two hexadecimal digits`)
	errPatternDots    = errors.New(`"." and ".." segments are removed from paths before matching, so this cannot match`)
	errPatternQuery   = errors.New(`"?" and "#" are not part of a path`)
	errPatternControl = errors.New("spaces and control characters do not occur in paths")

	errHostEmpty = errors.New("a host or a label of it cannot be empty")
	errHostLong  = errors.New("a host name has at most 253 characters")
	errHostStar  = errors.New(`a "*" can only stand for whole labels at the beginning, as in "*.example.com"`)
	errHostPort  = errors.New("ports are not compared; leave it out")
	errHostChar  = errors.New("a host name is made of letters, digits, hyphens and dots; other scripts are written as xn-- labels")
)
