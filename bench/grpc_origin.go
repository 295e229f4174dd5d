package main

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"

	"golang.org/x/net/http2/hpack"
)

// callee answers unary calls over HTTP/2 without TLS: every one with grpcMessage, or for grpcCheckPath with the fields that have come, once it has the whole of the
// request. It is a handful of frames and no server of gRPC, so that it costs a fraction of what any gateway does; nginx, the other origin, answers before it has read.
type callee struct {
	listener net.Listener
	calls    atomic.Int64 // answered
}

func startCallee() (*callee, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("gRPC origin: %w", err)
	}
	o := &callee{listener: l}
	go o.serve()
	return o, nil
}

// port is where it listens.
func (o *callee) port() int { return o.listener.Addr().(*net.TCPAddr).Port }

func (o *callee) close() { _ = o.listener.Close() } // nothing is owed to anybody

// serve ends with close. A connection that fails fails the calls on it, which the load generator sees.
func (o *callee) serve() {
	for {
		c, err := o.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = newCalleeConn(o, c).run()
		}()
	}
}

// The frames of RFC 9113 §6, and their flags.
const (
	frameData, frameHeaders, frameSettings, framePing, frameGoAway, frameWindow, frameContinuation = 0, 1, 4, 6, 7, 8, 9
	flagEnd, flagAck, flagEndHeaders, flagPadded, flagPriority                                     = 0x1, 0x1, 0x4, 0x8, 0x20
)

const (
	http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	calleeWindow = 1 << 30 // of streams and of the connection: no call waits for it
	creditEach   = 1 << 20 // bytes of calls after which the connection's window is filled up
)

// calleeHead is the head of an answer in HPACK: ":status: 200" and the content type, calleeMessage its body, and calleeTrailer its end.
var (
	calleeHead    = hpackLiteral([]byte{0x80 | 8}, "content-type", "application/grpc")
	calleeTrailer = hpackLiteral(nil, "grpc-status", "0")
	calleeMessage = grpcMessage
)

func hpackLiteral(dst []byte, name, value string) []byte {
	dst = append(append(dst, 0, byte(len(name))), name...)
	return append(append(dst, byte(len(value))), value...)
}

// calleeConn is one connection of a gateway. One goroutine reads, answers, and writes what it has gathered when nothing more is there to be read.
type calleeConn struct {
	origin *callee
	in     *bufio.Reader
	out    *bufio.Writer
	fields *hpack.Decoder
	asked  map[string]string // fields of the block that is being read
	block  []byte            // its bytes
	ended  bool              // its stream ends with it
	checks map[uint32]string // answers that are owed to calls of grpcCheckPath
	owed   []uint32          // calls that wait for the window
	window int               // of the connection, for what we send
	credit int               // bytes that have come since the window was filled up
	answer []byte
}

func newCalleeConn(o *callee, c net.Conn) *calleeConn {
	k := &calleeConn{origin: o, in: bufio.NewReaderSize(c, 64<<10), out: bufio.NewWriterSize(c, 64<<10), window: 65535, asked: map[string]string{}, checks: map[uint32]string{}}
	k.fields = hpack.NewDecoder(4096, func(f hpack.HeaderField) { k.asked[f.Name] = f.Value })
	return k
}

func (k *calleeConn) run() error {
	preface := make([]byte, len(http2Preface))
	if _, err := io.ReadFull(k.in, preface); err != nil || string(preface) != http2Preface {
		return errors.Join(err, errors.New("gRPC origin: no preface"))
	}
	settings := binary.BigEndian.AppendUint32([]byte{0, 4}, calleeWindow)  // SETTINGS_INITIAL_WINDOW_SIZE
	settings = binary.BigEndian.AppendUint32(append(settings, 0, 3), 1000) // SETTINGS_MAX_CONCURRENT_STREAMS
	k.answer = appendFrame(k.answer[:0], frameSettings, 0, 0, settings)
	k.answer = appendFrame(k.answer, frameWindow, 0, 0, []byte{0x3f, 0xff, 0, 0}) // to 2^30
	if _, err := k.out.Write(k.answer); err != nil {
		return err
	}
	var head [9]byte
	for {
		if k.in.Buffered() == 0 {
			if err := k.out.Flush(); err != nil {
				return err
			}
		}
		if _, err := io.ReadFull(k.in, head[:]); err != nil {
			return err
		}
		size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		payload, err := k.in.Peek(size) // a frame has 16 KiB at most, since no more was allowed
		if err != nil {
			return err
		}
		if err := k.frame(head[3], head[4], binary.BigEndian.Uint32(head[5:]), payload); err != nil {
			return err
		}
		if _, err := k.in.Discard(size); err != nil {
			return err
		}
	}
}

func (k *calleeConn) frame(kind, flags byte, id uint32, p []byte) error {
	switch kind {
	case frameHeaders:
		p, err := unpad(p, flags)
		if err != nil {
			return err
		}
		if flags&flagPriority != 0 {
			p = p[min(5, len(p)):]
		}
		k.block, k.ended = append(k.block[:0], p...), flags&flagEnd != 0
		return k.fieldsCame(flags, id)
	case frameContinuation:
		k.block = append(k.block, p...)
		return k.fieldsCame(flags, id)
	case frameData:
		if k.credit += len(p); k.credit >= creditEach {
			k.send(frameWindow, 0, 0, binary.BigEndian.AppendUint32(nil, uint32(k.credit)))
			k.credit = 0
		}
		if flags&flagEnd != 0 {
			return k.call(id)
		}
	case frameWindow:
		if id == 0 && len(p) == 4 {
			k.window += int(binary.BigEndian.Uint32(p))
			return k.catchUp()
		}
	case frameSettings, framePing:
		if flags&flagAck == 0 {
			if kind == frameSettings {
				p = nil
			}
			k.send(kind, flagAck, 0, p)
		}
	case frameGoAway:
		return io.EOF
	}
	return nil
}

// unpad takes the padding off a frame.
func unpad(p []byte, flags byte) ([]byte, error) {
	if flags&flagPadded == 0 {
		return p, nil
	}
	if len(p) == 0 || int(p[0]) >= len(p) {
		return nil, errors.New("gRPC origin: padding is larger than its frame")
	}
	return p[1 : len(p)-int(p[0])], nil
}

// fieldsCame decodes a block that is whole. Every block must be, since the next ones refer to it.
func (k *calleeConn) fieldsCame(flags byte, id uint32) error {
	if flags&flagEndHeaders == 0 {
		return nil
	}
	clear(k.asked)
	if _, err := k.fields.Write(k.block); err != nil {
		return err
	}
	if err := k.fields.Close(); err != nil {
		return err
	}
	if k.asked[":path"] == grpcCheckPath {
		k.checks[id] = k.seen()
	}
	if k.ended {
		return k.call(id)
	}
	return nil
}

// seen tells which of the checked fields have come.
func (k *calleeConn) seen() string {
	var b strings.Builder
	for _, f := range checkedFields {
		value := k.asked[strings.ToLower(f.name)]
		if f.name == "Host" {
			value = cmp.Or(k.asked[":authority"], value) // nginx names the host in a field of that name
		}
		fmt.Fprintf(&b, "%s=%s\n", f.name, value)
	}
	return b.String()
}

// call answers one call, or lets it wait for the window.
func (k *calleeConn) call(id uint32) error {
	k.owed = append(k.owed, id)
	return k.catchUp()
}

func (k *calleeConn) catchUp() error {
	for len(k.owed) > 0 {
		id, body := k.owed[0], calleeMessage
		if text, ok := k.checks[id]; ok {
			body = text
		}
		if len(body) > k.window {
			return nil
		}
		k.window -= len(body)
		k.owed = append(k.owed[:0], k.owed[1:]...)
		delete(k.checks, id)
		k.answer = appendFrame(k.answer[:0], frameHeaders, flagEndHeaders, id, calleeHead)
		k.answer = appendFrame(k.answer, frameData, 0, id, []byte(body))
		k.answer = appendFrame(k.answer, frameHeaders, flagEndHeaders|flagEnd, id, calleeTrailer)
		k.origin.calls.Add(1)
		if _, err := k.out.Write(k.answer); err != nil {
			return err
		}
	}
	return nil
}

// send writes a frame; that it could not is found out by the next flush.
func (k *calleeConn) send(kind, flags byte, id uint32, p []byte) {
	k.answer = appendFrame(k.answer[:0], kind, flags, id, p)
	_, _ = k.out.Write(k.answer)
}

func appendFrame(dst []byte, kind, flags byte, id uint32, p []byte) []byte {
	dst = append(dst, byte(len(p)>>16), byte(len(p)>>8), byte(len(p)), kind, flags)
	return append(binary.BigEndian.AppendUint32(dst, id), p...)
}
