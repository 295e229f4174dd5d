// Package proxyproto reads the header of the PROXY protocol, versions 1 and 2, in which a balancer in front of the gateway says where a connection
// comes from. Like the other codecs it does no I/O.
//
//	version 1: "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"
//	version 2: signature, version and command, family, length, addresses, more (TLVs)
//
// It is stricter than the specification asks: whoever writes such a header is a program, and what is written in any but one way is somebody else's.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// Bounds.
const (
	// maxV1 is the longest line of version 1: "PROXY UNKNOWN", two IPv6 addresses of 39 characters, two ports, CRLF (section 2.1 of the specification).
	maxV1 = 107
	// MaxV2 is the longest header of version 2 that is read. The addresses take 216 bytes at most; what follows are TLVs, of which the largest in use is a
	// client's certificate name. The specification lets a header have 64 KiB: such a one is refused.
	MaxV2 = 4 << 10

	v2Head = 16 // signature, version and command, family, length
)

// signature begins every header of version 2 (section 2.2). No request in HTTP and no TLS record begins like it.
var signature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// The reasons to refuse a header.
var (
	ErrNoHeader  = errors.New("proxyproto: the connection does not begin with a PROXY header")
	ErrLine      = errors.New("proxyproto: the line of version 1 is malformed")
	ErrLong      = errors.New("proxyproto: the header is longer than any that makes sense")
	ErrVersion   = errors.New("proxyproto: the binary header is of a version or a command that does not exist")
	ErrFamily    = errors.New("proxyproto: the addresses are of no family that a stream has")
	ErrAddresses = errors.New("proxyproto: the addresses do not fit into the header")
	ErrTLV       = errors.New("proxyproto: what follows the addresses is cut")
)

// Header is what a header says. Source is not valid where it does not say where the connection comes from: a health check of the balancer
// itself (LOCAL), or a family that it does not know (UNKNOWN, UNSPEC, a Unix socket). The connection's own addresses count then.
type Header struct {
	Source, Destination netip.AddrPort
}

// Parse reads a header from the beginning of buf. n > 0: it is n bytes long. n == 0 and no error: it goes on behind buf. An error: it is none, and
// nothing behind it can be trusted.
func Parse(buf []byte) (h Header, n int, err error) {
	switch {
	case len(buf) == 0:
		return h, 0, nil
	case buf[0] == 'P':
		return parseV1(buf)
	case buf[0] == signature[0]:
		return parseV2(buf)
	}
	return h, 0, ErrNoHeader
}

const v1Word = "PROXY "

func parseV1(buf []byte) (h Header, n int, err error) {
	if known := min(len(buf), len(v1Word)); string(buf[:known]) != v1Word[:known] {
		return h, 0, ErrNoHeader
	}
	end := bytes.IndexByte(buf[:min(len(buf), maxV1)], '\n')
	switch {
	case end >= 0 && buf[end-1] != '\r':
		return h, 0, ErrLine
	case end >= 0:
		h, err = readLine(string(buf[len(v1Word) : end-1]))
		return h, end + 1, err
	case len(buf) >= maxV1:
		return h, 0, ErrLong
	}
	return h, 0, nil
}

// readLine reads what stands between the word PROXY and the end of the line.
func readLine(line string) (h Header, err error) {
	fields := strings.Split(line, " ")
	if fields[0] == "UNKNOWN" { // what follows is to be ignored
		if strings.ContainsRune(line, '\r') {
			return h, ErrLine
		}
		return h, nil
	}
	if len(fields) != 5 || fields[0] != "TCP4" && fields[0] != "TCP6" {
		return h, ErrLine
	}
	four := fields[0] == "TCP4"
	source, ok1 := readAddr(fields[1], fields[3], four)
	destination, ok2 := readAddr(fields[2], fields[4], four)
	if !ok1 || !ok2 {
		return h, ErrLine
	}
	return Header{source, destination}, nil
}

func readAddr(text, port string, four bool) (netip.AddrPort, bool) {
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" || ip.Is4() != four {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port { // "080", "+80"
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), true
}

// parseV2 reads a binary header (section 2.2): a command PROXY or LOCAL, a family, and a length that covers all that follows.
func parseV2(buf []byte) (h Header, n int, err error) {
	if known := min(len(buf), len(signature)); !bytes.Equal(buf[:known], signature[:known]) {
		return h, 0, ErrNoHeader
	}
	if len(buf) > 12 && buf[12] != 0x20 && buf[12] != 0x21 {
		return h, 0, ErrVersion
	}
	if len(buf) < v2Head {
		return h, 0, nil
	}
	length := int(binary.BigEndian.Uint16(buf[14:]))
	if v2Head+length > MaxV2 {
		return h, 0, ErrLong
	}
	if len(buf) < v2Head+length {
		return h, 0, nil
	}
	h, err = readAddresses(buf[13], buf[v2Head:v2Head+length])
	if buf[12] == 0x20 { // LOCAL: the addresses are to be ignored
		h = Header{}
	}
	return h, v2Head + length, err
}

// readAddresses reads what follows the first 16 bytes.
func readAddresses(family byte, body []byte) (h Header, err error) {
	size := 0
	switch family {
	case 0x00: // UNSPEC
		return h, nil
	case 0x11:
		size = 4
	case 0x21:
		size = 16
	case 0x31: // Unix
		if len(body) < 216 {
			return h, ErrAddresses
		}
		return h, checkTLVs(body[216:])
	default: // datagrams, and what does not exist
		return h, ErrFamily
	}
	if len(body) < 2*size+4 {
		return h, ErrAddresses
	}
	source, _ := netip.AddrFromSlice(body[:size])
	destination, _ := netip.AddrFromSlice(body[size : 2*size])
	ports := body[2*size:]
	h.Source = netip.AddrPortFrom(source.Unmap(), binary.BigEndian.Uint16(ports))
	h.Destination = netip.AddrPortFrom(destination.Unmap(), binary.BigEndian.Uint16(ports[2:]))
	return h, checkTLVs(ports[4:])
}

// checkTLVs refuses a list that does not end where the header does. Nothing in it is used.
func checkTLVs(list []byte) error {
	for len(list) > 0 {
		if len(list) < 3 {
			return ErrTLV
		}
		length := int(binary.BigEndian.Uint16(list[1:]))
		if len(list) < 3+length {
			return ErrTLV
		}
		list = list[3+length:]
	}
	return nil
}
