// Package h1 turns bytes into HTTP/1.x messages and back (RFC 9112). It does no I/O, keeps no clock, starts no goroutine,
// and does not copy what it parses.
//
// # Three outcomes
//
// [ParseRequest] and [ParseResponse] return n > 0 when the head is complete and takes n bytes, 0 and nil when more bytes are
// needed, and an error when the message is refused; the error is always one of the package's [codec.Reject] values. The
// caller keeps all bytes of an unfinished head and calls again once more of them are there; the parser continues where it stopped, so a
// slow sender costs linear work. A message is refused at the first byte that proves it wrong, and the outcome is
// the same however the bytes were cut into reads.
//
// # A head, in wire order
//
//	atStart ─┬─► inMethod ─► inTarget ─► inVersion ─┐
//	         └─► inReason (of a status line) ───────┤
//	                                                ▼
//	                                 ┌─────────► atLine ─► (empty line: done)
//	                                 │             │
//	                                 │             ▼
//	                                 └─ inValue ◄─ inName (or beforeColon, of a response)
//
// # A chunked body, in wire order
//
//	┌─► atChunkSize ─► inChunkSize ─► (extension) ─► atChunkLF ─► inChunkData ─► atDataCR ─► atDataLF ─┐
//	└──────────────────────────────────────────────────┬──────────────────────────────────────────────┘
//	                                          size 0   ▼
//	                                               atTrailer ─┬─► atFinalLF ─► bodyDone
//	                                                          └─► inTrailer ─► bodyDone
//
// # How strict
//
// Wherever two parsers could see two different messages in the same bytes, the message is refused, even where RFC 9112 lets a
// recipient guess: bare CR and bare LF, white space before a colon or a first field, folded lines, more than one Content-Length
// (equal ones too), Content-Length beside Transfer-Encoding, any Transfer-Encoding but a single "chunked". Inside a target every byte is let through
// but controls, space, DEL and "#": browsers do send |, ", {}, ^, ` and raw UTF-8. In field values the bytes 0x80 to 0xFF are let through. An empty Host is refused,
// since targets of http and https have an authority.
//
// What can be read in one way only is accepted, even where it is bad style. Empty lines before a request line are skipped (RFC 9112 §2.2), since old clients send
// one after a body. White space before a chunk extension ("5 ;a=b") is taken, since a recipient must (RFC 9112 §7.1.1); without an extension behind
// it ("5 ") it is refused in requests. White space before the colon of a response's field is taken out, as a proxy must (RFC 9112 §5.1), and white space around a value goes on
// as one space. Request fields such as Transfer_Encoding or X_Forwarded_For, which CGI and WSGI nodes cannot tell from those with dashes, are taken out, and so is Expect in HTTP/1.0.
//
// A Transfer-Encoding that does not end in chunked is malformed (400), one that does with other codings below it is not implemented (501).
package h1
