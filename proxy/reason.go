package proxy

import (
	"errors"
	"strings"
	"unicode/utf8"

	"sluice/internal/fault"
)

// reasonMost is the longest reason in the log, in bytes. Every rule of the codecs is shorter; what is longer quotes a peer, as the error of a certificate may.
const reasonMost = 200

// reason returns why an exchange failed, for its record: the rule that a message broke, what did not come in time, or what the operating system said. It is the innermost cause,
// without the name of the package that it is of; "" where the kind of the failure says all. It does not allocate but for the errors of others that put their text together.
func reason(e *fault.Error) string {
	if e.Cause == nil {
		return ""
	}
	innermost := e.Cause
	for err := innermost; err != nil; err = errors.Unwrap(err) {
		innermost = err
	}
	text := innermost.Error()
	if origin, rest, found := strings.Cut(text, ": "); found && !strings.ContainsRune(origin, ' ') {
		text = rest
	}
	if len(text) <= reasonMost {
		return text
	}
	end := reasonMost
	for end > reasonMost-utf8.UTFMax && !utf8.RuneStart(text[end]) { // no character is cut in two
		end--
	}
	return text[:end]
}
