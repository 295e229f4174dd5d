package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestARequestIsForwardedAndAnswered(t *testing.T) {
	node := origin(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s host=%s xff=%s proto=%s xfh=%s real=%s", r.Method, r.URL, r.Host,
			r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Real-Ip"))
	})
	g := newGateway(t, []string{node})
	answer := exchangeRaw(t, g.addr, "GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
	for _, want := range []string{
		"HTTP/1.1 200 OK\r\n", "Connection: close\r\n",
		"GET /a/b?c=d host=example.com xff=127.0.0.1 proto=http xfh=example.com real=127.0.0.1",
	} {
		if !strings.Contains(answer, want) {
			t.Errorf("no %q in %q", want, answer)
		}
	}
}

func TestConnectionsAreKeptOnBothSides(t *testing.T) {
	var peers sync.Map
	node := origin(t, func(w http.ResponseWriter, r *http.Request) {
		peers.Store(r.RemoteAddr, true)
		echo(w, r)
	})
	g := newGateway(t, []string{node})
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	for i := range 100 {
		body := strings.Repeat("x", i*100)
		resp, err := client.Post("http://"+g.addr+"/", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != body {
			t.Fatalf("request %d: %v, %d bytes of %d", i, err, len(got), len(body))
		}
	}
	seen := 0
	peers.Range(func(any, any) bool { seen++; return true })
	if seen != 1 {
		t.Errorf("the node saw %d connections, want 1", seen)
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	node := origin(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "<%s>", r.URL.Path) })
	g := newGateway(t, []string{node})
	var requests strings.Builder
	for i := range 200 {
		fmt.Fprintf(&requests, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
	}
	requests.WriteString("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	answer := exchangeRaw(t, g.addr, requests.String())
	at := 0
	for i := range 200 {
		next := strings.Index(answer[at:], fmt.Sprintf("</%d>", i))
		if next < 0 {
			t.Fatalf("answer %d is missing or out of order", i)
		}
		at += next
	}
	if !strings.Contains(answer[at:], "</last>") {
		t.Error("the last answer is missing")
	}
}

func TestLargeBodiesPassBothWays(t *testing.T) {
	node := origin(t, echo)
	g := newGateway(t, []string{node})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	body := bytes.Repeat([]byte("0123456789abcdef"), bulk(20<<20)/16)
	for _, chunked := range []bool{false, true} {
		var reader io.Reader = bytes.NewReader(body)
		if chunked {
			reader = io.MultiReader(reader) // hides the length
		}
		resp, err := client.Post("http://"+g.addr+"/", "application/octet-stream", reader)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("chunked %v: %v, %d bytes of %d, equal %v", chunked, err, len(got), len(body), bytes.Equal(got, body))
		}
	}
}

func TestErrorsAreTheContracts(t *testing.T) {
	node := origin(t, func(w http.ResponseWriter, r *http.Request) {})
	g := newGateway(t, []string{node})
	for _, c := range []struct{ request, status, code string }{
		{"GET / HTTP/1.1\r\n\r\n", "400", "bad_request"},
		{"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505", "version_not_supported"},
		{"GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\nHost: a\r\n\r\n", "414", "uri_too_long"},
		{"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 40000) + "\r\n\r\n", "431", "headers_too_large"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n", "413", "too_large"},
		{"POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", "417", "expectation_failed"},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501", "not_implemented"},
		{"GET /%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n", "400", "bad_request"},
	} {
		answer := exchangeRaw(t, g.addr, strings.Replace(c.request, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
		if !strings.HasPrefix(answer, "HTTP/1.1 "+c.status+" ") || !strings.Contains(answer, `"code":"`+c.code+`"`) || !strings.Contains(answer, "Server: sluice\r\n") {
			t.Errorf("%.40q: %q", c.request, answer)
		}
	}
}
