package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/codec"
	"sluice/plugin"
)

// shouting is a plugin that makes bodies of upper case, and adds its mark at their ends.
type shouting struct{ mark string }

func (s *shouting) RequestHead(x plugin.Exchange) plugin.Verdict {
	x.Request().Header.RemoveID(codec.FieldContentLength)
	x.Request().Framing = codec.Framing{Kind: codec.BodyStream}
	x.Transform(&shout{mark: s.mark})
	return plugin.Verdict{}
}

type shout struct{ mark string }

func (s *shout) RequestBody(dst, p []byte, end bool) ([]byte, error) {
	if bytes.Contains(p, []byte("refuse me")) {
		return dst, errors.New("refused")
	}
	dst = append(dst, bytes.ToUpper(p)...)
	if end {
		dst = append(dst, s.mark...)
	}
	return dst, nil
}

func (s *shout) ResponseHead(x plugin.Exchange) { x.Response().Header.Add("X-Mark", []byte(s.mark)) }

func (s *shout) ResponseBody(dst, p []byte) []byte {
	return append(dst, bytes.ToUpper(p)...)
}

func (s *shout) ResponseEnd(dst []byte, t *codec.Header) ([]byte, *codec.Header) {
	return append(dst, s.mark...), t
}

// plugin.Transformer: on the request the first plugin is nearest to the client, on the response the other way round.
func TestBodiesPassThroughTransformers(t *testing.T) {
	node := origin(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "got %s", body)
	})
	g := newGateway(t, []string{node}, withPlugin(2, &shouting{"<a>"}), withPlugin(1, &shouting{"<b>"}))
	for name, client := range map[string]*http.Client{"h1": {Transport: &http.Transport{}}, "h2": h2cClient(t)} {
		resp, err := client.Post("http://"+g.addr+"/", "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		client.CloseIdleConnections()
		if want := "GOT HELLO<A><B><B><A>"; err != nil || strings.ToUpper(string(body)) != want || resp.Header.Values("X-Mark")[0] != "<b>" {
			t.Errorf("%s: %v %q %v", name, err, body, resp.Header)
		}
	}
}

// holding is a transformer that gives nothing away before the end.
type holding struct{ shout }

type held struct {
	shout
	all []byte
}

func (h *holding) RequestHead(x plugin.Exchange) plugin.Verdict {
	x.Transform(&held{})
	return plugin.Verdict{}
}

func (h *held) ResponseBody(dst, p []byte) []byte {
	h.all = append(h.all, p...)
	return dst
}

func (h *held) ResponseEnd(dst []byte, t *codec.Header) ([]byte, *codec.Header) {
	return append(dst, h.all...), t
}

// RFC 9112 §7.1: a chunk of nothing is the last one, and what follows it would be taken for the next answer.
func TestATransformerThatHoldsBackDoesNotEndTheBody(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		for c.head() != "" {
			c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
			c.write("2\r\ncd\r\n0\r\n\r\n")
		}
	})
	g := newGateway(t, []string{n.addr}, withPlugin(1, &holding{}))
	b := g.connect(t)
	for range 3 {
		b.wantGet("abcd")
	}
}

func TestABodyThatATransformerRefusesIs400(t *testing.T) {
	node := origin(t, echo)
	g := newGateway(t, []string{node}, withPlugin(1, &shouting{""}))
	answer := exchangeRaw(t, g.addr, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9\r\n\r\nrefuse me")
	if !strings.HasPrefix(answer, "HTTP/1.1 400 ") {
		t.Error(answer)
	}
}
