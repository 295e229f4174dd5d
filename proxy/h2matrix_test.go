package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"sluice/internal/testcert"
	"sluice/upstream"
)

// wire is how two sides talk.
type wire struct {
	name       string
	http2, tls bool
}

var wires = []wire{{"h1", false, false}, {"h1 TLS", false, true}, {"h2c", true, false}, {"h2", true, true}}

// protocols returns net/http's for the wire, and nothing else.
func (w wire) protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(!w.http2)
	p.SetHTTP2(w.http2 && w.tls)
	p.SetUnencryptedHTTP2(w.http2 && !w.tls)
	return p
}

// node starts one that talks like that, and returns its address with what its service needs.
func (w wire) node(t *testing.T, h http.Handler) (string, option) {
	server := httptest.NewUnstartedServer(h)
	server.Config.Protocols = w.protocols()
	if w.tls {
		server.EnableHTTP2 = w.http2
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.Listener.Addr().String(), func(s *setup) {
		withService(func(c *upstream.Config) { c.HTTP2 = w.http2 })(s)
		if w.tls {
			withTLS(upstream.TLSConfig{InsecureSkipVerify: true})(s)
		}
	}
}

// client returns one that talks like that, and what comes before the address.
func (w wire) client(t *testing.T) (*http.Client, string) {
	tr := &http.Transport{Protocols: w.protocols(), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	scheme := "http://"
	if w.tls {
		scheme = "https://"
	}
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, scheme
}

// matrixNode answers in every way that a node may.
func matrixNode(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/echo":
		echo(w, r)
	case "/hints":
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		fmt.Fprint(w, "hinted")
	case "/trailers":
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.(http.Flusher).Flush()
		_, _ = io.Copy(w, r.Body)
		w.Header().Set(http.TrailerPrefix+"X-End", "end")
		w.Header().Set(http.TrailerPrefix+"X-Request-End", r.Trailer.Get("X-Begun-With")) // net/http keeps what was announced
	case "/204":
		w.WriteHeader(204)
	case "/304":
		w.Header().Set("Etag", `"x"`)
		w.WriteHeader(304)
	case "/abort":
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "begun")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	case "/early":
		w.WriteHeader(403)
	default:
		w.Header().Set("X-Seen", fmt.Sprintf("%s %s %s cookies=%d proto=%s", r.Method, r.URL, r.Host, len(r.Header["Cookie"]), r.Header.Get("X-Forwarded-Proto")))
		fmt.Fprint(w, "hello")
	}
}

// matrixCase is one thing that holds whatever the two sides speak.
type matrixCase struct {
	name string
	run  func(t *testing.T, c *http.Client, base string, secure bool)
}

func fetch(t *testing.T, c *http.Client, req *http.Request) (*http.Response, string, error) {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	return resp, string(body), err
}

func requestTo(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

var matrixCases = []matrixCase{
	{"a request and its answer", func(t *testing.T, c *http.Client, base string, secure bool) {
		req := requestTo(t, "GET", base+"/a/b?c=d%20e", nil)
		req.Header.Add("Cookie", "a=b; c=d")
		resp, body, err := fetch(t, c, req)
		proto := map[bool]string{false: "http", true: "https"}[secure]
		want := fmt.Sprintf("GET /a/b?c=d%%20e %s cookies=1 proto=%s", req.URL.Host, proto)
		if err != nil || resp.StatusCode != 200 || body != "hello" || resp.Header.Get("X-Seen") != want {
			t.Errorf("%v %q %v, want %q", err, body, resp, want)
		}
	}},
	{"bodies of every size", func(t *testing.T, c *http.Client, base string, _ bool) {
		for _, n := range []int{0, 1, 5000, 16384, 65535, 65536, 3 << 20} {
			for _, sized := range []bool{true, false} {
				want := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
				var r io.Reader = bytes.NewReader(want)
				if !sized {
					r = io.MultiReader(r)
				}
				if _, body, err := fetch(t, c, requestTo(t, "POST", base+"/echo", r)); err != nil || body != string(want) {
					t.Errorf("%d bytes, sized %v: %v, %d bytes", n, sized, err, len(body))
				}
			}
		}
	}},
	{"answers without a body", func(t *testing.T, c *http.Client, base string, _ bool) {
		for _, r := range []struct {
			method, path string
			status       int
		}{{"HEAD", "/", 200}, {"GET", "/204", 204}, {"GET", "/304", 304}} {
			if resp, body, err := fetch(t, c, requestTo(t, r.method, base+r.path, nil)); err != nil || resp.StatusCode != r.status || body != "" {
				t.Errorf("%s %s: %v %d %q", r.method, r.path, err, resp.StatusCode, body)
			}
		}
	}},
	{"trailers and hints", func(t *testing.T, c *http.Client, base string, _ bool) {
		req := requestTo(t, "POST", base+"/trailers", io.MultiReader(strings.NewReader("body"))) // whose length nobody sees
		req.Trailer = http.Header{"X-Begun-With": {"a body"}}
		resp, body, err := fetch(t, c, req)
		if err != nil || body != "body" || resp.Trailer.Get("X-End") != "end" || resp.Trailer.Get("X-Request-End") != "a body" {
			t.Errorf("%v %q %v", err, body, resp.Trailer)
		}
		req = requestTo(t, "GET", base+"/hints", nil)
		hinted := ""
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				hinted = fmt.Sprint(code, h.Get("Link"))
				return nil
			},
		}))
		if _, body, err := fetch(t, c, req); err != nil || body != "hinted" || hinted != "103</style.css>" {
			t.Errorf("%v %q %q", err, body, hinted)
		}
	}},
	{"errors", func(t *testing.T, c *http.Client, base string, _ bool) {
		if resp, body, _ := fetch(t, c, requestTo(t, "GET", base+"/%2e%2e/x", nil)); resp.StatusCode != 400 || !strings.Contains(body, "bad_request") {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		if resp, _, _ := fetch(t, c, requestTo(t, "POST", base+"/early", bytes.NewReader(make([]byte, 4<<20)))); resp.StatusCode != 403 {
			t.Errorf("an early answer: %d", resp.StatusCode)
		}
		if resp, body, err := fetch(t, c, requestTo(t, "GET", base+"/abort", nil)); err == nil || resp.StatusCode != 200 || body != "begun" {
			t.Errorf("an answer that is cut: %v %d %q", err, resp.StatusCode, body)
		}
	}},
	{"many at once", func(t *testing.T, c *http.Client, base string, _ bool) {
		var running sync.WaitGroup
		for i := range 30 {
			running.Go(func() {
				want := strings.Repeat(fmt.Sprint(i, " "), i*500)
				resp, err := c.Post(base+"/echo", "text/plain", strings.NewReader(want))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(body) != want {
					t.Errorf("%d: %v, %d bytes of %d", i, err, len(body), len(want))
				}
			})
		}
		running.Wait()
	}},
}

// Every case holds for {h1, h2} × {plain, TLS} on both sides.
func TestEveryPairOfProtocolsTranslates(t *testing.T) {
	pair := testcert.NewAuthority(t).Issue("gateway.test")
	for _, down := range wires {
		for _, up := range wires {
			t.Run(down.name+" to "+up.name, func(t *testing.T) {
				node, service := up.node(t, http.HandlerFunc(matrixNode))
				options := []option{service}
				if down.tls {
					options = append(options, withCertificates(certificate("mode", pair, "*")))
				}
				g := newGateway(t, []string{node}, options...)
				client, scheme := down.client(t)
				for _, c := range matrixCases {
					t.Run(c.name, func(t *testing.T) { c.run(t, client, scheme+g.addr, down.tls) })
				}
			})
		}
	}
}

// A client that gives its stream up is heard of at the node, whatever that speaks.
func TestCancellationPassesBothProtocols(t *testing.T) {
	pair := testcert.NewAuthority(t).Issue("gateway.test")
	for _, down := range wires[2:] { // one of HTTP/1.1 that ends its side may still wait for its answer
		for _, up := range wires {
			t.Run(down.name+" to "+up.name, func(t *testing.T) {
				left := make(chan struct{})
				node, service := up.node(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.(http.Flusher).Flush()
					<-r.Context().Done()
					close(left)
				}))
				options := []option{service}
				if down.tls {
					options = append(options, withCertificates(certificate("mode", pair, "*")))
				}
				g := newGateway(t, []string{node}, options...)
				client, scheme := down.client(t)
				ctx, cancel := context.WithCancel(context.Background())
				resp, err := client.Do(requestTo(t, "GET", scheme+g.addr+"/", nil).WithContext(ctx))
				if err != nil {
					t.Fatal(err)
				}
				cancel()
				if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				resp.Body.Close()
				<-left
			})
		}
	}
}
