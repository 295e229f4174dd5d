package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/control"
	"sluice/internal/testnet"
)

// A client of HTTP/2 keeps its connection through every change: routes, nodes that come and go, and settings are in force for its next stream, and no request fails. At the end of
// the process what is under way is answered.
func TestAConnectionOfHTTP2SeesEveryChangeAndADrainEndsIt(t *testing.T) {
	g := startTest(t, nil)
	a, b := startOrigin(t, "a"), startOrigin(t, "b")
	address := g.server.Addrs()[0].String()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: transport}
	defer transport.CloseIdleConnections()
	ask := func(path, body string) (int, string) {
		resp, err := client.Post("http://"+address+path, "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.ProtoMajor != 2 {
			t.Fatalf("%s: %v over %s", path, err, resp.Proto)
		}
		return resp.StatusCode, string(text)
	}
	put := func(path, body string) {
		t.Helper()
		if status, text := g.call(t, "PUT", path, body); status/100 != 2 {
			t.Fatalf("%s: %d %s", path, status, text)
		}
	}
	node := func(upstream string, weight int) {
		put("/v1/nodes/"+control.NodeID("s", upstream), fmt.Sprintf(`{"service_name":"s","upstream":%q,"weight":%d,"status":1}`, upstream, weight))
	}
	from := func(name string) func() bool {
		return func() bool {
			status, body := ask("/x/1", "")
			return status == 200 && strings.Contains(body, `"origin": "`+name+`"`)
		}
	}

	if status, _ := ask("/x/1", ""); status != 404 {
		t.Errorf("before the route: %d", status)
	}
	node(a.Addr(), 1)
	put("/v1/routes/x", `{"prefix":"/x/*","service_name":"s"}`)
	eventually(t, "the route and its node are in force", from("a"))
	crowds := []*crowd{gatherHTTP2(address, "/x/1", 4, nil), gather(address, "/x/1", 2, nil)}
	node(b.Addr(), 1)
	eventually(t, "the second node is asked", from("b"))
	node(a.Addr(), 0)
	for range 3 { // whoever was to be asked next
		eventually(t, "the first node is drained", from("b"))
	}
	if status, text := g.call(t, "DELETE", "/v1/nodes/"+control.NodeID("s", a.Addr()), ""); status/100 != 2 {
		t.Fatalf("%d %s", status, text)
	}
	put("/v1/settings/limits", `{"body":"10B"}`)
	eventually(t, "the limit is in force", func() bool { status, _ := ask("/x/1", "more than ten bytes"); return status == 413 })
	for _, c := range crowds {
		c.disperse(t)
	}

	asked, answered := make(chan struct{}), make(chan string, 1)
	go func() {
		resp, err := client.Post("http://"+address+"/x/stream?n=5&interval=50ms", "text/plain", http.NoBody)
		close(asked) // its head is there, and of its body a fifth
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		lines, err := io.ReadAll(resp.Body)
		answered <- fmt.Sprint(resp.StatusCode, " ", strings.Count(string(lines), "\n"), " ", err)
	}()
	testnet.Receive(t, "the head", asked)
	g.stop(context.Background(), nil)
	if got := testnet.Receive(t, "the answer", answered); got != "200 5 <nil>" {
		t.Errorf("under way in the drain: %s", got)
	}
}
