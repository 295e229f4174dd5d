package codec

import (
	"bytes"
	"testing"
)

func TestPathsAreBroughtToOneForm(t *testing.T) {
	tests := []struct {
		raw, want string
		err       error
	}{
		// RFC 3986 §6.2.2.1 and §6.2.2.2
		{"/", "/", nil}, {"", "", nil}, {"*", "*", nil}, {"/a/b", "/a/b", nil}, {"//a//b//", "//a//b//", nil}, {"/%7Ea%7e", "/~a~", nil}, {"/%61%41%30%2D%2e%5f", "/aA0-._", nil},
		{"/a%20b", "/a%20b", nil}, {"/%c3%a9", "/%C3%A9", nil}, {"/\xc3\xa9", "/\xc3\xa9", nil}, {"/%3f%23%3b%26%3d%2b%40%3A", "/%3F%23%3B%26%3D%2B%40%3A", nil},
		{"/a;b=c,d+e@f:g!$&'()*", "/a;b=c,d+e@f:g!$&'()*", nil}, {"/%25%32%65", "/%252e", nil}, {"/%252e%252e/", "/%252e%252e/", nil}, {"/%01%7f%ff", "/%01%7F%FF", nil},
		// RFC 3986 §5.2.4
		{"/.", "/", nil}, {"/./", "/", nil}, {"/a/.", "/a/", nil}, {"/a/./b", "/a/b", nil}, {"/a/..", "/", nil}, {"/a/../", "/", nil}, {"/a/../b", "/b", nil}, {"/a/b/..", "/a/", nil},
		{"/a/b/c/./../../g", "/a/g", nil}, {"/a/b/../../c/..", "/", nil}, {"/.a", "/.a", nil}, {"/a.", "/a.", nil}, {"/..a", "/..a", nil}, {"/a..", "/a..", nil}, {"/...", "/...", nil},
		{"/a/.../b", "/a/.../b", nil}, {"/.well-known/x", "/.well-known/x", nil}, {"/a//./b", "/a//b", nil}, {"/%2e", "/", nil}, {"/a/%2E%2e/b", "/b", nil}, {"/a/.%2e", "/", nil}, {"/a/%2e.", "/", nil},
		{"/a/b/..//c", "/a//c", nil}, {"/a/..//", "//", nil},
		// Above the root
		{"/..", "", ErrPathAboveRoot}, {"/../", "", ErrPathAboveRoot}, {"/../a", "", ErrPathAboveRoot}, {"/a/../..", "", ErrPathAboveRoot}, {"/./..", "", ErrPathAboveRoot},
		{"/%2e%2e/a", "", ErrPathAboveRoot}, {"/a/../../b", "", ErrPathAboveRoot}, {"/a/..//../b", "", ErrPathEmptySegment}, {"//..", "", ErrPathEmptySegment}, {"/a//../b", "", ErrPathEmptySegment},
		// Escapes
		{"/%", "", ErrPathEscape}, {"/%4", "", ErrPathEscape}, {"/%zz", "", ErrPathEscape}, {"/%4g", "", ErrPathEscape}, {"/%g4", "", ErrPathEscape}, {"/%%41", "", ErrPathEscape}, {"/a%u0041", "", ErrPathEscape},
		{"/%00", "", ErrPathNUL}, {"/a%00.html", "", ErrPathNUL}, {"/%2f", "", ErrPathSlash}, {"/a%2Fb", "", ErrPathSlash}, {"/..%2f", "", ErrPathSlash}, {"/%5c", "", ErrPathSlash}, {"/a%5Cb", "", ErrPathSlash},
		{"/a\\b", "", ErrPathSlash}, {"/..\\a", "", ErrPathSlash},
	}
	dst := make([]byte, 0, 64)
	for _, tt := range tests {
		got, err := NormalizePath(dst, []byte(tt.raw))
		if string(got) != tt.want || err != tt.err && (tt.err != nil || err != nil) {
			t.Errorf("%q: %q, %v; want %q, %v", tt.raw, got, err, tt.want, tt.err)
		}
		if err != nil {
			continue
		}
		again, err := NormalizePath(nil, got)
		if err != nil || !bytes.Equal(again, got) {
			t.Errorf("%q is not in its final form: %q, %v", got, again, err)
		}
	}
}

// What nodes do not agree about: escaped slashes, backslashes, and whether a segment may be empty.
func TestPathsAreReadAsNodesMay(t *testing.T) {
	tests := []struct{ raw, literal, decoded, merged string }{
		{"/a%2fb", "/a%2Fb", "/a/b", "/a/b"},
		{"/a%2F..%2fb", "/a%2F..%2Fb", "/b", "/b"},
		{"/a/..%5cb", "/a/..%5Cb", "/b", "/b"},
		{"/a\\..\\b%7e", "/a\\..\\b~", "/b~", "/b~"},
		{"/a\\b", "/a\\b", "/a/b", "/a/b"},
		{"/a/b//../c", "/a/b/c", "/a/b/c", "/a/c"},
		{"//..", "/", "/", "above"},
		{"/a%2f%2f../c", "/a%2F%2F../c", "/a/c", "/c"},
		{"/a/%2f../../b", "/a/b", "/b", "above"},
		{"/%2f", "/%2F", "//", "/"},
		{"/..%2f..", "/..%2F..", "above", "above"},
		{"/a", "/a", "/a", "/a"},
		{"*", "*", "*", "*"},
	}
	for _, tt := range tests {
		for r, want := range []string{tt.literal, tt.decoded, tt.merged} {
			got, err := ReadPath(nil, []byte(tt.raw), PathReading(r))
			if err == ErrPathAboveRoot {
				got = []byte("above")
			} else if err != nil {
				t.Errorf("%q read in way %d: %v", tt.raw, r, err)
			}
			if string(got) != want {
				t.Errorf("%q read in way %d: %q, want %q", tt.raw, r, got, want)
			}
		}
	}
}

func TestPathsInNormalFormAreNotCopied(t *testing.T) {
	for _, s := range []string{"/", "*", "/a/b.c/d..e/...f/.g", "//"} {
		raw := []byte(s)
		if got, err := NormalizePath(nil, raw); err != nil || &got[0] != &raw[0] || len(got) != len(raw) {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	raw, dst := []byte("/a/%7e/%2e%2e/b"), make([]byte, 0, 32)
	if n := testing.AllocsPerRun(50, func() { _, _ = NormalizePath(dst, raw) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if string(raw) != "/a/%7e/%2e%2e/b" {
		t.Errorf("raw was changed to %q", raw)
	}
}

// A path that was let through is its own normal form, and has no dot segment and no escape that could hide something.
func FuzzNormalizePath(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "/%2e%2E/", "/a//../b", "/%2f", "/.a/./..%2e/", "/%7E%c3"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		got, err := NormalizePath(nil, raw)
		if !bytes.Equal(raw, before) {
			t.Fatalf("raw was changed to %q", raw)
		}
		if err != nil {
			return
		}
		again, err := NormalizePath(nil, got)
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q gives %q, and that %q, %v", raw, got, again, err)
		}
		if len(raw) == 0 || raw[0] != '/' {
			return
		}
		if got[0] != '/' || bytes.ContainsRune(got, '\\') {
			t.Fatalf("%q gives %q", raw, got)
		}
		for _, r := range []PathReading{ReadLiteral, ReadDecoded} {
			if other, err := ReadPath(nil, raw, r); err != nil || !bytes.Equal(other, got) {
				t.Fatalf("%q was said to be read as %q only, and is %q, %v", raw, got, other, err)
			}
		}
		for _, segment := range bytes.Split(got, []byte("/")) {
			if s := string(segment); s == "." || s == ".." {
				t.Fatalf("%q gives %q", raw, got)
			}
		}
	})
}

func BenchmarkNormalizePath(b *testing.B) {
	dst := make([]byte, 0, 128)
	for _, s := range []string{"/assets/app/main.7f3c1d2e.js", "/a/%7Euser/./b/../caf%c3%a9"} {
		raw := []byte(s)
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := NormalizePath(dst, raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
