package h1

import "sluice/codec"

// The start line and the shape of lines. Each value stands for one rule, has a file of its name in testdata/reject, and is compared with ==.
var (
	// ErrEmptyLines: the empty lines before the request line are longer than that may be.
	ErrEmptyLines = malformed("h1: too many empty lines before the request", "RFC 9112 §2.2")
	// ErrBareCR: a CR that no LF follows.
	ErrBareCR = malformed("h1: bare cr", "RFC 9112 §2.2")
	// ErrBareLF: a LF that no CR precedes.
	ErrBareLF = malformed("h1: bare lf", "RFC 9112 §2.2")
	// ErrMethod: the method is empty or has a byte that no token has.
	ErrMethod = malformed("h1: invalid method", "RFC 9112 §3.1")
	// ErrRequestLine: the line ends before there was a target and a version, as an HTTP/0.9 request does.
	ErrRequestLine = malformed("h1: request line is not method, target and version", "RFC 9112 §3")
	// ErrTargetEmpty: two spaces follow the method.
	ErrTargetEmpty = malformed("h1: empty request target", "RFC 9112 §3.2")
	// ErrTargetByte: a control or DEL in the target.
	ErrTargetByte = malformed("h1: invalid byte in request target", "RFC 9112 §3.2")
	// ErrFragment: a "#" in the target.
	ErrFragment = malformed("h1: fragment in request target", "RFC 9112 §3.2")
	// ErrTargetForm: neither origin form, nor absolute form with http or https, nor "*" with OPTIONS, nor authority form with CONNECT.
	ErrTargetForm = malformed("h1: request target is in no form that the method allows", "RFC 9112 §3.2")
	// ErrUserinfo: user information in an absolute target.
	ErrUserinfo = malformed("h1: user information in request target", "RFC 9110 §4.2.4")
	// ErrAuthority: the authority of an absolute target is no host with an optional port.
	ErrAuthority = malformed("h1: invalid authority in request target", "RFC 9110 §4.2.1")
	// ErrConnect: the CONNECT method, which this gateway does not offer.
	ErrConnect = &codec.Reject{Text: "h1: connect is not supported", RFC: "RFC 9110 §9.3.6", Class: codec.RejectNotImplemented}
	// ErrVersion: what stands where the version belongs is not "HTTP/" digit "." digit, or something follows it.
	ErrVersion = malformed("h1: invalid protocol version", "RFC 9112 §2.3")
	// ErrVersionUnsupported: a well-formed version other than 1.0 and 1.1, the HTTP/2 preface included.
	ErrVersionUnsupported = &codec.Reject{Text: "h1: unsupported protocol version", RFC: "RFC 9110 §15.6.6", Class: codec.RejectVersion}
	// ErrLineTooLong: the request line or status line is over its limit.
	ErrLineTooLong = &codec.Reject{Text: "h1: start line too long", RFC: "RFC 9112 §3", Class: codec.RejectLineTooLong}
	// ErrStatusLine: what stands where a status line belongs does not begin with a version.
	ErrStatusLine = malformed("h1: invalid status line", "RFC 9112 §4")
	// ErrStatus: the status is not three digits from 100 to 599, or something else than a space follows it.
	ErrStatus = malformed("h1: invalid status code", "RFC 9110 §15")
	// ErrReason: a control in the reason phrase.
	ErrReason = malformed("h1: invalid byte in reason phrase", "RFC 9112 §4")
)

// Field lines.
var (
	// ErrLeadingSpace: white space between the start line and the first field.
	ErrLeadingSpace = malformed("h1: white space before the first field", "RFC 9112 §2.2")
	// ErrFold: a field line that continues the one before it.
	ErrFold = malformed("h1: folded field line", "RFC 9112 §5.2")
	// ErrNameEmpty: a field line that begins with its colon.
	ErrNameEmpty = malformed("h1: empty field name", "RFC 9112 §5")
	// ErrName: a byte in a field name that no token has.
	ErrName = malformed("h1: invalid byte in field name", "RFC 9110 §5.1")
	// ErrSpaceBeforeColon: white space within a field name or, but for responses, behind it.
	ErrSpaceBeforeColon = malformed("h1: white space before the colon of a field", "RFC 9112 §5.1")
	// ErrNoColon: a field line without a colon.
	ErrNoColon = malformed("h1: field line without a colon", "RFC 9112 §5")
	// ErrValue: a control other than the tab in a field value.
	ErrValue = malformed("h1: invalid byte in field value", "RFC 9110 §5.5")
	// ErrFieldsTooLarge: the field lines are over their limit in bytes.
	ErrFieldsTooLarge = &codec.Reject{Text: "h1: field section too large", RFC: "RFC 6585 §5", Class: codec.RejectHeadersTooLarge}
	// ErrTooManyFields: the field lines are over their limit in number.
	ErrTooManyFields = &codec.Reject{Text: "h1: too many fields", RFC: "RFC 6585 §5", Class: codec.RejectHeadersTooLarge}
)

// Fields that decide about routing, framing and the connection.
var (
	// ErrHostMissing: an HTTP/1.1 request without a Host field.
	ErrHostMissing = malformed("h1: no host field", "RFC 9112 §3.2")
	// ErrHostDuplicate: a second Host field.
	ErrHostDuplicate = malformed("h1: more than one host field", "RFC 9112 §3.2")
	// ErrHost: the value of Host is empty, or no host with an optional port.
	ErrHost = malformed("h1: invalid host field", "RFC 9112 §3.2")
	// ErrContentLength: the value of Content-Length is anything but digits; a list of equal numbers is refused too.
	ErrContentLength = malformed("h1: invalid content-length", "RFC 9110 §8.6")
	// ErrContentLengthOverflow: a Content-Length that 63 bits cannot hold.
	ErrContentLengthOverflow = malformed("h1: content-length too large", "RFC 9110 §8.6")
	// ErrContentLengthDuplicate: a second Content-Length field, equal or not.
	ErrContentLengthDuplicate = malformed("h1: more than one content-length", "RFC 9112 §6.3")
	// ErrLengthAndCoding: Content-Length beside Transfer-Encoding.
	ErrLengthAndCoding = malformed("h1: both content-length and transfer-encoding", "RFC 9112 §6.1")
	// ErrTransferEncoding: a Transfer-Encoding that is no list of names of codings; parameters and empty elements are refused too.
	ErrTransferEncoding = malformed("h1: invalid transfer-encoding", "RFC 9112 §6.1")
	// ErrTransferEncodingDuplicate: a second Transfer-Encoding field.
	ErrTransferEncodingDuplicate = malformed("h1: more than one transfer-encoding", "RFC 9112 §6.1")
	// ErrTransferEncodingVersion: Transfer-Encoding in an HTTP/1.0 message.
	ErrTransferEncodingVersion = malformed("h1: transfer-encoding in http/1.0", "RFC 9112 §6.1")
	// ErrChunkedNotFinal: chunked is missing, not the last coding, or there twice.
	ErrChunkedNotFinal = malformed("h1: chunked is not the final transfer coding", "RFC 9112 §6.3")
	// ErrCodingUnsupported: other codings below chunked.
	ErrCodingUnsupported = &codec.Reject{Text: "h1: unsupported transfer coding", RFC: "RFC 9112 §6.1", Class: codec.RejectNotImplemented}
	// ErrTooManyOptions: more connection options than a message may have fields.
	ErrTooManyOptions = &codec.Reject{Text: "h1: too many connection options", RFC: "RFC 9110 §7.6.1", Class: codec.RejectHeadersTooLarge}
	// ErrExpectation: an Expect field other than 100-continue in an HTTP/1.1 request.
	ErrExpectation = &codec.Reject{Text: "h1: unsupported expectation", RFC: "RFC 9110 §10.1.1", Class: codec.RejectExpectation}
)

// Bodies.
var (
	// ErrChunkSize: the size of a chunk is not hexadecimal digits with the end of the line or an extension behind.
	ErrChunkSize = malformed("h1: invalid chunk size", "RFC 9112 §7.1")
	// ErrChunkSizeOverflow: the size of a chunk is more than 63 bits hold, or has too many leading zeros.
	ErrChunkSizeOverflow = malformed("h1: chunk size too large", "RFC 9112 §7.1")
	// ErrChunkExtension: a chunk extension that breaks the grammar.
	ErrChunkExtension = malformed("h1: invalid chunk extension", "RFC 9112 §7.1.1")
	// ErrChunkExtensionsTooLong: the chunk extensions of a message are over their limit in sum.
	ErrChunkExtensionsTooLong = malformed("h1: chunk extensions too long", "RFC 9112 §7.1.1")
	// ErrChunkEnd: the data of a chunk is not followed by CRLF.
	ErrChunkEnd = malformed("h1: chunk data is not followed by crlf", "RFC 9112 §7.1")
	// ErrTruncated: the connection ended before the body did.
	ErrTruncated = malformed("h1: body ends before its end was sent", "RFC 9112 §8")
)

func malformed(text, rfc string) *codec.Reject {
	return &codec.Reject{Text: text, RFC: rfc, Class: codec.RejectMalformed}
}
