package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// pipelined answers whatever comes with the same bytes, as often as there are requests.
func pipelined(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 64<<10)
				var tail string
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					text := tail + string(buf[:n])
					whole := strings.Count(text, "\r\n\r\n")
					tail = text[strings.LastIndex("\r\n\r\n"+text, "\r\n\r\n"):]
					if _, err := io.WriteString(c, strings.Repeat(answer, whole)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestPipelinedAnswersAreCountedEach(t *testing.T) {
	host := pipelined(t, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nX: y\r\n\r\nabc")
	l, err := runPipeline(t.Context(), host, "/x", job{connections: 2, pipeline: 16, size: 3}, 30*time.Millisecond)
	if err != nil || l.Requests == 0 || l.Requests%16 != 0 || len(l.Errors) != 0 || l.P50 <= 0 || l.P999 < l.P50 {
		t.Errorf("%+v %v", l, err)
	}
}

// An answer with another status, or another length, or of which a part is missing, counts for nothing.
func TestAWrongAnswerInABatchIsAnError(t *testing.T) {
	for name, answer := range map[string]string{
		"HTTP/1.1 503": "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nabc",
		"4 bytes":      "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd",
		"-1 bytes":     "HTTP/1.1 200 OK\r\n\r\n",
		"soon":         "HTTP/1.1 200 OK\r\nContent-Length: soon\r\n\r\n",
	} {
		l, err := runPipeline(t.Context(), pipelined(t, answer), "/x", job{connections: 1, pipeline: 2, size: 3}, 30*time.Millisecond)
		if err == nil || !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("%s: %+v %v", name, l, err)
		}
	}
}
