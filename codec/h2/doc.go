// Package h2 turns bytes into HTTP/2 frames and messages and back (RFC 9113, RFC 7541). It does no I/O, keeps no clock and starts no goroutine.
//
// # A connection
//
// A [Conn] is one side of a connection. Its owner feeds it with what has come and acts on the [Event] that it gets back; what the protocol itself owes to the
// peer (acknowledgements, window updates, resets of streams that broke a rule) gathers in [Conn.Control], to be sent before anything else. What the owner
// has to say is appended to a buffer by the functions named Append.
//
// [Conn.Next] returns n > 0 when it took n bytes, 0 and nil when more are needed, and an error when the connection cannot go on; the error is always a *[Error],
// whose code belongs into a GOAWAY frame. A DATA frame is handed on as its bytes come; any other is taken once it is whole, so the caller has to be able to keep one
// frame of [MaxFrame] bytes. The events are the same however the bytes were cut into reads.
//
// # A stream
//
// The memory of a [Stream] is its owner's; the connection links it in from [Conn.Open] to the end of both directions, or to a reset.
//
//	             Open                         END_STREAM received
//	(EventOpen) ───────► open ──────────────────────────────────► half closed (remote)
//	                      │ │                                             │
//	      END_STREAM sent │ └────── reset, by either side ──────► closed ◄┘ END_STREAM sent
//	                      ▼                                          ▲
//	             half closed (local) ────────────────────────────────┘
//	                                   END_STREAM received
//
// # Messages
//
// A header block is decoded by the owner's call of [Conn.ReadRequest], [Conn.ReadResponse] or [Conn.ReadTrailer] after the event that announced it, into memory of the owner, laid out as
// HTTP/1.1 writes it ("name: value" and CRLF), so that an HTTP/1.1 head can be made of it by copying. Limits are enforced while it is decoded: what is beyond them is
// read, since the compression's state depends on it, and kept nowhere. Every announced block has to be read, or skipped by [Conn.Skip], before the next call of Next.
//
// # Field compression
//
// The decoder and the encoder are our own: they work on bytes that the caller owns and allocate nothing, where golang.org/x/net/http2/hpack makes a string of every literal. The
// standard's tables (static table, Huffman code) are taken from that package when the program starts, and tests compare every outcome with it. The
// encoder keeps no dynamic table, see [Conn.AppendRequestHead].
//
// # What is bounded
//
// Everything that a peer can make the connection do without doing work itself is paid from two accounts that useful work fills again, see allowance. Who runs
// one dry is told ENHANCE_YOUR_CALM.
package h2
