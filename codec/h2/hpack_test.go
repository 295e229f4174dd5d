package h2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"sluice/codec"
)

// entries returns what our decoder makes of a block, a line for each field, and false where it refuses it.
func entries(d *decoder, block []byte) (string, bool) {
	f := fields{message: unjudged}
	ok := d.decode(block, &f)
	return string(f.dst), ok
}

// reference returns what golang.org/x/net makes of it. That takes one update of the table's size at the beginning of a block where two are allowed
// (RFC 7541 §4.2), so it is given the first of two as a block of its own, which comes to the same.
func reference(d *hpack.Decoder, block []byte) (string, bool) {
	var out strings.Builder
	d.SetEmitFunc(func(f hpack.HeaderField) { fmt.Fprintf(&out, "%s: %s\r\n", f.Name, f.Value) })
	blocks := [][]byte{block}
	if n := sizeUpdate(block); n > 0 && sizeUpdate(block[n:]) > 0 {
		blocks = [][]byte{block[:n], block[n:]}
	}
	for _, b := range blocks {
		if _, err := d.Write(b); err != nil || d.Close() != nil {
			return "", false
		}
	}
	return out.String(), true
}

// sizeUpdate returns the length of the update of the table's size that b begins with, 0 where there is none.
func sizeUpdate(b []byte) int {
	if len(b) == 0 || b[0]&0xe0 != 0x20 {
		return 0
	}
	_, next, _ := readInt(b, 0, 5)
	return next
}

// The other implementation's encoder, with its dynamic table and Huffman code, and tables of every size.
func TestTheDecoderAgreesWithAnother(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var buf bytes.Buffer
	e := hpack.NewEncoder(&buf)
	ours := &decoder{max: tableSize}
	theirs := hpack.NewDecoder(tableSize, nil)
	for round := range 3000 {
		buf.Reset()
		if rnd.IntN(50) == 0 {
			e.SetMaxDynamicTableSize(uint32(rnd.IntN(tableSize)))
		}
		for range rnd.IntN(8) {
			value := make([]byte, rnd.IntN(200))
			for i := range value {
				value[i] = byte('!' + rnd.IntN(94))
			}
			name := staticTable[1+rnd.IntN(staticLen)].name
			if name[0] == ':' || codec.LookupField([]byte(name)) != codec.FieldOther {
				name = fmt.Sprintf("x-%d", rnd.IntN(30))
			}
			if rnd.IntN(3) == 0 {
				value = []byte(fmt.Sprint(rnd.IntN(5)))
			}
			_ = e.WriteField(hpack.HeaderField{Name: name, Value: string(value), Sensitive: rnd.IntN(9) == 0})
		}
		got, ok := entries(ours, buf.Bytes())
		want, _ := reference(theirs, buf.Bytes())
		if !ok || got != want {
			t.Fatalf("round %d: %v\n%q\n%q", round, ok, got, want)
		}
	}
}

func TestEveryByteIsDecodedFromItsHuffmanCode(t *testing.T) { // RFC 7541 appendix B
	for c := range 256 {
		for n := range 9 {
			in := strings.Repeat(string([]byte{byte(c)}), n)
			out, ok := appendHuffman(nil, hpack.AppendHuffmanString(nil, in))
			if !ok || string(out) != in {
				t.Fatalf("%q: %q %v", in, out, ok)
			}
		}
	}
}

func TestTheEncoderIsUnderstood(t *testing.T) {
	var resp codec.Response
	for _, status := range []int{200, 204, 206, 304, 400, 404, 500, 100, 201, 599} {
		resp.Reset(nil)
		resp.Status = status
		resp.Header.Add("Content-Type", []byte("a/b"))
		resp.Header.Add("X-"+strings.Repeat("Y", 300), bytes.Repeat([]byte("z"), 400))
		resp.Header.Add("Empty", nil)
		c := newPeer(false)
		var s Stream
		c.Open(&s, 1, false)
		block := c.AppendResponseHead(nil, &s, &resp, false)[frameHeaderLen:]
		got, ok := reference(hpack.NewDecoder(tableSize, nil), block)
		want := fmt.Sprintf(":status: %d\r\ncontent-type: a/b\r\nx-%s: %s\r\nempty: \r\n", status, strings.Repeat("y", 300), strings.Repeat("z", 400))
		if !ok || got != want {
			t.Errorf("%d: %v %q", status, ok, got)
		}
	}
}

func TestReadingAndWritingAllocatesNothing(t *testing.T) {
	p := newPeer(false)
	p.feed(opening(getRequest(1, "user-agent: something", "accept: */*")))
	var req codec.Request
	var resp codec.Response
	resp.Reset(nil)
	resp.Status = 200
	resp.Framing = codec.Framing{Kind: codec.BodyLength, Length: 5}
	resp.Header.Add("Content-Type", []byte("text/plain"))
	lim := codec.DefaultLimits()
	lines, out := make([]byte, 0, 4096), make([]byte, 0, 4096)
	in := getRequest(3, "user-agent: something", "accept: */*", "x-other: field", "cookie: a=b", "cookie: c=d")
	id := uint32(3)
	var s Stream
	run := func() {
		in[5], in[6], in[7], in[8] = byte(id>>24), byte(id>>16), byte(id>>8), byte(id)
		ev, _, err := p.Next(in)
		if err != nil || ev.Kind != EventOpen {
			t.Fatal(ev, err)
		}
		p.Open(&s, id, true)
		if lines, err = p.ReadRequest(lines, &req, true, &lim); err != nil {
			t.Fatal(err)
		}
		out = p.AppendResponseHead(out[:0], &s, &resp, false)
		out = p.AppendData(out, &s, []byte("hello"), true)
		p.send = 1 << 20
		id += 2
	}
	run()
	if n := testing.AllocsPerRun(1000, run); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	p := newPeer(false)
	p.feed(opening())
	var req codec.Request
	var resp codec.Response
	resp.Reset(nil)
	resp.Status = 200
	resp.Header.Add("Content-Type", []byte("text/plain"))
	lim := codec.DefaultLimits()
	var buf bytes.Buffer
	e := hpack.NewEncoder(&buf)
	var block []byte
	for range 2 { // the second time most are indices
		buf.Reset()
		for _, f := range with(request, "user-agent: h2load nghttp2/1.52.0", "accept: */*", "accept-encoding: gzip, deflate") {
			i := strings.Index(f[1:], ": ") + 1
			_ = e.WriteField(hpack.HeaderField{Name: f[:i], Value: f[i+2:]})
		}
		in := frame(frameHeaders, flagEndHeaders|flagEndStream, uint32(2*len(block)+1), buf.Bytes()...)
		if block == nil {
			p.at = 0
			p.feed(in)
		}
		block = in
	}
	lines, out := make([]byte, 0, 4096), make([]byte, 0, 4096)
	id := uint32(1001)
	var s Stream
	b.ReportAllocs()
	for b.Loop() {
		block[5], block[6], block[7], block[8] = byte(id>>24), byte(id>>16), byte(id>>8), byte(id)
		if _, _, err := p.Next(block); err != nil {
			b.Fatal(err)
		}
		p.Open(&s, id, true)
		lines, _ = p.ReadRequest(lines, &req, true, &lim)
		out = p.AppendResponseHead(out[:0], &s, &resp, true)
		id += 2
	}
}

// Every name of the static table is found at its lowest index (RFC 7541 appendix A), and no other.
func TestStaticNamesAreFoundAtTheirLowestIndex(t *testing.T) {
	want := make(map[string]int)
	for i := staticLen; i > 0; i-- {
		want[staticTable[i].name] = i
	}
	for name, index := range want {
		for _, c := range []struct {
			name string
			want int
		}{{name, index}, {name + "x", want[name+"x"]}, {name[1:], want[name[1:]]}, {"x" + name[1:], want["x"+name[1:]]}} {
			if got := findStatic([]byte(c.name)); got != c.want {
				t.Errorf("%q is at %d, want %d", c.name, got, c.want)
			}
		}
	}
}

func BenchmarkResponseHead(b *testing.B) {
	var c Conn
	var resp codec.Response
	resp.Reset(nil)
	resp.Status = 200
	for _, f := range [][2]string{{"Server", "nginx"}, {"Date", "Thu, 26 Nov 2026 06:38:04 GMT"}, {"Content-Type", "text/plain"}, {"X-Request-Id", "0123456789abcdef"}, {"Cache-Control", "no-cache"}} {
		resp.Header.Add(f[0], []byte(f[1]))
	}
	c.Reset(Options{})
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		s := Stream{ID: 1}
		buf = c.AppendResponseHead(buf[:0], &s, &resp, false)
	}
}
