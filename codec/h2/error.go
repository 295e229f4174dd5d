package h2

import (
	"errors"

	"sluice/codec"
)

// Code is why a stream or a connection ended (RFC 9113 §7).
type Code uint32

// The codes, by their numbers.
const (
	NoError Code = iota
	ProtocolError
	InternalError
	FlowControlError
	SettingsTimeout
	StreamClosed
	FrameSizeError
	RefusedStream
	Cancel
	CompressionError
	ConnectError
	EnhanceYourCalm
	InadequateSecurity
	HTTP11Required
)

var codeNames = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM",
	"CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

// String returns the name as the standard has it.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "unknown code"
}

// Error is why a connection or a stream was refused. Each rule has one value, which is compared with ==.
type Error struct {
	Code Code
	Text string // what was wrong, lower case, with the package as prefix
	RFC  string // the section that asks for it
}

// Error returns the text of the rule.
func (e *Error) Error() string { return e.Text }

// Rules whose breach ends the connection.
var (
	// ErrPreface: the connection does not begin with the client's preface, or the first frame is not SETTINGS.
	ErrPreface = &Error{ProtocolError, "h2: invalid connection preface", "RFC 9113 §3.4"}
	// ErrFrameTooLarge: a frame is larger than the 16 KiB that are allowed without a setting.
	ErrFrameTooLarge = &Error{FrameSizeError, "h2: frame too large", "RFC 9113 §4.2"}
	// ErrFrameSize: a frame whose type has a fixed size has another one.
	ErrFrameSize = &Error{FrameSizeError, "h2: invalid frame size", "RFC 9113 §6"}
	// ErrStreamID: a frame on stream 0 that belongs to a stream, or the other way round.
	ErrStreamID = &Error{ProtocolError, "h2: frame on a stream that cannot have it", "RFC 9113 §6"}
	// ErrIdle: a frame other than HEADERS or PRIORITY on a stream that nobody has opened.
	ErrIdle = &Error{ProtocolError, "h2: frame on an idle stream", "RFC 9113 §5.1"}
	// ErrStreamOrder: a stream with an identifier that is not the client's to use, or lower than one before.
	ErrStreamOrder = &Error{ProtocolError, "h2: invalid stream identifier", "RFC 9113 §5.1.1"}
	// ErrClosed: HEADERS on a stream that has ended.
	ErrClosed = &Error{StreamClosed, "h2: frame on a closed stream", "RFC 9113 §5.1"}
	// ErrPadding: padding as long as the frame, or longer.
	ErrPadding = &Error{ProtocolError, "h2: too much padding", "RFC 9113 §6.1"}
	// ErrContinuation: CONTINUATION without a header block, or anything else within one.
	ErrContinuation = &Error{ProtocolError, "h2: header block is interrupted", "RFC 9113 §6.10"}
	// ErrPush: PUSH_PROMISE, which a client never sends and we never allow.
	ErrPush = &Error{ProtocolError, "h2: push promise", "RFC 9113 §8.4"}
	// ErrSetting: a setting with a value that it cannot have.
	ErrSetting = &Error{ProtocolError, "h2: invalid setting", "RFC 9113 §6.5.2"}
	// ErrSettingWindow: an initial window beyond 2^31-1, or one that makes the window of a stream so.
	ErrSettingWindow = &Error{FlowControlError, "h2: invalid initial window", "RFC 9113 §6.5.2"}
	// ErrIncrement: a window update of 0 for the connection.
	ErrIncrement = &Error{ProtocolError, "h2: window update of 0", "RFC 9113 §6.9"}
	// ErrWindowOverflow: window updates that sum up to more than 2^31-1.
	ErrWindowOverflow = &Error{FlowControlError, "h2: window too large", "RFC 9113 §6.9.1"}
	// ErrWindow: more data than the connection's window allows.
	ErrWindow = &Error{FlowControlError, "h2: data beyond the window", "RFC 9113 §6.9"}
	// ErrCompression: a header block that cannot be decompressed.
	ErrCompression = &Error{CompressionError, "h2: header block cannot be decompressed", "RFC 9113 §4.3"}
	// ErrBlockTooLarge: a header block so large that it is not worth decompressing, or in too many frames: "CONTINUATION, CONTINUATION, …" without an end.
	ErrBlockTooLarge = &Error{EnhanceYourCalm, "h2: header block too large", "RFC 9113 §10.5.1"}
	// ErrCalm: more frames that cost us work and the peer nothing than useful work allows.
	ErrCalm = &Error{EnhanceYourCalm, "h2: too many frames without work", "RFC 9113 §10.5"}
	// ErrResets: more streams that were given up than useful work allows: "HEADERS, RST_STREAM, HEADERS, RST_STREAM, …".
	ErrResets = &Error{EnhanceYourCalm, "h2: too many streams reset", "RFC 9113 §10.5"}
)

// Rules whose breach ends a stream.
var (
	// ErrStreamData: data or fields on a stream whose sender had ended it.
	ErrStreamData = &Error{StreamClosed, "h2: frame after the end of the stream", "RFC 9113 §5.1"}
	// ErrStreamIncrement: a window update of 0 for a stream.
	ErrStreamIncrement = &Error{ProtocolError, "h2: window update of 0 on a stream", "RFC 9113 §6.9"}
	// ErrStreamOverflow: window updates of a stream that sum up to more than 2^31-1.
	ErrStreamOverflow = &Error{FlowControlError, "h2: window of a stream too large", "RFC 9113 §6.9.1"}
	// ErrStreamWindow: more data than the stream's window allows.
	ErrStreamWindow = &Error{FlowControlError, "h2: data beyond the window of a stream", "RFC 9113 §6.9"}
	// ErrLength: more or less data than content-length has said.
	ErrLength = &Error{ProtocolError, "h2: data does not fit content-length", "RFC 9113 §8.1.1"}
	// ErrDependsOnItself: a stream that is its own parent.
	ErrDependsOnItself = &Error{ProtocolError, "h2: stream depends on itself", "RFC 7540 §5.3.1"}
	// ErrPrioritySize: a PRIORITY frame that is not 5 bytes long.
	ErrPrioritySize = &Error{FrameSizeError, "h2: invalid size of a priority frame", "RFC 9113 §6.3"}
	// ErrTooManyStreams: more streams than the client may have open.
	ErrTooManyStreams = &Error{RefusedStream, "h2: too many streams", "RFC 9113 §5.1.2"}
	// ErrTrailerEnd: a second header block that does not end the stream.
	ErrTrailerEnd = &Error{ProtocolError, "h2: trailer section does not end the stream", "RFC 9113 §8.1"}
	// ErrDataBeforeHead: data of a response before its head.
	ErrDataBeforeHead = &Error{ProtocolError, "h2: data before the head", "RFC 9113 §8.1"}
)

// Rules whose breach makes a message malformed, which is a matter of its stream (RFC 9113 §8.1.1).
var (
	// ErrPseudo: a pseudo-field that is unknown, not for this kind of message, there twice, or behind a field.
	ErrPseudo = malformed("h2: invalid pseudo-field", "RFC 9113 §8.3")
	// ErrPseudoMissing: :method, :scheme, :path or :status is missing, or there where it must not be.
	ErrPseudoMissing = malformed("h2: missing pseudo-field", "RFC 9113 §8.3.1")
	// ErrMethod: the method is no token.
	ErrMethod = malformed("h2: invalid method", "RFC 9110 §9.1")
	// ErrScheme: a scheme other than http and https.
	ErrScheme = malformed("h2: invalid scheme", "RFC 9113 §8.3.1")
	// ErrPath: a path that is empty, neither absolute nor "*" with OPTIONS, or has a byte that no target has.
	ErrPath = malformed("h2: invalid path", "RFC 9113 §8.3.1")
	// ErrPathTooLong: the path is over the limit of a request line.
	ErrPathTooLong = &codec.Reject{Text: "h2: path too long", RFC: "RFC 9110 §15.5.15", Class: codec.RejectLineTooLong}
	// ErrAuthority: :authority or Host is no host with an optional port, or there is neither.
	ErrAuthority = malformed("h2: invalid authority", "RFC 9113 §8.3.1")
	// ErrHost: Host is empty or there twice, or differs from :authority.
	ErrHost = malformed("h2: host differs from authority", "RFC 9113 §8.3.1")
	// ErrConnect: the CONNECT method, which this gateway does not offer but for WebSocket.
	ErrConnect = &codec.Reject{Text: "h2: connect is not supported", RFC: "RFC 9110 §9.3.6", Class: codec.RejectNotImplemented}
	// ErrStatus: :status is not three digits from 100 to 599, or 101.
	ErrStatus = malformed("h2: invalid status", "RFC 9113 §8.3.2")
	// ErrName: a field name that is empty, or has an upper-case letter or a byte that no token has.
	ErrName = malformed("h2: invalid field name", "RFC 9113 §8.2.1")
	// ErrValue: a control in a field value, or white space at an end of it.
	ErrValue = malformed("h2: invalid field value", "RFC 9113 §8.2.1")
	// ErrConnectionField: a field that speaks of an HTTP/1.1 connection.
	ErrConnectionField = malformed("h2: connection-specific field", "RFC 9113 §8.2.2")
	// ErrContentLength: content-length is no number, is there twice, or speaks of a body where the stream has ended.
	ErrContentLength = malformed("h2: invalid content-length", "RFC 9113 §8.1.1")
	// ErrExpectation: an Expect field other than 100-continue.
	ErrExpectation = &codec.Reject{Text: "h2: unsupported expectation", RFC: "RFC 9110 §10.1.1", Class: codec.RejectExpectation}
	// ErrFieldsTooLarge: the fields are over their limit in bytes.
	ErrFieldsTooLarge = &codec.Reject{Text: "h2: field section too large", RFC: "RFC 6585 §5", Class: codec.RejectHeadersTooLarge}
	// ErrTooManyFields: the fields are over their limit in number.
	ErrTooManyFields = &codec.Reject{Text: "h2: too many fields", RFC: "RFC 6585 §5", Class: codec.RejectHeadersTooLarge}
)

func malformed(text, rfc string) *codec.Reject {
	return &codec.Reject{Text: text, RFC: rfc, Class: codec.RejectMalformed}
}

// Broken reports whether err, which a function of this package has returned, is the end of the connection and not of one message.
func Broken(err error) bool {
	_, ok := err.(*Error)
	return ok
}

// CodeOf returns the code for a stream or connection that err has ended.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return NoError
	case errors.As(err, &e):
		return e.Code
	}
	return ProtocolError
}
