package proxy

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"sluice/internal/testnet"
	"sluice/upstream"
)

// saying is a node that ends every call with a status: in an answer that is nothing but trailers, or behind a message.
func saying(t *testing.T, status string, trailersOnly bool) (addr string, asked *atomic.Int32) {
	asked = new(atomic.Int32)
	return originH2(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		h := w.Header()
		h.Set("Content-Type", "application/grpc")
		if !trailersOnly {
			_, _ = w.Write([]byte("\x00\x00\x00\x00\x00"))
			w.(http.Flusher).Flush()
			if status != "" {
				h.Set(http.TrailerPrefix+"Grpc-Status", status)
			}
			return
		}
		if status != "" {
			h.Set("Grpc-Status", status)
		}
	}), asked
}

// ejecting is a service that ejects a node after three failures.
var ejecting = withService(func(c *upstream.Config) {
	c.Health = &upstream.HealthConfig{Passive: &upstream.PassiveHealth{ConsecutiveFailures: 3}}
	c.Health.SetDefaults()
})

// Calls of gRPC fail with the HTTP status 200: the health of a node goes by their own, as Envoy's outlier detection maps it. Those that are the caller's fault say nothing of the node.
func TestStatusesOfCallsCountForTheHealthOfTheirNode(t *testing.T) {
	good, _ := saying(t, "0", false)
	for _, c := range []struct {
		status string
		fields []string
		out    bool
	}{
		{status: "14", out: true}, {status: "13", out: true}, {status: "2", out: true}, {status: "15", out: true}, {status: "4", out: true},
		{status: "", out: true}, {status: "99", out: true}, {status: "x", out: true},
		{status: "0"}, {status: "1"}, {status: "3"}, {status: "5"}, {status: "7"}, {status: "8"}, {status: "10"}, {status: "12"}, {status: "16"},
		{status: "4", fields: []string{"Grpc-Timeout: 1H"}},
	} {
		for _, only := range []bool{true, false} {
			t.Run(fmt.Sprintf("%q only %v %v", c.status, only, c.fields), func(t *testing.T) {
				bad, asked := saying(t, c.status, only)
				g := newGateway(t, []string{bad, good}, forGRPC(), ejecting)
				for range 12 {
					callGRPC(t, g.addr, c.fields...)
				}
				if c.out {
					testnet.Await(t, "the ejection", func() bool { return g.states()[bad] == "ejected" })
				}
				if n, want := asked.Load(), map[bool]int32{true: 3, false: 6}[c.out]; n != want {
					t.Errorf("the node was asked %d times of 12, want %d", n, want)
				}
			})
		}
	}
}

// A node that answers with UNAVAILABLE and nothing else is left for another one, also by a POST, which calls are; but only where the service asks for it.
func TestACallThatIsUnavailableIsMadeElsewhereIfTheServiceSaysSo(t *testing.T) {
	good, _ := saying(t, "0", false)
	for _, c := range []struct {
		name         string
		status       string
		trailersOnly bool
		on           []string
		failed       int // of six calls, of which three are first made to the bad node
	}{
		{"asked for", "14", true, []string{"unavailable"}, 0},
		{"not asked for", "14", true, []string{"connect", "reset", "503"}, 3},
		{"another status", "13", true, []string{"unavailable"}, 3},
		{"behind a message", "14", false, []string{"unavailable"}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad, _ := saying(t, c.status, c.trailersOnly)
			g := newGateway(t, []string{bad, good}, forGRPC(), withService(func(s *upstream.Config) { s.Retry.On = c.on }))
			failed := 0
			for range 6 {
				if status, _, _ := callGRPC(t, g.addr); status != "0" {
					failed++
				}
			}
			if failed != c.failed {
				t.Errorf("%d of 6 calls failed, want %d", failed, c.failed)
			}
		})
	}
	bad, _ := saying(t, "14", true)
	g := newGateway(t, []string{bad}, forGRPC(), withService(func(s *upstream.Config) { s.Retry.On = []string{"unavailable"} }))
	if status, message, _ := callGRPC(t, g.addr); status != "14" || message != "" {
		t.Errorf("with nobody else to ask: %s %q, want the node's own answer", status, message)
	}
}
