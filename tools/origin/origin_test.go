package origin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T) *Server {
	t.Helper()
	s, err := Start("a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func do(t *testing.T, s *Server, method, target, body string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr()+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Test", "1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, got
}

// An echo tells method, target, fields and body, so that a test can see what a gateway made of a request.
func TestEchoTellsTheWholeRequest(t *testing.T) {
	s := start(t)
	res, raw := do(t, s, "POST", "/any/where?x=1", "hello")
	if res.StatusCode != 200 || res.Header.Get("X-Origin") != "a" {
		t.Fatalf("status %d, X-Origin %q", res.StatusCode, res.Header.Get("X-Origin"))
	}
	var e Echo
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("hello"))
	want := Body{Bytes: 5, SHA256: hex.EncodeToString(sum[:])}
	if e.Origin != "a" || e.Method != "POST" || e.URI != "/any/where?x=1" || e.Host != s.Addr() || e.Headers.Get("X-Test") != "1" || e.Body != want {
		t.Errorf("echo = %+v", e)
	}
}

// The last segment decides, so a prefix before it changes nothing.
func TestBigBodyHasItsLengthAndNoGap(t *testing.T) {
	s := start(t)
	res, got := do(t, s, "GET", "/some/prefix/big?size=200KiB", "")
	if res.ContentLength != 200<<10 || len(got) != 200<<10 {
		t.Fatalf("Content-Length %d, body %d bytes", res.ContentLength, len(got))
	}
	if want := bytes.Repeat(block[:64], 200<<10/64); !bytes.Equal(got, want) {
		t.Error("the body is not the repeated alphabet")
	}
}

func TestBigBodyAnswersHeadWithLengthOnly(t *testing.T) {
	s := start(t)
	res, got := do(t, s, "HEAD", "/big?size=1GiB", "")
	if res.ContentLength != 1<<30 || len(got) != 0 {
		t.Errorf("Content-Length %d, body %d bytes", res.ContentLength, len(got))
	}
}

func TestStreamIsChunkedAndHasAllLines(t *testing.T) {
	s := start(t)
	res, got := do(t, s, "GET", "/stream?n=3&interval=1ms", "")
	if len(res.TransferEncoding) != 1 || res.TransferEncoding[0] != "chunked" {
		t.Errorf("Transfer-Encoding %v", res.TransferEncoding)
	}
	if want := "line 1 of 3 from a\nline 2 of 3 from a\nline 3 of 3 from a\n"; string(got) != want {
		t.Errorf("got %q", got)
	}
}

func TestStatusIsTheOneAskedFor(t *testing.T) {
	s := start(t)
	for _, target := range []string{"/status?code=503", "/x/status?code=204"} {
		res, _ := do(t, s, "GET", target, "")
		if want := target[len(target)-3:]; !strings.HasPrefix(res.Status, want) {
			t.Errorf("%s: %s", target, res.Status)
		}
	}
}

func TestBadQueriesAreRefusedWithTheName(t *testing.T) {
	s := start(t)
	for _, target := range []string{"/slow?delay=2", "/slow?delay=2h", "/stream?n=-1", "/stream?interval=x", "/big?size=1", "/big?size=1TiB", "/status?code=100"} {
		res, got := do(t, s, "GET", target, "")
		name, _, _ := strings.Cut(target[strings.Index(target, "?")+1:], "=")
		if res.StatusCode != 400 || !strings.HasPrefix(string(got), name+"=") {
			t.Errorf("%s: %d %q", target, res.StatusCode, got)
		}
	}
}

// Close must not wait for a slow answer to be finished: tests kill origins in the middle of requests.
func TestCloseEndsRequestsInFlight(t *testing.T) {
	s := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.Addr()+"/stream?n=2&interval=1m", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req) // returns with the first line, so the handler is running
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("the stream ended as if it were whole")
	}
	if ctx.Err() != nil {
		t.Error("Close waited for the slow answer")
	}
}

func TestAddressInUseIsAnError(t *testing.T) {
	s := start(t)
	if other, err := Listen("b", s.Addr()); err == nil {
		_ = other.Close()
		t.Error("two servers on one address")
	}
}
