package codec

// RejectClass sorts the reasons for refusing a message by what the sender is told.
type RejectClass uint8

// The classes; the proxy alone knows their statuses.
const (
	RejectMalformed       RejectClass = iota // the message breaks the grammar or is ambiguous
	RejectLineTooLong                        // the request line is over its limit
	RejectHeadersTooLarge                    // the fields are over their limit in bytes or number
	RejectTooLarge                           // the body is over its limit
	RejectVersion                            // a version that is not HTTP/1.0 or HTTP/1.1
	RejectNotImplemented                     // a transfer coding, method form or other feature that is not supported
	RejectExpectation                        // an expectation other than 100-continue
)

// Reject is the reason why a message was refused. Each rule has one value, a package variable named ErrX beside
// the code that applies it, so that errors are compared with == or errors.Is.
type Reject struct {
	Text  string      // what was wrong, lower case, with the package as prefix
	RFC   string      // the section that asks for it, such as "RFC 9112 §2.2"
	Class RejectClass // what the sender is told
}

// Error returns the text of the rule.
func (r *Reject) Error() string { return r.Text }
