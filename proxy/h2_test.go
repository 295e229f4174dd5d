package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"sluice/internal/testnet"
)

// h2cClient is a client that speaks HTTP/2 by prior knowledge.
func h2cClient(t testing.TB) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestARequestOfHTTP2IsForwardedAndAnswered(t *testing.T) {
	node := origin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-End")
		fmt.Fprintf(w, "%s %s %s host=%s xff=%s cookie=%s", r.Proto, r.Method, r.URL, r.Host, r.Header.Get("X-Forwarded-For"), r.Header["Cookie"])
		w.Header().Set("X-End", "yes")
	})
	g := newGateway(t, []string{node}, withLog())
	req, _ := http.NewRequestWithContext(context.Background(), "GET", "http://"+g.addr+"/a/b?c=d", nil)
	req.Header.Add("Cookie", "a=b")
	req.Header.Add("Cookie", "c=d")
	resp, err := h2cClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	want := "HTTP/1.1 GET /a/b?c=d host=" + g.addr + " xff=127.0.0.1 cookie=[a=b; c=d]"
	if err != nil || string(body) != want || resp.ProtoMajor != 2 || resp.Trailer.Get("X-End") != "yes" {
		t.Errorf("%v %s %v %q", err, resp.Proto, resp.Trailer, body)
	}
	if line := g.logged(t, 1)[0]; line.Protocol != "HTTP/2.0" || line.Status != 200 {
		t.Errorf("logged %+v", line)
	}
}

// echoes begins that many requests on one connection of HTTP/2, whose bodies are to come back as they are.
func (g *gateway) echoes(t *testing.T, n int) *sync.WaitGroup {
	client := h2cClient(t)
	running := new(sync.WaitGroup)
	for i := range n {
		running.Go(func() {
			body := bytes.Repeat([]byte{byte('a' + i%26)}, i*7919)
			resp, err := client.Post("http://"+g.addr+"/", "text/plain", bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d: %v, %d bytes of %d", i, err, len(got), len(body))
			}
		})
	}
	return running
}

func TestManyRequestsShareAConnectionOfHTTP2(t *testing.T) {
	node := origin(t, echo)
	g := newGateway(t, []string{node})
	g.echoes(t, 50).Wait()
	if n := g.openConns(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestLargeBodiesPassOverHTTP2BothWays(t *testing.T) {
	node := origin(t, echo)
	g := newGateway(t, []string{node})
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20/16*20)
	resp, err := h2cClient(t).Post("http://"+g.addr+"/", "text/plain", io.MultiReader(bytes.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%v, %d bytes of %d", err, len(got), len(body))
	}
}

func TestErrorsOverHTTP2AreTheContracts(t *testing.T) {
	g := newGateway(t, []string{testnet.Reserve(t)}, withLimits(func(c *LimitsConfig) { c.Body = 1000 }))
	client := h2cClient(t)
	for _, c := range []struct {
		path, code string
		body       string
		status     int
	}{
		{"/", "upstream_connect", "", 502},
		{"/%2e%2e/x", "bad_request", "", 400},
		{"/" + strings.Repeat("a", 9000), "uri_too_long", "", 414},
		{"/", "too_large", strings.Repeat("x", 1001), 413},
	} {
		resp, err := client.Post("http://"+g.addr+c.path, "text/plain", strings.NewReader(c.body))
		if err != nil {
			t.Errorf("%s: %v", c.code, err)
			continue
		}
		got, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || !strings.Contains(string(got), `"code":"`+c.code+`"`) || resp.Header.Get("Server") != "sluice" {
			t.Errorf("%s: %d %s", c.code, resp.StatusCode, got)
		}
	}
}

// The first bytes tell the protocols apart, however they are cut.
func TestThePrefaceIsToldFromHTTP1(t *testing.T) {
	node := origin(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Method) })
	g := newGateway(t, []string{node})
	if got := exchangeRaw(t, g.addr, "PRINT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(got, "PRINT") {
		t.Error(got)
	}
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, b := range []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00") {
		_, _ = c.Write([]byte{b})
	}
	head := make([]byte, 9)
	if _, err := io.ReadFull(c, head); err != nil || head[3] != 4 {
		t.Errorf("%v %x", err, head)
	}
}

// RFC 9113 §6.5.3: settings are acknowledged at once, before what they let through.
func TestSettingsAreAcknowledgedBeforeWhatTheyLetThrough(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr})
	p := g.dialH2(t)
	p.say([]byte(frameH2(4, 0, 0, "\x00\x04\x00\x00\x00\x00"))) // no window
	p.ask("GET", "/", true)
	p.hears("1: 200")
	g.await(t, "the body to wait", func(w *worker) bool { return w.firstH2().behind == 1 })
	p.say([]byte(frameH2(4, 0, 0, "\x00\x04\x00\x00\x00\x01"))) // of one byte
	head := make([]byte, 9)
	if _, err := io.ReadFull(p, head); err != nil || string(head) != frameH2(4, 1, 0, "") {
		t.Errorf("%v %x, want an acknowledgement", err, head)
	}
	if _, err := io.ReadFull(p, head); err != nil || string(head) != frameH2(0, 0, 1, "o")[:9] {
		t.Errorf("%v %x, want a byte of data", err, head)
	}
}
