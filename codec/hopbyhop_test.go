package codec

import (
	"slices"
	"strings"
	"testing"
)

// RFC 9110 §7.6.1
func TestHopByHopFieldsGoNoFurther(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"nothing to do", "Host: a|X: 1", "Host=a X=1"},
		{"those that are known", "Host: a|Connection: close|Keep-Alive: 1|Proxy-Connection: x|TE: gzip|Upgrade: x|Proxy-Authorization: x|Proxy-Authenticate: x|HTTP2-Settings: x|X: 1", "Host=a X=1"},
		{"a trailer goes on, and so does what tells of it", "Host: a|Connection: close|Trailer: x", "Host=a Trailer=x"},
		{"but not where it is named", "Connection: Trailer|Trailer: x|X: 1", "X=1"},
		{"in any spelling", "CONNECTION: x|kEEP-aLIVE: 1|te: x|X: 1", ""},
		{"those that are named", "Connection: ,a , B\t,,c|A: 1|b: 2|C: 3|c: 4|D: 5", "D=5"},
		{"named by a later field", "A: 1|Connection: close|B: 2|Connection: a,b", ""},
		{"a name that is part of another", "Connection: ab|A: 1|ABC: 2", "A=1 ABC=2"},
		{"what every message needs stays", "Connection: host, content-length, transfer-encoding, expect, date, x-forwarded-for, x-forwarded-proto, x-forwarded-host, x-real-ip, x-request-id|" +
			"Host: a|Content-Length: 1|Expect: x|Date: x|X-Forwarded-For: 1|X-Forwarded-Proto: 2|X-Forwarded-Host: 3|X-Real-IP: 4|X-Request-Id: 5",
			"Host=a Content-Length=1 Expect=x Date=x X-Forwarded-For=1 X-Forwarded-Proto=2 X-Forwarded-Host=3 X-Real-IP=4 X-Request-Id=5"},
		{"options are no fields", "Connection: keep-alive, close|Close: 1", "Close=1"},
		{"connection names itself", "Connection: connection|Connection: a|A: 1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := parsed(strings.Split(tt.in, "|")...)
			h.StripHopByHop()
			if got := text(h); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTrailersLoseWhatConnectionNames(t *testing.T) {
	head, trailer := parsed("Connection: close, x", "Connection: B"), parsed("X: 1", "A: 2", "b: 3")
	head.StripHopByHop()
	trailer.StripNamed(head)
	if got := text(trailer); got != "A=2" {
		t.Error(got)
	}
	trailer.StripNamed(parsed("A: 1"))
	if got := text(trailer); got != "A=2" {
		t.Error(got)
	}
}

func TestAddedHopByHopFieldsAreFoundToo(t *testing.T) {
	h := parsed("A: 1")
	h.Add("connection", []byte("a"))
	h.StripHopByHop()
	if got := text(h); got != "" {
		t.Error(got)
	}
}

// RFC 9110 §5.6.1
func TestListsAreCutAtCommas(t *testing.T) {
	for in, want := range map[string][]string{
		"a": {"a"}, " a ": {"a"}, "a,b": {"a", "b"}, "\ta , b\t": {"a", "b"}, ",a": {"", "a"}, "a, ,b": {"a", "", "b"}, "a b,c": {"a b", "c"}, "": nil,
	} {
		var got []string
		for rest := []byte(in); len(rest) > 0; {
			var item []byte
			item, rest = NextListItem(rest)
			got = append(got, string(item))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
