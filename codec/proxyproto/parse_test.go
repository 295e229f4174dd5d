package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sluice/codec/codectest"
)

// v2 builds a header of version 2.
func v2(command, family byte, body ...byte) string {
	b := append(bytes.Clone(signature), command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return string(append(b, body...))
}

var (
	four = []byte{192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb}
	six  = append(append(append(bytes.Repeat([]byte{0x20}, 15), 1), bytes.Repeat([]byte{0x20}, 16)...), 0, 1, 0, 2)
)

// run is one run of Parse for the helper that cuts inputs.
func run(buf []byte) (string, bool) {
	h, n, err := Parse(buf)
	switch {
	case err != nil:
		return "refused: " + err.Error(), true
	case n == 0:
		return "unfinished", false
	}
	return fmt.Sprintf("%d bytes: %v to %v", n, h.Source, h.Destination), true
}

// What is read, wherever it is cut, and that what follows is left alone.
func TestHeadersAreReadInAnyPieces(t *testing.T) {
	const none = "invalid AddrPort to invalid AddrPort"
	for _, c := range []struct{ in, want string }{
		{"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "192.0.2.7:56324 to 198.51.100.1:443"},
		{"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", "[2001:db8::1]:1 to [2001:db8::2]:65535"},
		{"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7:1 to [::1]:2"},
		{"PROXY UNKNOWN\r\n", none},
		{"PROXY UNKNOWN " + strings.Repeat("f", 91) + "\r\n", none},
		{v2(0x21, 0x11, four...), "192.0.2.7:56324 to 198.51.100.1:443"},
		{v2(0x21, 0x21, six...), "[2020:2020:2020:2020:2020:2020:2020:2001]:1 to [2020:2020:2020:2020:2020:2020:2020:2020]:2"},
		{v2(0x21, 0x11, append(bytes.Clone(four), 4, 0, 2, 'x', 'y')...), "192.0.2.7:56324 to 198.51.100.1:443"},
		{v2(0x20, 0x11, four...), none}, // LOCAL
		{v2(0x20, 0x00), none},
		{v2(0x21, 0x00, 1, 2, 3), none},
		{v2(0x21, 0x31, make([]byte, 216)...), none},
	} {
		want := fmt.Sprintf("%d bytes: %s", len(c.in), c.want)
		for _, behind := range []string{"", "GET / HTTP/1.1\r\n", "\x16\x03\x01"} {
			if got := codectest.Splits(t, []byte(c.in+behind), func() codectest.Run { return run }); got != want {
				t.Errorf("%q: %s, want %s", c.in, got, want)
			}
		}
	}
}

// One rule a line: who writes a header in another way is not the balancer.
func TestWhatIsNoHeaderIsRefused(t *testing.T) {
	for _, c := range []struct {
		in   string
		want error
	}{
		{"GET / HTTP/1.1\r\n", ErrNoHeader},
		{"\x16\x03\x01\x02\x00", ErrNoHeader},
		{"POST / HTTP/1.1\r\n", ErrNoHeader},
		{"PROXY\tTCP4 192.0.2.7 198.51.100.1 56324 443\r\n", ErrNoHeader},
		{"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n", ErrLine},
		{"PROXY TCP4  192.0.2.7 198.51.100.1 56324 443\r\n", ErrLine},
		{"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n", ErrLine},
		{"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 \r\n", ErrLine},
		{"PROXY TCP4 192.0.2.7 198.51.100.1 56324 0443\r\n", ErrLine},
		{"PROXY TCP4 192.0.2.7 198.51.100.1 56324 65536\r\n", ErrLine},
		{"PROXY TCP4 192.0.2.7 198.51.100.1 -1 443\r\n", ErrLine},
		{"PROXY TCP4 192.0.2.007 198.51.100.1 1 443\r\n", ErrLine},
		{"PROXY TCP4 ::1 ::2 1 443\r\n", ErrLine},
		{"PROXY TCP6 192.0.2.7 198.51.100.1 1 443\r\n", ErrLine},
		{"PROXY TCP6 fe80::1%eth0 ::2 1 443\r\n", ErrLine},
		{"PROXY UDP4 192.0.2.7 198.51.100.1 1 443\r\n", ErrLine},
		{"PROXY UNKNOWN a\rb\r\n", ErrLine},
		{"PROXY UNKNOWN " + strings.Repeat("f", 92) + "\r\n", ErrLong},
		{"PROXY " + strings.Repeat("x", 200), ErrLong},
		{"\r\n\r\nGET / HTTP/1.1\r\n", ErrNoHeader},
		{v2(0x11, 0x11, four...), ErrVersion},
		{v2(0x22, 0x11, four...), ErrVersion},
		{v2(0x21, 0x12, four...), ErrFamily}, // UDP over IPv4
		{v2(0x21, 0x41, four...), ErrFamily},
		{v2(0x21, 0x11, four[:11]...), ErrAddresses},
		{v2(0x21, 0x21, four...), ErrAddresses},
		{v2(0x21, 0x31, four...), ErrAddresses},
		{v2(0x21, 0x11, append(bytes.Clone(four), 4, 0)...), ErrTLV},
		{v2(0x21, 0x11, append(bytes.Clone(four), 4, 0, 3, 'x', 'y')...), ErrTLV},
		{v2(0x21, 0x00, make([]byte, MaxV2)...), ErrLong},
	} {
		codectest.Splits(t, []byte(c.in), func() codectest.Run { return run })
		if _, _, err := Parse([]byte(c.in)); !errors.Is(err, c.want) {
			t.Errorf("%.60q: %v, want %v", c.in, err, c.want)
		}
	}
}

// Any input has one of the three outcomes, whatever is cut off it, and none is longer than it may be.
func FuzzParse(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"), uint16(9))
	f.Add([]byte(v2(0x21, 0x11, append(bytes.Clone(four), 4, 0, 0)...)), uint16(20))
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		whole, done := run(in)
		if part, final := run(in[:min(int(cut), len(in))]); final && part != whole {
			t.Errorf("%q: %s, cut at %d: %s", in, whole, cut, part)
		}
		if !done && len(in) >= MaxV2 {
			t.Errorf("%d bytes are not enough", len(in))
		}
	})
}
