package h1

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"sluice/codec"
	"sluice/codec/codectest"
)

func decodeSplit(t *testing.T, f codec.Framing, in string) string {
	t.Helper()
	lim := codec.DefaultLimits()
	return codectest.Splits(t, []byte(in), func() codectest.Run { return bodyRun(f, len(in), &lim) })
}

var chunked = codec.Framing{Kind: codec.BodyStream}

func TestBodiesEndWhereTheirFramingSays(t *testing.T) {
	tests := []struct {
		f        codec.Framing
		in, want string
	}{
		{codec.Framing{}, "next", `data "" at 0`},
		{codec.Framing{Kind: codec.BodyLength}, "next", `data "" at 0`},
		{codec.Framing{Kind: codec.BodyLength, Length: 5}, "hellonext", `data "hello" at 5`},
		{codec.Framing{Kind: codec.BodyLength, Length: 5}, "hell", `data "hell" reject: ` + ErrTruncated.Error()},
		{codec.Framing{Kind: codec.BodyClose}, "hello", `data "hello" at eof`},
		{codec.Framing{Kind: codec.BodyClose}, "", `data "" at eof`},
		{chunked, "0\r\n\r\nnext", `data "" at 5`},
		{chunked, "5\r\nhello\r\n0\r\n\r\nnext", `data "hello" at 15`},
		{chunked, "5\r\nhello\r\n6\r\n world\r\n000\r\n\r\nnext", `data "hello world" at 28`},
		{chunked, "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", `data "01234567890123456789" at 35`},
		{chunked, "0000000000000005\r\nhello\r\n0\r\n\r\n", `data "hello" at 30`},
		{chunked, "00000000000000000005\r\nhello\r\n0\r\n\r\n", `data "hello" at 34`},
		{chunked, "2\r\n\r\n\r\n0\r\n\r\n", `data "\r\n" at 12`},
		{chunked, "", `data "" reject: ` + ErrTruncated.Error()},
		{chunked, "5\r\nhel", `data "hel" reject: ` + ErrTruncated.Error()},
		{chunked, "5\r\nhello\r\n", `data "hello" reject: ` + ErrTruncated.Error()},
		{chunked, "5\r\nhello\r\n0\r\n", `data "hello" reject: ` + ErrTruncated.Error()},
		{chunked, "0\r\nX: 1\r\n", `data "" reject: ` + ErrTruncated.Error()},
	}
	for _, tt := range tests {
		if got := decodeSplit(t, tt.f, tt.in); got != tt.want {
			t.Errorf("%+v %q: %s, want %s", tt.f, tt.in, got, tt.want)
		}
	}
}

// RFC 9112 §7.1.1: a recipient ignores extensions that it does not know.
func TestChunkExtensionsAreDropped(t *testing.T) {
	for _, ext := range []string{
		";a", ";a=b", ";a=\"b\"", ";a=\"b;c=\\\"\\\\\t\xe9\"", ";a;b=c;d", " ;a", "\t ; a = b ; c", ";a ", ";a= \"\" ", ";!#$%&'*+-.^_`|~=0",
	} {
		in := "5" + ext + "\r\nhello\r\n0" + ext + "\r\n\r\n"
		if got, want := decodeSplit(t, chunked, in), fmt.Sprintf(`data "hello" at %d`, len(in)); got != want {
			t.Errorf("%q: %s", in, got)
		}
	}
}

func TestMalformedChunksAreRefused(t *testing.T) {
	size := func(s string) string { return s + "\r\nhello\r\n0\r\n\r\n" }
	tests := []struct {
		in   string
		want error
	}{
		{size(""), ErrChunkSize}, {size(" 5"), ErrChunkSize}, {size("\t5"), ErrChunkSize}, {size("5 "), ErrChunkSize}, {size("5\t"), ErrChunkSize}, {size("5 5"), ErrChunkSize},
		{size("0x5"), ErrChunkSize}, {size("+5"), ErrChunkSize}, {size("-5"), ErrChunkSize}, {size("5h"), ErrChunkSize}, {size("g"), ErrChunkSize}, {size("5,5"), ErrChunkSize},
		{size("5_"), ErrChunkSize}, {size("5.0"), ErrChunkSize}, {size("\"5\""), ErrChunkSize}, {size("5\x00"), ErrChunkSize}, {size("5\x0b"), ErrChunkSize}, {size("\x005"), ErrChunkSize},
		{size(";a"), ErrChunkSize}, {size("\r\n5"), ErrChunkSize}, {size("５"), ErrChunkSize},
		{size("000008000000000000000"), ErrChunkSizeOverflow}, {size("8000000000000000"), ErrChunkSizeOverflow}, {size("ffffffffffffffff"), ErrChunkSizeOverflow},
		{size("10000000000000005"), ErrChunkSizeOverflow}, {size("FFFFFFFFFFFFFFFFF"), ErrChunkSizeOverflow},
		{"5\nhello\r\n0\r\n\r\n", ErrBareLF}, {"5\r5\nhello", ErrBareCR}, {"5\rhello", ErrBareCR}, {"5\r\rhello", ErrBareCR}, {"\n5\r\nhello", ErrBareLF}, {"5 \nhello", ErrBareLF},
		{"5\r\nhello\n0\r\n\r\n", ErrChunkEnd}, {"5\r\nhello0\r\n\r\n", ErrChunkEnd}, {"5\r\nhello\r0\r\n\r\n", ErrChunkEnd}, {"5\r\nhello \r\n0\r\n\r\n", ErrChunkEnd},
		{"4\r\nhello\r\n0\r\n\r\n", ErrChunkEnd}, {"5\r\nhello\r\n\r\n0\r\n\r\n", ErrChunkSize}, {"5\r\nhello\r\n0\n\r\n", ErrBareLF}, {"5\r\nhello\r\n0\r\n\n", ErrBareLF},
		{"5\r\nhello\r\n0\r\n\rX", ErrBareCR}, {"5\r\nhello\r\n0\r\n \r\n", ErrLeadingSpace},
		{size("5;"), ErrChunkExtension}, {size("5;;"), ErrChunkExtension}, {size("5; "), ErrChunkExtension}, {size("5;a="), ErrChunkExtension}, {size("5;=b"), ErrChunkExtension},
		{size("5;a b"), ErrChunkExtension}, {size("5;a=b c"), ErrChunkExtension}, {size("5;a=\"b"), ErrChunkExtension}, {size("5;a=\"b\"c"), ErrChunkExtension},
		{size("5;a=\"\\\x00\""), ErrChunkExtension}, {size("5;a\x00"), ErrChunkExtension}, {size("5;a=\xe9"), ErrChunkExtension}, {size("5;a=\"\x01\""), ErrChunkExtension},
		{"5;a\nhello\r\n0\r\n\r\n", ErrBareLF}, {"5;a=\"\n\"\r\nhello", ErrBareLF}, {"5;a=\"\r\n\"\r\nhello", ErrChunkExtension}, {"5;a\rb\nhello", ErrBareCR}, {"5;\nhello", ErrBareLF},
		{"0\r\nX : 1\r\n\r\n", ErrSpaceBeforeColon}, {"0\r\nX: 1\n\r\n", ErrBareLF}, {"0\r\nX: 1\r\n 2\r\n\r\n", ErrFold}, {"0\r\n: 1\r\n\r\n", ErrNameEmpty},
		{"0\r\nX: \x00\r\n\r\n", ErrValue}, {"0\r\nX\r\n\r\n", ErrNoColon}, {"0\r\nGET / HTTP/1.1\r\n\r\n", ErrSpaceBeforeColon}, {"0\r\n\x00\r\n", ErrName},
	}
	for _, tt := range tests {
		if _, got, _ := strings.Cut(decodeSplit(t, chunked, tt.in), "reject: "); got != tt.want.Error() {
			t.Errorf("%q: %q, want %v", tt.in, got, tt.want)
		}
	}
}

func TestResponsesMayHaveMoreWhiteSpace(t *testing.T) {
	lim := codec.DefaultLimits()
	in := "5 \t \r\nhello\r\n0 \r\nX : 1\r\nContent-Length\t: 2\r\nY:2\r\n\r\n"
	got := codectest.Splits(t, []byte(in), func() codectest.Run {
		return bodyDecoderRun(len(in), func(d *BodyDecoder) { d.ResetResponse(chunked, &lim) })
	})
	if want := fmt.Sprintf("data %q at %d\nX: \"1\"\nY: \"2\"\n", "hello", len(in)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var d BodyDecoder
	d.ResetResponse(chunked, &lim)
	d.Reset(chunked, &lim)
	if _, _, err := d.Next([]byte("5 \r\nhello")); err != ErrChunkSize {
		t.Errorf("the next request was read as a response: %v", err)
	}
}

func TestExtensionsAreBoundedOverTheWholeMessage(t *testing.T) {
	lim := codec.Limits{RequestLine: 40, Headers: 20, HeaderCount: 2}
	for in, want := range map[string]string{
		strings.Repeat("1;a=bcdefg\r\nx\r\n", 4) + "0;abc\r\n\r\n":  `data "xxxx" at 69`, // 4 × 9 bytes behind ";", the CR included, and 4
		strings.Repeat("1;a=bcdefg\r\nx\r\n", 4) + "0;abcd\r\n\r\n": `data "xxxx" reject: ` + ErrChunkExtensionsTooLong.Error(),
		"1;" + strings.Repeat("a", 41):                              `data "" reject: ` + ErrChunkExtensionsTooLong.Error(),
		strings.Repeat("0", 57):                                     `data "" reject: ` + ErrChunkSizeOverflow.Error(),
		"1 " + strings.Repeat(" ", 41):                              `data "" reject: ` + ErrChunkExtensionsTooLong.Error(),
		"1;a=\"" + strings.Repeat("a", 41):                          `data "" reject: ` + ErrChunkExtensionsTooLong.Error(),
	} {
		if got := codectest.Splits(t, []byte(in), func() codectest.Run { return bodyRun(chunked, len(in), &lim) }); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// RFC 9110 §6.5.1
func TestTrailersGoOnWithoutTheFieldsThatMayNotBeThere(t *testing.T) {
	in := "5\r\nhello\r\n0\r\nGrpc-Status: 0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: b\r\nAuthorization: x\r\nSet-Cookie: a=b\r\n" +
		"X-Forwarded-For: 127.0.0.1\r\nContent-Type: text/html\r\nTrailer: x\r\nConnection: close\r\nTE: x\r\ncache-control: no-store\r\nX-Checksum: \tabc \r\n\r\nnext"
	want := fmt.Sprintf("data \"hello\" at %d\nGrpc-Status: \"0\"\nX-Checksum: \"abc\"\n", len(in)-len("next"))
	if got := decodeSplit(t, chunked, in); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestTrailersAreBounded(t *testing.T) {
	lim := codec.Limits{Headers: 20, HeaderCount: 2}
	for in, want := range map[string]error{
		"0\r\nX: 34567890123456\r\n\r\nnext":           nil,
		"0\r\nX: 345678901234567\r\n\r\nnext":          nil,
		"0\r\nX: 3456789012345678\r\n\r\nnext":         ErrFieldsTooLarge,
		"0\r\nX: 345678901234567\r\nY: 1\r\n\r\nnext":  ErrFieldsTooLarge,
		"0\r\nA: 1\r\nB: 1\r\n\r\nnext":                nil,
		"0\r\nA: 1\r\nB: 1\r\nC: 1\r\n\r\nnext":        ErrTooManyFields,
		"0\r\nX: 34567890123456789012345678901234567 ": ErrFieldsTooLarge,
	} {
		got := codectest.Splits(t, []byte(in), func() codectest.Run { return bodyRun(chunked, len(in), &lim) })
		_, reason, refused := strings.Cut(got, "reject: ")
		if refused != (want != nil) || refused && reason != want.Error() {
			t.Errorf("%q: %s, want %v", in, got, want)
		}
	}
}

func TestDecoderServesOneMessageAfterAnother(t *testing.T) {
	lim := codec.DefaultLimits()
	var d BodyDecoder
	if !d.Done() || d.EOF() != nil || d.Trailer() != nil || d.Remaining() != 0 {
		t.Error("the zero value is not done")
	}
	d.Reset(chunked, &lim)
	if d.Remaining() != -1 || d.Done() {
		t.Error("a chunked body before its first byte")
	}
	in := []byte("0\r\nA: 1\r\n\r\n")
	if _, n, err := d.Next(in); n != len(in) || err != nil || !d.Done() {
		t.Fatal(n, err)
	}
	trailer := d.Trailer()
	clear(in)
	if string(trailer.Get("a")) != "1" {
		t.Errorf("the trailer lives in the caller's buffer: %q", trailer.Get("a"))
	}
	d.Reset(chunked, &lim)
	if d.Trailer() != nil {
		t.Error("the trailer of the message before")
	}
	if _, n, err := d.Next([]byte("0\r\n\r\n")); n != 5 || err != nil || !d.Done() || d.Trailer() != nil {
		t.Error(n, err, d.Trailer())
	}
	d.Reset(codec.Framing{Kind: codec.BodyLength, Length: 7}, &lim)
	if data, n, err := d.Next([]byte("hell")); string(data) != "hell" || n != 4 || err != nil || d.Remaining() != 3 {
		t.Error(string(data), n, err, d.Remaining())
	}
	if !errors.Is(d.EOF(), ErrTruncated) {
		t.Error("a truncated body passes")
	}
	d.Reset(chunked, &lim)
	if data, _, err := d.Next([]byte("a\r\nhell")); string(data) != "hell" || err != nil || d.Remaining() != 6 {
		t.Error(string(data), err, d.Remaining())
	}
	d.Reset(codec.Framing{Kind: codec.BodyClose}, &lim)
	if d.Remaining() != -1 || d.EOF() != nil || !d.Done() {
		t.Error("a body until close does not end with the connection")
	}
}

// One call per chunk that is there as a whole, the last one's end included.
func TestFramingIsTakenTogetherWithData(t *testing.T) {
	lim := codec.DefaultLimits()
	var d BodyDecoder
	d.Reset(chunked, &lim)
	in := []byte("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nnext")
	data, n, err := d.Next(in)
	if string(data) != "hello" || n != 10 || err != nil {
		t.Errorf("%q %d %v", data, n, err)
	}
	data, n, err = d.Next(in[n:])
	if string(data) != " world" || n != 16 || err != nil || !d.Done() {
		t.Errorf("%q %d %v", data, n, err)
	}
	if cap(data) != len(data) {
		t.Error("appending to the data would write into the framing behind it")
	}
}

// What is ahead of a body may be taken without having been seen, and what follows is told as ever.
func TestPayloadThatIsAheadMayBeSkipped(t *testing.T) {
	lim := codec.DefaultLimits()
	var d BodyDecoder
	d.Reset(codec.Framing{Kind: codec.BodyLength, Length: 10}, &lim)
	if data, n, err := d.Next([]byte("abc")); string(data) != "abc" || n != 3 || err != nil || d.Ahead() != 7 {
		t.Errorf("%q, %d, %v, %d ahead", data, n, err, d.Ahead())
	}
	d.Skip(4)
	if d.Ahead() != 3 || d.Done() || d.Remaining() != 3 {
		t.Errorf("%d ahead, done %v", d.Ahead(), d.Done())
	}
	d.Skip(3)
	if d.Ahead() != 0 || !d.Done() {
		t.Errorf("%d ahead, done %v", d.Ahead(), d.Done())
	}
	d.Reset(codec.Framing{Kind: codec.BodyClose}, &lim)
	if d.Skip(1 << 20); d.Ahead() != math.MaxInt64 || d.Done() || d.EOF() != nil {
		t.Errorf("%d ahead, done %v", d.Ahead(), d.Done())
	}
	for _, f := range []codec.Framing{chunked, {}, {Kind: codec.BodyLength}} {
		if d.Reset(f, &lim); d.Ahead() != 0 {
			t.Errorf("%+v: %d ahead", f, d.Ahead())
		}
	}
	d.Reset(chunked, &lim)
	if _, _, err := d.Next([]byte("8\r\nhe")); err != nil || d.Ahead() != 0 {
		t.Errorf("%v, %d ahead within a chunk, behind which is framing", err, d.Ahead())
	}
}
