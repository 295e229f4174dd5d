package upstream

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/net/http2/hpack"
)

// The few frames of HTTP/2 (RFC 9113) that one call of grpc.health.v1.Health/Check needs. A probe is one stream on a connection of its own, so there is nothing of
// flow control, priorities or multiplexing in it: both messages are a few bytes and fit every window.
const (
	frameData     = 0x0
	frameHeaders  = 0x1
	frameReset    = 0x3
	frameSettings = 0x4
	framePing     = 0x6
	frameGoAway   = 0x7
	frameContinue = 0x9

	flagAck        = 0x1
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20

	frameHeader  = 9       // bytes
	maxFrame     = 1 << 14 // what a peer may send that has been told nothing else (RFC 9113 §4.2)
	probeFrames  = 64      // more than any server sends before it answers one call
	probeStream  = 1
	probePreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

var errNotServing = errors.New("the service is not serving")

// probeGRPC asks whether a service, or with "" the server, is serving. scheme is how the connection is made: "http" or, over TLS, "https".
func probeGRPC(conn io.ReadWriter, scheme, authority, service string) error {
	if _, err := conn.Write(appendHealthCheck(nil, scheme, authority, service)); err != nil {
		return err
	}
	p := grpcProbe{in: bufio.NewReader(conn), out: conn}
	p.fields = hpack.NewDecoder(4096, p.field)
	for range probeFrames {
		done, err := p.frame()
		if err != nil {
			return err
		}
		if done {
			return p.verdict()
		}
	}
	return errors.New("too many frames without an answer")
}

// appendHealthCheck appends all that a client sends: preface, settings, and the call.
func appendHealthCheck(dst []byte, scheme, authority, service string) []byte {
	dst = append(dst, probePreface...)
	dst = appendFrame(dst, frameSettings, 0, 0, nil)
	var fields fieldBuffer
	enc := hpack.NewEncoder(&fields)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: scheme}, {Name: ":path", Value: "/grpc.health.v1.Health/Check"},
		{Name: ":authority", Value: authority}, {Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
		{Name: "user-agent", Value: "sluice-health"},
	} {
		_ = enc.WriteField(f) // a buffer never fails
	}
	dst = appendFrame(dst, frameHeaders, flagEndHeaders, probeStream, fields)
	var message []byte // HealthCheckRequest: field 1, a string
	if service != "" {
		message = append(message, 1<<3|2)
		message = binary.AppendUvarint(message, uint64(len(service)))
		message = append(message, service...)
	}
	body := append([]byte{0}, binary.BigEndian.AppendUint32(nil, uint32(len(message)))...) // not compressed
	return appendFrame(dst, frameData, flagEndStream, probeStream, append(body, message...))
}

func appendFrame(dst []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	dst = append(dst, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	dst = binary.BigEndian.AppendUint32(dst, stream)
	return append(dst, payload...)
}

type fieldBuffer []byte

func (b *fieldBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// grpcProbe is a call under way.
type grpcProbe struct {
	in     *bufio.Reader
	out    io.Writer
	fields *hpack.Decoder

	status  string // of HTTP
	code    string // grpc-status
	text    string // grpc-message
	message []byte
}

func (p *grpcProbe) field(f hpack.HeaderField) {
	switch f.Name {
	case ":status":
		p.status = f.Value
	case "grpc-status":
		p.code = f.Value
	case "grpc-message":
		p.text = f.Value
	}
}

// frame reads one frame and reports whether the stream has ended.
func (p *grpcProbe) frame() (done bool, err error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(p.in, head[:]); err != nil {
		return false, err
	}
	n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	kind, flags := head[3], head[4]
	if n > maxFrame {
		return false, fmt.Errorf("a frame of %d bytes", n)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(p.in, payload); err != nil {
		return false, err
	}
	switch kind {
	case frameSettings, framePing:
		if flags&flagAck == 0 {
			echo := payload
			if kind == frameSettings {
				echo = nil
			}
			_, err = p.out.Write(appendFrame(nil, kind, flagAck, 0, echo))
		}
		return false, err
	case frameReset, frameGoAway:
		return false, errors.New("the server ended the call")
	case frameHeaders, frameContinue:
		if payload, err = unpad(kind, flags, payload); err == nil {
			_, err = p.fields.Write(payload)
		}
		return kind == frameHeaders && flags&flagEndStream != 0 && flags&flagEndHeaders != 0, err
	case frameData:
		payload, err = unpad(kind, flags, payload)
		p.message = append(p.message, payload...)
		return flags&flagEndStream != 0, err
	}
	return false, nil
}

// unpad takes padding and priority off a payload (RFC 9113 §6.1, §6.2).
func unpad(kind, flags byte, payload []byte) ([]byte, error) {
	pad := 0
	if flags&flagPadded != 0 && kind != frameContinue {
		if len(payload) == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		pad, payload = int(payload[0]), payload[1:]
	}
	if flags&flagPriority != 0 && kind == frameHeaders {
		pad += 5 // stands in front, and is cut off there
		if len(payload) < pad {
			return nil, io.ErrUnexpectedEOF
		}
		return payload[5 : len(payload)-pad+5], nil
	}
	if len(payload) < pad {
		return nil, io.ErrUnexpectedEOF
	}
	return payload[:len(payload)-pad], nil
}

// verdict says what the answer means.
func (p *grpcProbe) verdict() error {
	switch {
	case p.status != "200":
		return fmt.Errorf("status %s", said(p.status))
	case p.code != "0":
		return fmt.Errorf("grpc-status %s %s", said(p.code), said(p.text))
	}
	// HealthCheckResponse: field 1, an enumeration in which 1 is SERVING. A frame of gRPC's own stands before it.
	const prefix = 5
	if len(p.message) < prefix || p.message[0] != 0 {
		return errors.New("the answer holds no message")
	}
	message := p.message[prefix:]
	if len(message) >= 2 && message[0] == 1<<3 && message[1] == 1 {
		return nil
	}
	return errNotServing
}
