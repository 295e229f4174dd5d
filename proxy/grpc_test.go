package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/fault"
	"sluice/internal/testnet"
	"sluice/router"
)

// callGRPC makes a gRPC call of one message, and returns its status, wherever it stands.
func callGRPC(t *testing.T, addr string, fields ...string) (status, message string, resp *http.Response) {
	t.Helper()
	req, _ := http.NewRequest("POST", "http://"+addr+"/pkg.Service/Call", strings.NewReader("\x00\x00\x00\x00\x00"))
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Set(name, value)
	}
	resp, err := h2cClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if status = resp.Header.Get("Grpc-Status"); status != "" {
		return status, resp.Header.Get("Grpc-Message"), resp
	}
	return resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message"), resp
}

// forGRPC makes the route for everything one of gRPC.
func forGRPC() option {
	return func(s *setup) { s.grpc = true }
}

func TestErrorsAreToldToGRPCClientsInTheirOwnWords(t *testing.T) {
	g := newGateway(t, []string{testnet.Reserve(t)}, forGRPC(), withLog())
	status, message, resp := callGRPC(t, g.addr)
	if status != "14" || !strings.HasPrefix(message, "upstream_connect: ") || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/grpc" {
		t.Errorf("%s %q %v", status, message, resp)
	}
	if line := g.logged(t, 1)[0]; line.Flag != "UF" {
		t.Errorf("logged %+v", line)
	}
	g = newGateway(t, nil, withRoute(router.Rule[*Route]{ID: "x", Paths: []string{"/x"}}))
	if status, _, _ := callGRPC(t, g.addr); status != "12" {
		t.Errorf("no route: status %s", status)
	}
}

// An answer that has begun ends with the status of what went wrong, and not with a reset.
func TestANodeThatIsLostInACallIsAStatus(t *testing.T) {
	node := originH2(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = w.Write([]byte("\x00\x00\x00\x00\x00"))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	g := newGateway(t, []string{node}, forGRPC())
	if status, message, _ := callGRPC(t, g.addr); status != "14" || !strings.HasPrefix(message, "upstream_reset: ") {
		t.Errorf("%s %q", status, message)
	}
}

func TestDeadlinesOfCallsAreKept(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"before the head": func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"behind it": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		g := newGateway(t, []string{originH2(t, handler)}, forGRPC())
		start := time.Now()
		status, _, _ := callGRPC(t, g.addr, "Grpc-Timeout: 50m")
		if took := time.Since(start); status != "4" || took < 50*time.Millisecond {
			t.Errorf("%s: status %s after %v", name, status, took)
		}
	}
}

// The table of docs/guide/http2-and-grpc.md.
func TestEveryErrorHasAStatusOfGRPC(t *testing.T) {
	for _, k := range fault.Kinds() {
		if s := k.GRPC(); s < 1 || s > 16 {
			t.Error(fmt.Sprint(k.Code, s))
		}
	}
}
