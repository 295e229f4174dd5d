package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"sluice/internal/network"
)

// perSource is how many connections one source address opens before the next has its turn: a third of the ports that it has.
const perSource = 8_000

// dialer opens connections to one address from 127.0.0.2 on. Any goroutine may use it.
type dialer struct {
	addr   string
	opened atomic.Int64
}

// dial opens a connection.
func (d *dialer) dial(ctx context.Context) (net.Conn, error) {
	n := d.opened.Add(1) - 1
	return network.From(net.IPv4(127, 0, 0, byte(2+n/perSource%250))).DialContext(ctx, "tcp", d.addr)
}

// question is one request whose answer can be told from every other: the origin says which id it had, what it counted over the body, and sends the body back.
type question struct {
	path    string
	id      string
	body    []byte
	chunked bool // the request's body goes in chunks
}

// newQuestion draws a question with a body of up to most bytes, from 0 on.
func newQuestion(rng *rand.Rand, path, id string, most int) *question {
	q := &question{path: path, id: id, chunked: rng.IntN(3) == 0}
	if rng.IntN(3) == 0 {
		q.path += "?chunked=1" // the answer's body comes in chunks
	}
	q.body = make([]byte, rng.IntN(most+1))
	for i := range q.body {
		q.body[i] = byte(rng.Uint32())
	}
	return q
}

// append appends the request as it goes over the wire.
func (q *question) append(b []byte) []byte {
	method := "POST"
	if len(q.body) == 0 {
		method = "GET"
	}
	b = fmt.Appendf(b, "%s %s HTTP/1.1\r\nHost: soak.test\r\nX-Soak-Id: %s\r\n", method, q.path, q.id)
	switch {
	case len(q.body) == 0:
		return append(b, "\r\n"...)
	case q.chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n\r\n"...)
		return appendChunks(b, q.body)
	}
	b = fmt.Appendf(b, "Content-Length: %d\r\n\r\n", len(q.body))
	return append(b, q.body...)
}

// appendChunks appends body in three chunks at most, and the last one.
func appendChunks(b, body []byte) []byte {
	for len(body) > 0 {
		n := max(1, (len(body)+1)/2)
		if len(body) < 64 {
			n = len(body)
		}
		b = fmt.Appendf(b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return append(b, "0\r\n\r\n"...)
}

// check tells what is wrong with a 200 as the answer to this question.
func (q *question) check(a *answer) error {
	want := strconv.FormatUint(uint64(crc32.ChecksumIEEE(q.body)), 16)
	switch {
	case a.header.Get("X-Soak-Id") != q.id:
		return fmt.Errorf("crossed: the answer to %q came to %q", a.header.Get("X-Soak-Id"), q.id)
	case a.header.Get("X-Soak-Sum") != want:
		return fmt.Errorf("request %s: the origin got other bytes than were sent (checksum %s, not %s)", q.id, a.header.Get("X-Soak-Sum"), want)
	case !bytes.Equal(a.body, q.body):
		return fmt.Errorf("request %s: %d bytes came back of %d, or others", q.id, len(a.body), len(q.body))
	}
	return nil
}

// answer is a final response, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	close  bool // the connection does not outlive it
}

var (
	errNothing = errors.New("the connection ended without a byte of an answer")
	errCut     = errors.New("the answer was cut")
)

// readAnswer reads the next final response. An error is errNothing or errCut, or one that is neither: a timeout, nonsense.
func readAnswer(br *bufio.Reader) (*answer, error) {
	if _, err := br.Peek(1); err != nil {
		if isTimeout(err) {
			return nil, fmt.Errorf("no answer: %w", err)
		}
		return nil, fmt.Errorf("%w: %w", errNothing, err)
	}
	for {
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			return nil, cutOr(br, err)
		}
		if res.StatusCode/100 == 1 {
			continue
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return nil, cutOr(br, err)
		}
		return &answer{status: res.StatusCode, header: res.Header, body: body, close: res.Close}, nil
	}
}

// cutOr is errCut when the connection has ended where the reader found something wrong, err itself for anything else. In the middle of a line the
// reader complains of the line and not of the end.
func cutOr(br *bufio.Reader, err error) error {
	if isTimeout(err) || br.Buffered() > 0 {
		return err
	}
	if _, end := br.Peek(1); end != nil && !isTimeout(end) {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	return err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// answerTime is how long an answer may take. Every timeout of the gateways here is far below it.
const answerTime = 30 * time.Second

// ask sends a question and reads the answer. br must read from c.
func ask(c net.Conn, br *bufio.Reader, q *question) (*answer, error) {
	if err := c.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	// A write that fails is not the end: the gateway may have answered before it closed.
	_, writeErr := c.Write(q.append(nil))
	a, err := readAnswer(br)
	if err != nil {
		return nil, errors.Join(err, writeErr)
	}
	return a, nil
}

// askRight is ask where only the right answer will do, on a connection that is kept.
func askRight(c net.Conn, br *bufio.Reader, q *question) error {
	a, err := ask(c, br, q)
	switch {
	case err != nil:
		return err
	case a.status != http.StatusOK:
		return fmt.Errorf("status %d: %.200s", a.status, a.body)
	case a.close:
		return errors.New("the gateway does not keep the connection")
	}
	return q.check(a)
}

// askFresh asks one small question on a connection of its own.
func askFresh(ctx context.Context, d *dialer, route string) error {
	c, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	q := &question{path: "/" + route + "/echo", id: "fresh" + strconv.FormatInt(d.opened.Load(), 10), body: []byte("a few bytes")}
	return askRight(c, bufio.NewReader(c), q)
}
