package fault

// The statuses of gRPC that an HTTP status stands for, or that stand for one.
const (
	grpcUnknown           = 2
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcUnimplemented     = 12
	grpcInternal          = 13
	grpcDataLoss          = 15
	grpcUnauthenticated   = 16

	GRPCDeadlineExceeded = 4
	GRPCUnavailable      = 14
)

// ParseGRPC reads a grpc-status. What is none is UNKNOWN, as clients take it; so is an answer that holds none.
func ParseGRPC(text []byte) int {
	if len(text) == 0 || len(text) > 2 {
		return grpcUnknown
	}
	code := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return grpcUnknown
		}
		code = 10*code + int(c-'0')
	}
	if code > grpcUnauthenticated {
		return grpcUnknown
	}
	return code
}

// StatusOfGRPC returns the HTTP status whose meaning for the health of a node the status of a call has: of 500 to 599 for those that tell of the node, and 200 for those that tell
// of the call. UNIMPLEMENTED is one of these: whoever asks for a method that there is not would take all nodes out.
func StatusOfGRPC(code int) int {
	switch code {
	case grpcUnknown, grpcInternal, grpcDataLoss:
		return 500
	case GRPCUnavailable:
		return 503
	case GRPCDeadlineExceeded:
		return 504
	}
	return 200
}
