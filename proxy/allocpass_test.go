package proxy

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"testing"
	"time"

	"sluice/internal/testnet"
)

// A megabyte that passes allocates nothing, whichever way.
func TestABodyThatPassesAllocatesNothing(t *testing.T) {
	const size = 1 << 20
	for name, request := range map[string]string{
		"answer":  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"request": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + strconv.Itoa(size) + "\r\n\r\n" + theBody(size),
	} {
		t.Run(name, func(t *testing.T) {
			answer := []byte(ok)
			if name == "answer" {
				answer = []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size+2, theBody(size)) + "ok")
			}
			sent := []byte(request)
			n := newNode(t, func(c *nodeConn) {
				buf, end := make([]byte, 2*size), sent[len(sent)-4:]
				for n := 0; ; {
					m, err := c.TCPConn.Read(buf[n:])
					if err != nil {
						return
					}
					if n += m; n < len(sent) || !bytes.HasSuffix(buf[:n], end) {
						continue
					}
					n = 0
					if _, err := c.TCPConn.Write(answer); err != nil {
						return
					}
				}
			})
			g := newGateway(t, []string{n.addr})
			c, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(testnet.Patience))
			buf := make([]byte, 2*size)
			do := func() {
				if _, err := c.Write(sent); err != nil {
					t.Fatal(err)
				}
				for n := 0; !bytes.HasSuffix(buf[:n], []byte("ok")) || n < len(answer); {
					m, err := c.Read(buf[n:])
					if err != nil {
						t.Fatal(err)
					}
					n += m
				}
			}
			const warm, requests = 20, 100
			var before, after runtime.MemStats
			for i := range warm + requests {
				if i == warm {
					runtime.ReadMemStats(&before)
				}
				do()
			}
			runtime.ReadMemStats(&after)
			if per := float64(after.Mallocs-before.Mallocs) / requests; per >= 0.5 {
				t.Errorf("%.2f allocations for a body", per)
			}
			if g.passed() == 0 {
				t.Error("nothing has passed")
			}
		})
	}
}
