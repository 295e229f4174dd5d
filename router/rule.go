package router

// Rule is one route as the router sees it. A table keeps the slices of the rules it is given: they must not be changed afterwards.
type Rule[T any] struct {
	ID       string         // unique in a table, not empty
	Hosts    []string       // "api.example.com" or "*.example.com", in any case; none, or "*", is any host
	Paths    []string       // patterns, at least one; see ParsePattern
	Methods  []string       // compared with case (RFC 9110 §9.1); none is any
	Priority int            // higher wins over a more specific path; may be negative
	When     func(any) bool // nil is always; called on the goroutine that matches, with Query.Facts, and at most a few times per rule
	Stamp    uint64         // takes part in Table.Digest only: a hash of what When and Value were made from
	Value    T              // what the rule leads to
}

// Query is what a request is matched by. Match only reads it.
type Query struct {
	Host   []byte // as the request has it: case, a port and one trailing dot do not count; may be empty
	Path   []byte // normalized: unreserved characters decoded, other escapes in upper case, no dot segments; without the query
	Method []byte
	Facts  any // handed to Rule.When
}

// Match is where Table.Match puts its findings. The zero value is ready for use, and one Match used over and over allocates
// nothing.
type Match[T any] struct {
	Rule   *Rule[T] // the winner, shared and not to be changed; nil unless the outcome is Found
	Params Params   // its parameters; they alias Query.Path
	Allow  []string // after MethodNotAllowed: the methods that would match, sorted; valid until the Match is used again
}

// Outcome is how a match ended.
type Outcome uint8

// The three ends of a match.
const (
	NoRoute          Outcome = iota // nothing matches, whatever the method
	Found                           // Match.Rule is set
	MethodNotAllowed                // nothing matches, but with one of Match.Allow something would
)

// String returns the outcome in the words of the error codes: "found", "no_route", "method_not_allowed".
func (o Outcome) String() string {
	switch o {
	case Found:
		return "found"
	case MethodNotAllowed:
		return "method_not_allowed"
	}
	return "no_route"
}
