package proxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sluice/internal/testnet"
)

const (
	askUpgrade = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
	switched   = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n"
)

// openTunnel asks for an upgrade and returns the connection and a reader behind the 101's head.
func openTunnel(t *testing.T, addr string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(testnet.Patience))
	if _, err := io.WriteString(c, askUpgrade); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		b, err := r.ReadByte()
		if err != nil {
			t.Fatalf("%v after %q", err, head.String())
		}
		head.WriteByte(b)
	}
	accept := "y"
	if mode.down.http2 { // it is made in front of the gateway
		accept = string(acceptOf([]byte("x")))
	}
	want := "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	if head.String() != want {
		t.Fatalf("got %q, want %q", head.String(), want)
	}
	return c.(*net.TCPConn), r
}

// RFC 9110 §7.8: the wish goes to the node, and after its 101 bytes pass both ways; what it sends right behind the head is not lost.
func TestAnUpgradeBecomesATunnel(t *testing.T) {
	asked := make(chan string, 1)
	n := newNode(t, func(c *nodeConn) {
		asked <- c.head()
		c.write(switched + "hello")
		_, _ = io.Copy(c.TCPConn, c.r)
	})
	g := newGateway(t, []string{n.addr}, withLog())
	c, r := openTunnel(t, g.addr)
	if head := <-asked; !strings.Contains(head, "\r\nConnection: Upgrade\r\n") || !strings.Contains(head, "\r\nUpgrade: websocket\r\n") {
		t.Errorf("the node was asked %q", head)
	}
	if _, err := io.WriteString(c, " echo"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("hello echo"))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "hello echo" {
		t.Fatalf("%q, %v", got, err)
	}
	// Half-close: our end reaches the node, whose own end then reaches us.
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
	if l := g.logged(t, 1)[0]; l.Status != 101 || l.Flag != "" || l.BytesIn != len(" echo") || l.BytesOut != len("hello echo") || l.Node == "" {
		t.Errorf("logged %+v", l)
	}
	if opened, open := g.metric(t, "sluice_tunnels_total"), g.metric(t, "sluice_tunnels"); opened != 1 || open != 0 {
		t.Errorf("%v tunnels were opened, %v are open", opened, open)
	}
}

func TestANodeMayEndItsSideOfATunnelFirst(t *testing.T) {
	received := make(chan string, 1)
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write(switched + "bye")
		_ = c.CloseWrite()
		rest, _ := io.ReadAll(c.r)
		received <- string(rest)
	})
	g := newGateway(t, []string{n.addr})
	c, r := openTunnel(t, g.addr)
	if got, err := io.ReadAll(r); err != nil || string(got) != "bye" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := io.WriteString(c, "last words"); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	if got := <-received; got != "last words" {
		t.Errorf("the node received %q", got)
	}
}

// A slow reader slows the sender, and nothing is lost or out of order.
func TestATunnelKeepsBytesUnderBackPressure(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write(switched)
		_, _ = io.Copy(c.TCPConn, c.r)
		_ = c.CloseWrite()
	})
	g := newGateway(t, []string{n.addr})
	c, r := openTunnel(t, g.addr)
	data := bytes.Repeat([]byte("0123456789abcde\n"), bulk(1<<20))
	go func() {
		_, _ = c.Write(data)
		_ = c.CloseWrite()
	}()
	sum := sha256.New()
	total, err := io.Copy(sum, r)
	if want := sha256.Sum256(data); err != nil || total != int64(len(data)) || !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Errorf("%d bytes of %d, %v", total, len(data), err)
	}
}

func TestATunnelOutlivesAChangeOfRoutes(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		c.head()
		c.write(switched)
		_, _ = io.Copy(c.TCPConn, c.r)
	})
	g := newGateway(t, []string{n.addr})
	c, r := openTunnel(t, g.addr)
	empty := *g.Snapshot()
	empty.Routes = empty.Routes.Without("all")
	g.Publish(&empty)
	g.registry.Update("s", nil, nil)
	if _, err := io.WriteString(c, "still here"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("still here"))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "still here" {
		t.Errorf("%q, %v", got, err)
	}
}

// h2c behind a gateway would carry requests past every route; two protocols, a body or HTTP/1.0 make the wish doubtful. The request
// goes on without it.
func TestSomeUpgradesAreNotForwarded(t *testing.T) {
	heads := make(chan string, 1)
	n := newNode(t, func(c *nodeConn) {
		for head := c.head(); head != ""; head = c.head() {
			heads <- head
			c.write(ok)
		}
	})
	g := newGateway(t, []string{n.addr})
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUpgrade: websocket\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	} {
		answer := exchangeRaw(t, g.addr, request)
		head := <-heads
		if !strings.HasPrefix(answer, "HTTP/1.1 200 ") || strings.Contains(strings.ToLower(head), "upgrade") || strings.Contains(head, "HTTP2-Settings") {
			t.Errorf("%q: answer %.20q, the node was asked %q", request, answer, head)
		}
	}
}

// A node that refuses to switch answers as ever, and the connection goes on.
func TestARefusedUpgradeIsAnOrdinaryAnswer(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr})
	answer := exchangeRaw(t, g.addr, askUpgrade+"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if strings.Count(answer, "HTTP/1.1 200 OK\r\n") != 2 {
		t.Errorf("got %q", answer)
	}
}
