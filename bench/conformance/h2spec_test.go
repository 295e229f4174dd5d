package conformance

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/summerwind/h2spec"
	"github.com/summerwind/h2spec/config"
)

// everything is the suite's sections: the standard's, generic, and for the compression.
var everything = []string{"generic", "hpack", "http2"}

// onPlain leaves out http2/3.5/2: on a listener without TLS a connection that begins with something else than the preface speaks HTTP/1.1, and is answered in it. With TLS, where
// ALPN has agreed upon HTTP/2, that case is there.
var onPlain = []string{"generic", "hpack", "http2/3.5/1", "http2/4", "http2/5", "http2/6", "http2/7", "http2/8"}

func TestEveryCaseOfH2specPasses(t *testing.T) {
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(bytes.Repeat([]byte("body "), 20))
	}))
	defer node.Close()
	g := start(t)
	g.put(t, "services/s", `{"nodes":[{"upstream":"`+node.Listener.Addr().String()+`"}]}`)
	g.put(t, "routes/r", `{"prefix":"/*","service_name":"s"}`)
	chain, key := certificate(t)
	g.put(t, "certificates/c", certificateDocument(chain, key))
	for i, c := range []struct {
		name     string
		sections []string
		tls      bool
	}{{"plain", onPlain, false}, {"TLS", everything, true}} {
		t.Run(c.name, func(t *testing.T) {
			g.await(t, i)
			_, port, _ := net.SplitHostPort(g.listeners[i])
			n, _ := strconv.Atoi(port)
			passed, err := h2spec.Run(&config.Config{
				Host: "localhost", Port: n, Path: "/", Timeout: 2 * time.Second, MaxHeaderLen: 4000, Strict: true,
				TLS: c.tls, Insecure: true, Sections: c.sections,
			})
			if err != nil || !passed {
				t.Errorf("h2spec: passed %v, %v", passed, err)
			}
		})
	}
}
