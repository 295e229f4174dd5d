package h2

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2/hpack"

	"sluice/codec/codectest"
)

func seeds(f *testing.F) {
	for _, in := range [][]byte{
		opening(getRequest(1, "cookie: a", "cookie: b"), postRequest(3, "content-length: 3"), data(3, true, "abc")),
		opening(postRequest(1), data(1, false, "x"), headers(1, true, "a: b"), frame(frameReset, 0, 1, 0, 0, 0, 8)),
		opening(settings(4, 1, 1, 0, 5, 1<<20), frame(framePing, 0, 0, make([]byte, 8)...), frame(frameWindow, 0, 0, 0, 0, 0, 1)),
		opening(frame(frameHeaders, flagPadded|flagPriority, 1, 1, 0, 0, 0, 0, 1, 0x82, 0), frame(frameContinuation, flagEndHeaders, 1, 0x86, 0x84)),
		append(settings(), headers(1, false, ":status: 200")...),
		append(settings(), append(headers(1, false, ":status: 100"), headers(1, true, ":status: 204", "a:  b")...)...),
	} {
		f.Add(in, uint16(len(in)/2))
	}
}

// Whatever comes, in whatever pieces: no panic, the same outcome, and no more to say than what came asked for.
func fuzzConn(f *testing.F, client bool) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		whole := newPeer(client)
		want, _ := whole.feed(in)
		run := newPeer(client)
		at := min(int(cut), len(in))
		var got string
		for _, n := range []int{at, min(at+1, len(in)), len(in)} {
			b := bytes.Clone(in[:n])
			var done bool
			if got, done = run.feed(b[:n:n]); done {
				break
			}
		}
		if got != want {
			t.Fatalf("cut at %d:\n%s\nwhole:\n%s", at, got, want)
		}
		// A frame of nine bytes is answered with seventeen at most, a PING's.
		if owed := bytes.Count([]byte(want), []byte("< type")); owed > len(in)/frameHeaderLen+1 {
			t.Fatalf("%d frames for %d bytes", owed, len(in))
		}
	})
}

func FuzzServer(f *testing.F) { fuzzConn(f, false) }

func FuzzClient(f *testing.F) { fuzzConn(f, true) }

// Two decoders that have seen the same blocks agree on the next one.
func FuzzDecoder(f *testing.F) {
	f.Add(packed("a: b", "c: d"), packed("a: b", "cookie: x"))
	f.Add([]byte{0x20, 0x40, 1, 'a', 1, 'b'}, []byte{0xbe, 0x3f, 0xe1, 0x1f})
	f.Add(packed("a: b"), []byte{0x3f, 0x30, 0x3f, 0x30}) // two updates of the table's size
	f.Fuzz(func(t *testing.T, first, second []byte) {
		ours := &decoder{max: tableSize}
		theirs := hpack.NewDecoder(tableSize, nil)
		for _, block := range [][]byte{first, second} {
			got, ok := entries(ours, block)
			want, wantOK := reference(theirs, block)
			if ok && !wantOK || ok && got != want {
				t.Fatalf("%x:\n%q %v\n%q %v", block, got, ok, want, wantOK)
			}
			if !ok { // ours is stricter about integers and where a table may be resized
				return
			}
		}
	})
}

var _ codectest.Run = (*peer)(nil).feed
