package observe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// The eight-at-a-time search is the byte-by-byte one, for every byte at every place, alone and after a neighbour that carries into it.
func TestPlainFindsTheFirstSpecialByte(t *testing.T) {
	slow := func(s []byte) int {
		for i, c := range s {
			if c < 0x20 || c >= 0x7F || c == '"' || c == '\\' {
				return i
			}
		}
		return len(s)
	}
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				for _, next := range []byte{'a', ' ', '~', '!', '#', '[', ']', 0x00, 0xFF} {
					s := bytes.Repeat([]byte{'x'}, length)
					s[at] = byte(c)
					if at+1 < length {
						s[at+1] = next
					}
					if got, want := plain(s), slow(s); got != want {
						t.Fatalf("plain(%q) = %d, want %d", s, got, want)
					}
					if got, want := plain(string(s)), slow(s); got != want {
						t.Fatalf("plain of the string %q = %d, want %d", s, got, want)
					}
				}
			}
		}
	}
}

func TestJSONTextIsEscaped(t *testing.T) {
	for in, want := range map[string]string{
		"plain":           `plain`,
		`a"b\c`:           `a\"b\\c`,
		"a\nb\rc\td":      `a\nb\rc\td`,
		"\x00\x1b[31m":    `\u0000\u001b[31m`,
		"\x7f\u009b":      `\u007f\u009b`,
		"a\u2028\u2029b":  `a\u2028\u2029b`,
		"gnp\u202exe.exe": `gnp\u202exe.exe`,
		"\ufeff\u200b":    `\ufeff\u200b`,
		"ü–😀":             `ü–😀`,
		"\xff\xc3x\xf0":   `\ufffd\ufffdx\ufffd`,
		"":                ``,
	} {
		if got := string(appendJSONText(nil, in)); got != want {
			t.Errorf("%q became %s, want %s", in, got, want)
		}
		if got := string(appendJSONText(nil, []byte(in))); got != want {
			t.Errorf("the bytes %q became %s, want %s", in, got, want)
		}
	}
}

// ngx_http_log_module, log_format, escape=default.
func TestNginxTextIsEscapedAsNginxDoes(t *testing.T) {
	for in, want := range map[string]string{
		"plain ~":  `plain ~`,
		`a"b\c`:    `a\x22b\x5Cc`,
		"a\nb\x7f": `a\x0Ab\x7F`,
		"ü":        `\xC3\xBC`,
	} {
		if got := string(appendNginxText(nil, in)); got != want {
			t.Errorf("%q became %s, want %s", in, got, want)
		}
	}
}

// Whatever a client sends, a JSON line is one line, one object, and says what was sent; a combined line is one line of printable ASCII
// with three quoted parts.
func FuzzLinesHoldWhatWasSent(f *testing.F) {
	f.Add([]byte("/a?b=c"), "agent", uint16(200), int64(5))
	f.Add([]byte("/\x00\n\"\\\xff\xc3\u2028\u202e\x1b"), "a\"} {\"status\":200", uint16(0), int64(-1))
	f.Add([]byte("\xe2\x80"), "\xf0\x9f\x98\x80\xf0", uint16(999), int64(1<<62))
	f.Fuzz(func(t *testing.T, b []byte, s string, status uint16, nanos int64) {
		rec := &Record{
			Start: nanos, Duration: nanos, HeadTime: nanos, ConnectTime: nanos, Method: b, Target: b, Host: b, UserAgent: b, Referer: b, RequestID: b,
			Protocol: s, Node: s, Flag: s, Code: s, Reason: s, Route: &Route{id: s, service: s}, Status: int(status), BytesIn: nanos,
		}
		checkJSONLine(t, rec, string([]rune(string(b))), string([]rune(s)))
		checkCombinedLine(t, rec)
	})
}

func checkJSONLine(t *testing.T, rec *Record, b, s string) {
	t.Helper()
	line := appendJSON(nil, rec, new(stamp))
	if bytes.Count(line, []byte("\n")) != 1 || !bytes.HasSuffix(line, []byte("}\n")) {
		t.Fatalf("not one line: %q", line)
	}
	if i := bytes.IndexFunc(line[:len(line)-1], misleads); i >= 0 {
		t.Fatalf("a character at %d acts on who reads it: %q", i, line)
	}
	var got map[string]any
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("%v: %q", err, line)
	}
	for key, want := range map[string]string{
		"method": b, "target": b, "host": b, "user_agent": b, "referer": b, "request_id": b,
		"protocol": s, "node": s, "flag": s, "code": s, "reason": s, "route": s, "service": s,
	} {
		if v, ok := got[key]; ok && v != want || !ok && want != "" {
			t.Fatalf("%s is %q, want %q", key, v, want)
		}
	}
	if got["status"] != float64(rec.Status) {
		t.Fatalf("status is %v, want %v", got["status"], rec.Status)
	}
}

func checkCombinedLine(t *testing.T, rec *Record) {
	t.Helper()
	line := string(appendCombined(nil, rec, new(stamp)))
	body, ok := strings.CutSuffix(line, "\n")
	if !ok || strings.Count(body, `"`) != 6 {
		t.Fatalf("not one line with three quoted parts: %q", line)
	}
	for _, c := range []byte(body) {
		if c < ' ' || c > '~' {
			t.Fatalf("%q holds the byte %#x", line, c)
		}
	}
}

func ExampleAccessLogConfig() {
	c := AccessLogConfig{Path: "/var/log/sluice/access.log", Format: "common"}
	fmt.Println(c.Validate())
	// Output: format: "common" is not a format: write "json" or "combined"
}
