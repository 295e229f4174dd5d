package grpcweb

import (
	"encoding/base64"
	"errors"
)

var errBase64 = errors.New("grpc-web: the body is not base64")

// decoder decodes base64 that comes in runs, cut anywhere. It may be several texts one behind the other, each with its padding (gRPC-Web: a client encodes message by message).
type decoder struct {
	group [4]byte
	n     int // of group that is there
}

func (d *decoder) append(dst, p []byte, end bool) ([]byte, error) {
	for _, c := range p {
		d.group[d.n] = c
		if d.n++; d.n < len(d.group) {
			continue
		}
		d.n = 0
		var out [3]byte
		n, err := base64.StdEncoding.Strict().Decode(out[:], d.group[:])
		if err != nil {
			return dst, errBase64
		}
		dst = append(dst, out[:n]...)
	}
	if end && d.n > 0 {
		return dst, errBase64
	}
	return dst, nil
}

// encoder encodes what comes in runs as one text.
type encoder struct {
	group [3]byte
	n     int // of group that waits for the rest
}

func (e *encoder) append(dst, p []byte) []byte {
	if e.n > 0 {
		n := copy(e.group[e.n:], p)
		p = p[n:]
		if e.n += n; e.n < len(e.group) {
			return dst
		}
		dst = base64.StdEncoding.AppendEncode(dst, e.group[:])
	}
	whole := len(p) - len(p)%3
	e.n = copy(e.group[:], p[whole:])
	return base64.StdEncoding.AppendEncode(dst, p[:whole])
}

// end encodes what still waits, with its padding.
func (e *encoder) end(dst []byte) []byte {
	n := e.n
	e.n = 0
	return base64.StdEncoding.AppendEncode(dst, e.group[:n])
}
