package observe

import "net/netip"

// Record is one finished exchange. The proxy fills it in and [Worker.Finish] reads it; nothing of it is kept, so the slices may
// alias buffers that are reused after the call. Zero means "there is none" everywhere.
type Record struct {
	// When. Start is wall-clock time; the others are lengths of monotonic time.
	Start       int64 // unix nanoseconds at which the request head began to arrive
	Duration    int64 // nanoseconds from Start to the last byte of the answer
	ReadTime    int64 // nanoseconds from Start to the end of the request head; 0 = it came in one piece
	ConnectTime int64 // nanoseconds that the connection to the node took; 0 = a connection was reused
	HeadTime    int64 // nanoseconds from Start to the first byte of the node's response head

	// The request as the client sent it. Nil where it did not come so far, or has no such field.
	Method    []byte
	Target    []byte
	Host      []byte
	UserAgent []byte
	Referer   []byte
	RequestID []byte
	Protocol  string // "HTTP/1.1", "HTTP/2.0"; also the wording of the log

	// The two sides.
	ClientIP   netip.Addr
	ClientPort uint16
	TLS        string   // "TLSv1.3", a constant; "" = plain text
	ClientCert []byte   // the subject of the client's certificate; nil = it has shown none
	Route      *Route   // nil = none matched
	Service    *Service // nil = none was chosen
	Node       string   // host:port of the last node tried

	// How it ended.
	Status   int    // as sent to the client; 0 = it had gone before the head was sent
	BytesIn  int64  // of the request body, as far as it was read, without framing
	BytesOut int64  // of the response body, as far as it was sent, without framing
	Retries  int    // attempts beyond the first
	Flag     string // the reason in two or three letters (fault.Kind.Flag), a constant; "" = nothing went wrong
	Code     string // the error code (fault.Kind.Code), a constant; "" = nothing went wrong
	Reason   string // why, in words for people, such as the rule that a message broke; bounded by who sets it
}
