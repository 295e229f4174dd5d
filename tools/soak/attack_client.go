package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What clients do that keep to no rule.

const (
	fewer       = 200 // connections of an attack that costs more than a few bytes each
	hugeClients = 16  // connections that send a megabyte each
	manyFields  = 100_000
	deafClients = 64
	pipelined   = 4_000 // requests of one pipeline
)

// reply reads an answer that must be of the gateway itself, and the end of the connection.
func reply(c net.Conn, status int, code string) error {
	if err := c.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	br := bufio.NewReader(c)
	a, err := readAnswer(br)
	if err != nil {
		return err
	}
	if err := mustBe(a, status, code); err != nil {
		return err
	}
	return ended(br)
}

// ended returns nil when nothing more comes and the connection is over.
func ended(r io.Reader) error {
	n, err := r.Read(make([]byte, 512))
	switch {
	case n > 0:
		return fmt.Errorf("%d bytes more came behind the answer", n)
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return nil
	}
	return fmt.Errorf("the connection is not closed: %w", err)
}

// slowHeads sends a byte a second of a head that would never end.
func slowHeads(ctx context.Context, a *attacker) (string, error) {
	return a.each(ctx, a.size.crowd, func(c net.Conn, _ int) error {
		head := "GET /abuse/echo HTTP/1.1\r\nHost: soak.test\r\nX-Slow: " + strings.Repeat("z", 1000)
		deadline := time.Now().Add(a.size.patience + 20*time.Second)
		br := bufio.NewReader(c)
		for sent := 0; sent < len(head) && time.Now().Before(deadline); sent++ {
			// A write to a connection that was closed meanwhile fails, and what was answered before is still there to be read.
			_, _ = io.WriteString(c, head[sent:sent+1])
			if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				return err
			}
			if _, err := br.Peek(1); err != nil && isTimeout(err) {
				continue
			}
			answer, err := readAnswer(br)
			if err != nil {
				return err
			}
			return mustBe(answer, 408, "request_timeout")
		}
		return errors.New("the gateway still waits for the head")
	})
}

// stoppedBodies sends a head and ten bytes of a body, and then nothing.
func stoppedBodies(ctx context.Context, a *attacker) (string, error) {
	return a.each(ctx, min(fewer, a.size.crowd), func(c net.Conn, i int) error {
		framing := "Content-Length: 1000\r\n\r\n0123456789"
		if i%2 == 0 {
			framing = "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"
		}
		if _, err := io.WriteString(c, "POST /abuse/echo HTTP/1.1\r\nHost: soak.test\r\n"+framing); err != nil {
			return err
		}
		return reply(c, 408, "request_timeout")
	})
}

// silentConnections connects and says nothing.
func silentConnections(ctx context.Context, a *attacker) (string, error) {
	return a.each(ctx, a.size.crowd, func(c net.Conn, _ int) error {
		if err := c.SetReadDeadline(time.Now().Add(a.size.patience + 20*time.Second)); err != nil {
			return err
		}
		br := bufio.NewReader(c)
		switch answer, err := readAnswer(br); {
		case errors.Is(err, errNothing):
			return nil
		case err != nil:
			return err
		default:
			return mustBe(answer, 408, "request_timeout")
		}
	})
}

// connectionStorm opens connections and leaves at once, by turns in order and with a reset, some in the middle of a head.
func connectionStorm(ctx context.Context, a *attacker) (string, error) {
	good, err := a.crowd(ctx, a.size.crowd, func(c net.Conn, i int) error {
		if i%4 == 0 {
			_, _ = io.WriteString(c, "GET /abuse/echo HT") // it may be too late already
		}
		if i%2 == 0 {
			reset(c)
		}
		return nil
	})
	if err == nil {
		err = a.awaitFewClients(ctx)
	}
	return fmt.Sprintf("%d of %d", good, a.size.crowd), err
}

// awaitFewClients waits until the gateway has no clients but the bystanders.
func (a *attacker) awaitFewClients(ctx context.Context) error {
	left := 0
	err := a.gateway.awaitFor(ctx, a.size.patience+20*time.Second, "clients to be gone", func() bool {
		m, err := a.gateway.scrape(ctx)
		left = int(m[downstreamOpen])
		return err == nil && left <= len(a.bystands)
	})
	if err != nil {
		return fmt.Errorf("%w: %d connections are left", err, left)
	}
	return nil
}

// sendAnd writes a request that the gateway will not read to its end, and expects an answer meanwhile.
func (a *attacker) sendAnd(ctx context.Context, request string, status int, code string) (string, error) {
	return a.each(ctx, min(hugeClients, a.size.crowd), func(c net.Conn, _ int) error {
		written := make(chan struct{})
		go func() {
			defer close(written)
			_, _ = io.WriteString(c, request) // it is cut off: that is the point
		}()
		err := reply(c, status, code)
		_ = c.Close()
		<-written
		return err
	})
}

func hugeHeads(ctx context.Context, a *attacker) (string, error) {
	var b strings.Builder
	b.WriteString("GET /abuse/echo HTTP/1.1\r\nHost: soak.test\r\n")
	for i := range manyFields {
		fmt.Fprintf(&b, "X-%d: %d\r\n", i, i)
	}
	b.WriteString("\r\n")
	return a.sendAnd(ctx, b.String(), 431, "headers_too_large")
}

func hugeHeaderLines(ctx context.Context, a *attacker) (string, error) {
	line := "X-Huge: " + strings.Repeat("h", 1<<20)
	return a.sendAnd(ctx, "GET /abuse/echo HTTP/1.1\r\nHost: soak.test\r\n"+line+"\r\n\r\n", 431, "headers_too_large")
}

func hugeRequestLines(ctx context.Context, a *attacker) (string, error) {
	return a.sendAnd(ctx, "GET /abuse/echo?"+strings.Repeat("u", 1<<20)+" HTTP/1.1\r\nHost: soak.test\r\n\r\n", 414, "uri_too_long")
}

// pipelines sends thousands of requests at once, and reads the answers while it sends.
func pipelines(ctx context.Context, a *attacker) (string, error) {
	ask := func(i int) *question {
		return &question{path: "/abuse/echo", id: fmt.Sprintf("pipe%d", i), body: []byte(strings.Repeat("p", i%50)), chunked: i%3 == 0}
	}
	var all []byte
	for i := range pipelined {
		all = ask(i).append(all)
	}
	return a.each(ctx, 4, func(c net.Conn, _ int) error {
		if err := c.SetDeadline(time.Now().Add(answerTime)); err != nil {
			return err
		}
		written := make(chan error, 1)
		go func() {
			_, err := c.Write(all)
			written <- err
		}()
		br := bufio.NewReader(c)
		for i := range pipelined {
			answer, err := readAnswer(br)
			if err == nil && answer.status != http.StatusOK {
				err = fmt.Errorf("status %d: %.200s", answer.status, answer.body)
			}
			if err == nil {
				err = ask(i).check(answer)
			}
			if err != nil {
				_ = c.Close()
				<-written
				return fmt.Errorf("answer %d: %w", i, err)
			}
		}
		return <-written
	})
}

// deafDownloads asks for more than all buffers hold, and reads nothing of it.
func deafDownloads(ctx context.Context, a *attacker) (string, error) {
	return a.deaf(ctx, "GET /abuse/pattern?size=67108864 HTTP/1.1\r\nHost: soak.test\r\n\r\n")
}

// deafPipelines asks for very much in small answers, and reads none of them.
func deafPipelines(ctx context.Context, a *attacker) (string, error) {
	return a.deaf(ctx, strings.Repeat("GET /abuse/pattern?size=10000 HTTP/1.1\r\nHost: soak.test\r\n\r\n", pipelined))
}

// deaf sends the request on connections with small buffers, reads nothing, and expects the gateway to give them up.
func (a *attacker) deaf(ctx context.Context, request string) (string, error) {
	var conns []net.Conn
	defer func() { closeAll(conns) }()
	n := min(deafClients, a.size.crowd)
	for range n {
		c, err := a.dialer.dial(ctx)
		if err != nil {
			return "", err
		}
		conns = append(conns, c)
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetReadBuffer(4 << 10) // only to make it sooner
		}
	}
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			// A pipeline is not taken to its end by a gateway that waits for its answers to be read.
			_ = c.SetWriteDeadline(time.Now().Add(a.size.patience))
			_, _ = io.WriteString(c, request)
		})
	}
	wg.Wait()
	return fmt.Sprint(n), a.awaitFewClients(ctx)
}
