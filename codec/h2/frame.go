package h2

import "encoding/binary"

// The preface of a client's side of a connection (RFC 9113 §3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// BeginsWithPreface reports whether b begins with the preface, or could once more of it has come. No HTTP/1.x request does: its method would be PRI and its version 2.0.
func BeginsWithPreface(b []byte) (whole, maybe bool) {
	n := min(len(b), len(Preface))
	if string(b[:n]) != Preface[:n] {
		return false, false
	}
	return n == len(Preface), n > 0
}

// frameType is what a frame is (RFC 9113 §6).
type frameType uint8

const (
	frameData frameType = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePush
	framePing
	frameGoAway
	frameWindow
	frameContinuation
)

// Flags of frames. Their meaning depends on the type.
const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const (
	frameHeaderLen = 9
	// MaxFrame is the largest payload that is accepted and sent: what every peer must accept (RFC 9113 §4.2). A larger one would save a header of 9 bytes in 16 KiB and
	// keep other streams waiting for longer.
	MaxFrame = 16 << 10
)

// frameHeader is the first nine bytes of a frame (RFC 9113 §4.1).
type frameHeader []byte

func (h frameHeader) length() int     { return int(h[0])<<16 | int(h[1])<<8 | int(h[2]) }
func (h frameHeader) kind() frameType { return frameType(h[3]) }
func (h frameHeader) flags() byte     { return h[4] }
func (h frameHeader) stream() uint32  { return binary.BigEndian.Uint32(h[5:9]) & (1<<31 - 1) }

func appendFrameHeader(dst []byte, n int, kind frameType, flags byte, stream uint32) []byte {
	return append(dst, byte(n>>16), byte(n>>8), byte(n), byte(kind), flags, byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

func putLength(header []byte, n int) {
	header[0], header[1], header[2] = byte(n>>16), byte(n>>8), byte(n)
}

func appendReset(dst []byte, stream uint32, code Code) []byte {
	dst = appendFrameHeader(dst, 4, frameReset, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

func appendWindow(dst []byte, stream uint32, n int32) []byte {
	dst = appendFrameHeader(dst, 4, frameWindow, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

func appendGoAway(dst []byte, last uint32, code Code) []byte {
	dst = appendFrameHeader(dst, 8, frameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

// setting is a parameter of a SETTINGS frame (RFC 9113 §6.5.2, RFC 8441 §3).
type setting uint16

const (
	settingTableSize  setting = 1
	settingPush       setting = 2
	settingMaxStreams setting = 3
	settingWindow     setting = 4
	settingFrameSize  setting = 5
	settingListSize   setting = 6
	settingConnect    setting = 8
)

func appendSetting(dst []byte, s setting, v uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(s))
	return binary.BigEndian.AppendUint32(dst, v)
}
