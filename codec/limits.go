package codec

// Limits bounds what a parser accepts. The zero value accepts nothing; use [DefaultLimits].
type Limits struct {
	RequestLine int // bytes of a request line or status line, CRLF not counted; beyond: RejectLineTooLong
	Headers     int // bytes of all field lines of one head, with their CRLFs; beyond: RejectHeadersTooLarge
	HeaderCount int // field lines of one head; beyond: RejectHeadersTooLarge
}

// DefaultLimits are the contract's: 8 KiB is nginx's large_client_header_buffers line, 32 KiB is its four
// buffers, and 100 fields are Apache's LimitRequestFields, which browsers stay an order of magnitude below.
func DefaultLimits() Limits {
	return Limits{RequestLine: 8 << 10, Headers: 32 << 10, HeaderCount: 100}
}
