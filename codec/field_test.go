package codec

import (
	"math/rand/v2"
	"strings"
	"testing"
)

var fieldNames = map[string]FieldID{
	"Host": FieldHost, "Connection": FieldConnection, "Content-Length": FieldContentLength, "Transfer-Encoding": FieldTransferEncoding,
	"TE": FieldTE, "Trailer": FieldTrailer, "Upgrade": FieldUpgrade, "Keep-Alive": FieldKeepAlive, "Proxy-Connection": FieldProxyConnection,
	"Proxy-Authenticate": FieldProxyAuthenticate, "Proxy-Authorization": FieldProxyAuthorization, "Expect": FieldExpect,
	"X-Forwarded-For": FieldForwardedFor, "X-Forwarded-Proto": FieldForwardedProto, "X-Forwarded-Host": FieldForwardedHost,
	"X-Real-IP": FieldRealIP, "X-Request-Id": FieldRequestID, "Date": FieldDate, "Server": FieldServer, "User-Agent": FieldUserAgent, "Referer": FieldReferer, "HTTP2-Settings": FieldHTTP2Settings,
}

func TestFieldsAreKnownInEverySpelling(t *testing.T) {
	if len(fieldNames) != int(FieldHTTP2Settings)-1 { // but for FieldLookalike
		t.Errorf("%d names for %d fields", len(fieldNames), FieldHTTP2Settings)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, id := range fieldNames {
		for _, s := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := LookupField([]byte(s)); got != id {
				t.Errorf("%s: %d", s, got)
			}
		}
		for range 50 {
			b := []byte(name)
			for i, c := range b {
				if rnd.IntN(2) == 0 && (c|0x20) >= 'a' && (c|0x20) <= 'z' {
					b[i] ^= 0x20
				}
			}
			if got := LookupField(b); got != id {
				t.Errorf("%s: %d", b, got)
			}
		}
	}
}

func TestFieldsThatOnlyLookKnownAreNot(t *testing.T) {
	for name := range fieldNames {
		for i := range name {
			for _, c := range []byte{'+', 0, 0x7f, ' ', name[i] ^ 0x40, name[i] | 0x80} {
				b := []byte(name)
				if b[i] == c {
					continue
				}
				b[i] = c
				if got := LookupField(b); got != FieldOther {
					t.Errorf("%q: %d", b, got)
				}
			}
		}
		for _, s := range []string{name + "x", "x" + name, name[1:], name[:len(name)-1], name + strings.Repeat("a", 32)} {
			if got := LookupField([]byte(s)); got != FieldOther {
				t.Errorf("%q: %d", s, got)
			}
		}
	}
	if LookupField(nil) != FieldOther {
		t.Error("the empty name is known")
	}
}

// CGI, WSGI and PHP make one variable of both spellings.
func TestUnderscoresDoNotHideFieldsThatDecide(t *testing.T) {
	for name, want := range map[string]FieldID{
		"Content_Length": FieldLookalike, "transfer_encoding": FieldLookalike, "X_Forwarded_For": FieldLookalike, "X-FORWARDED_PROTO": FieldLookalike,
		"x_forwarded-host": FieldLookalike, "X_Real_IP": FieldLookalike, "X_Request_Id": FieldOther, "Content_Lengtj": FieldOther, "Content_Type": FieldOther,
		"Content__ength": FieldOther, "X_Forwarded_Port": FieldOther,
	} {
		if got := LookupField([]byte(name)); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

func BenchmarkLookupField(b *testing.B) {
	names := [][]byte{[]byte("Host"), []byte("User-Agent"), []byte("Accept"), []byte("Accept-Language"), []byte("Content-Length"), []byte("cookie"), []byte("Connection"), []byte("X-Forwarded-For")}
	b.ReportAllocs()
	for b.Loop() {
		for _, n := range names {
			LookupField(n)
		}
	}
}
