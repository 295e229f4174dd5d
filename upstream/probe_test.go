package upstream

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"sluice/internal/testnet"
)

// ask probes an address as a service with that policy does.
func ask(t *testing.T, policy ActiveHealth, at string) error {
	t.Helper()
	policy.setDefaults()
	if err := policy.validate(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testnet.Patience)
	defer cancel()
	return probe(ctx, &policy, target{addr: netip.MustParseAddrPort(at), name: at})
}

// check fails the test where the outcome is not the one that is wanted: text is a part of the error, "" for a good probe.
func check(t *testing.T, err error, text string) {
	t.Helper()
	switch {
	case err == nil && text != "":
		t.Errorf("good, want %q", text)
	case err != nil && (text == "" || !strings.Contains(err.Error(), text)):
		t.Errorf("%v, want %q", err, text)
	}
}

func TestATCPProbeConnects(t *testing.T) {
	o := startOrigin(t)
	check(t, ask(t, ActiveHealth{}, o.address), "")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	check(t, ask(t, ActiveHealth{}, ln.Addr().String()), "refused")
}

func TestAnHTTPProbeLooksAtStatusAndBody(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ready":
			_, _ = io.WriteString(w, "state: ready\n")
		case "/chunks":
			for range 3 {
				_, _ = io.WriteString(w, "part ")
				_ = http.NewResponseController(w).Flush()
			}
			_, _ = io.WriteString(w, "end")
		case "/host":
			_, _ = io.WriteString(w, r.Method+" "+r.Host)
		case "/moved":
			w.WriteHeader(301)
		case "/endless":
			for _, part := range []string{"rea", "d", "y"} {
				_, _ = io.WriteString(w, part)
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
		case "/edge":
			_, _ = io.WriteString(w, strings.Repeat("x", maxProbeBody-5)+"ready and steady")
		case "/long":
			_, _ = io.WriteString(w, strings.Repeat("x", 2*maxProbeBody)+"ready")
		default:
			w.WriteHeader(503)
		}
	}))
	defer server.Close()
	at := server.Listener.Addr().String()
	for _, c := range []struct {
		policy ActiveHealth
		want   string
	}{
		{ActiveHealth{Path: "/ready"}, ""},
		{ActiveHealth{Path: "/ready", Body: "ready"}, ""},
		{ActiveHealth{Path: "/ready", Body: "steady"}, "does not hold"},
		{ActiveHealth{Path: "/chunks", Body: "part part part end"}, ""},
		{ActiveHealth{Path: "/long", Body: "ready"}, "does not hold"},
		{ActiveHealth{Path: "/edge", Body: "ready"}, ""},
		{ActiveHealth{Path: "/edge", Body: "ready "}, "does not hold"},
		{ActiveHealth{Path: "/endless", Body: "ready", Timeout: dur(testnet.Patience)}, ""},
		{ActiveHealth{Path: "/host", Body: "GET " + at}, ""},
		{ActiveHealth{Path: "/host", Method: "POST", Host: "shop.example.com", Body: "POST shop.example.com"}, ""},
		{ActiveHealth{Path: "/ready", Method: "HEAD"}, ""},
		{ActiveHealth{Path: "/moved"}, ""},
		{ActiveHealth{Path: "/moved", Statuses: []int{200, 204}}, "status 301"},
		{ActiveHealth{Path: "/other"}, "status 503"},
		{ActiveHealth{Path: "/other", Statuses: []int{503}}, ""},
	} {
		c.policy.Type = "http"
		check(t, ask(t, c.policy, at), c.want)
	}
}

// A node that is ill may say anything.
func TestAnHTTPProbeOfSomethingElseFails(t *testing.T) {
	for answer, want := range map[string]string{
		"": "ended before",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab": "",
		"SSH-2.0-OpenSSH\r\n":                            "h1:",
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = c.Read(make([]byte, 1000))
			_, _ = io.WriteString(c, answer)
		}()
		policy := ActiveHealth{Type: "http"}
		if want == "" {
			policy.Body, want = "abc", "h1:"
		}
		check(t, ask(t, policy, ln.Addr().String()), want)
		ln.Close()
		testnet.Receive(t, "the node to end", done)
	}
}

// It accepts, since the kernel does that, and then says nothing.
func TestAProbeOfANodeThatIsSilentEndsWithItsTime(t *testing.T) {
	o := startOrigin(t)
	policy := &ActiveHealth{Type: "http"}
	policy.setDefaults()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := probe(ctx, policy, target{addr: netip.MustParseAddrPort(o.address)}); err == nil {
		t.Error("good")
	}
}

func TestAGRPCProbeAsksTheHealthService(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	states := health.NewServer()
	states.SetServingStatus("up", grpc_health_v1.HealthCheckResponse_SERVING)
	states.SetServingStatus("down", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, states)
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	at := ln.Addr().String()
	check(t, ask(t, ActiveHealth{Type: "grpc"}, at), "")
	check(t, ask(t, ActiveHealth{Type: "grpc", Service: "up", Host: "shop.example.com"}, at), "")
	check(t, ask(t, ActiveHealth{Type: "grpc", Service: "down"}, at), errNotServing.Error())
	check(t, ask(t, ActiveHealth{Type: "grpc", Service: "unheard.of"}, at), "grpc-status 5 unknown service")
	server.Stop()
	if err := testnet.Receive(t, "the server to end", done); err != nil {
		t.Error(err)
	}
	check(t, ask(t, ActiveHealth{Type: "grpc"}, at), "refused")

	other := httptest.NewServer(http.NotFoundHandler()) // which answers HTTP/1.1
	defer other.Close()
	if err := ask(t, ActiveHealth{Type: "grpc"}, other.Listener.Addr().String()); err == nil {
		t.Error("a server without gRPC is good")
	}
}

// Padding and priority are part of frames that servers may send.
func TestPaddingAndPriorityAreTakenOff(t *testing.T) {
	for _, c := range []struct {
		kind, flags byte
		payload     string
		want        string
	}{
		{frameData, 0, "abc", "abc"},
		{frameData, flagPadded, "\x02abcxx", "abc"},
		{frameHeaders, flagPriority, "12345abc", "abc"},
		{frameHeaders, flagPriority | flagPadded, "\x0112345abcx", "abc"},
		{frameContinue, flagPadded, "abc", "abc"},
	} {
		if got, err := unpad(c.kind, c.flags, []byte(c.payload)); string(got) != c.want || err != nil {
			t.Errorf("%q: %q, %v", c.payload, got, err)
		}
	}
	for _, bad := range []string{"", "\x05ab", "\x001234"} {
		if got, err := unpad(frameHeaders, flagPadded|flagPriority, []byte(bad)); err == nil {
			t.Errorf("%q: %q", bad, got)
		}
	}
}
