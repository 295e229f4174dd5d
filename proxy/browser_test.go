package proxy

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/testnet"
)

// browser is a connection to a gateway that sends what it is told and reads answers strictly.
type browser struct {
	*net.TCPConn
	t testing.TB
	r *bufio.Reader
}

// connect opens a connection to the gateway, which is closed with the test.
func (g *gateway) connect(t testing.TB) *browser {
	t.Helper()
	return g.connectWith(t, new(net.Dialer))
}

func (g *gateway) connectWith(t testing.TB, d *net.Dialer) *browser {
	t.Helper()
	c, err := d.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(testnet.Patience))
	return &browser{TCPConn: c.(*net.TCPConn), t: t, r: bufio.NewReader(c)}
}

func (c *browser) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.TCPConn, s); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// reset closes the connection so that the gateway sees an error.
func (c *browser) reset() {
	_ = c.SetLinger(0)
	c.Close()
}

// answer is one answer as the client got it.
type answer struct {
	head    string // with its empty line
	status  int
	fields  map[string]string // by name in lower case; the last of a name
	body    string
	trailer string // the lines after the last chunk
	cut     error  // why the body is not whole
}

func (a *answer) get(name string) string { return a.fields[strings.ToLower(name)] }

// answer reads the next answer, to a request with a method other than HEAD.
func (c *browser) answer() *answer {
	c.t.Helper()
	return c.answerTo("GET")
}

func (c *browser) answerTo(method string) *answer {
	c.t.Helper()
	a, err := readAnswer(c.r, method)
	if err != nil {
		c.t.Fatalf("read the answer: %v", err)
	}
	return a
}

// readAnswer reads one answer. The error is for a head that is not there or not right; a body that is cut is told in the answer.
func readAnswer(r *bufio.Reader, method string) (*answer, error) {
	a := &answer{fields: map[string]string{}}
	for !strings.HasSuffix(a.head, "\r\n\r\n") {
		line, err := r.ReadString('\n')
		a.head += line
		if err != nil {
			return nil, fmt.Errorf("%w after %q", err, a.head)
		}
		if !strings.HasSuffix(line, "\r\n") {
			return nil, fmt.Errorf("a bare LF in %q", a.head)
		}
		if name, value, found := strings.Cut(strings.TrimSuffix(line, "\r\n"), ": "); found {
			name = strings.ToLower(name)
			if _, twice := a.fields[name]; twice && (name == "content-length" || name == "transfer-encoding" || name == "connection") {
				return nil, fmt.Errorf("two %s in %q", name, a.head)
			}
			a.fields[name] = value
		}
	}
	if _, err := fmt.Sscanf(a.head, "HTTP/1.1 %3d ", &a.status); err != nil {
		return nil, fmt.Errorf("no status line: %q", a.head)
	}
	_, length := a.fields["content-length"]
	_, coding := a.fields["transfer-encoding"]
	switch {
	case length && coding:
		return nil, fmt.Errorf("both framings in %q", a.head)
	case method == "HEAD" || a.status < 200 || a.status == 204 || a.status == 304:
	case coding:
		a.cut = a.readChunks(r)
	case length:
		n, err := strconv.Atoi(a.get("content-length"))
		if err != nil {
			return nil, err
		}
		body := make([]byte, n)
		n, a.cut = io.ReadFull(r, body)
		a.body = string(body[:n])
	default:
		body, err := io.ReadAll(r)
		a.body, a.cut = string(body), err
	}
	return a, nil
}

func (a *answer) readChunks(r *bufio.Reader) error {
	var body strings.Builder
	defer func() { a.body = body.String() }()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return errors.Join(io.ErrUnexpectedEOF, err)
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(line, "\r\n"), 16, 31)
		if err != nil {
			return fmt.Errorf("chunk line %q", line)
		}
		if n == 0 {
			break
		}
		if _, err := io.CopyN(&body, r, int64(n)); err != nil {
			return errors.Join(io.ErrUnexpectedEOF, err)
		}
		if end, err := r.ReadString('\n'); end != "\r\n" {
			return fmt.Errorf("%q behind a chunk: %w", end, err)
		}
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return errors.Join(io.ErrUnexpectedEOF, err)
		}
		if line == "\r\n" {
			return nil
		}
		a.trailer += line
	}
}

// want fails the test where the answer has another status or body, or is not whole.
func (a *answer) want(t testing.TB, status int, body string) {
	t.Helper()
	if a.status != status || a.body != body || a.cut != nil {
		t.Fatalf("got status %d, body %.200q, cut by %v; want %d, %.200q", a.status, a.body, a.cut, status, body)
	}
}

// wantError fails the test where the answer is not the contract's for that error.
func (a *answer) wantError(t testing.TB, status int, code string) {
	t.Helper()
	if err := a.contractError(); err != nil {
		t.Fatal(err)
	}
	if a.status != status || !strings.Contains(a.body, `"code":"`+code+`"`) {
		t.Fatalf("got %d %q, want %d %s", a.status, a.body, status, code)
	}
}

// contractError returns what an answer lacks to be one of the contract's errors.
func (a *answer) contractError() error {
	var body struct {
		Error map[string]any `json:"error"`
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		return fmt.Errorf("%w in %q", err, a.body)
	}
	e := body.Error
	status, _ := e["status"].(float64)
	code, _ := e["code"].(string)
	message, _ := e["message"].(string)
	id, _ := e["request_id"].(string)
	switch {
	case len(e) != 4 || code == "" || message == "" || id == "":
		return fmt.Errorf("not the four fields: %q", a.body)
	case int(status) != a.status:
		return fmt.Errorf("status %v in the body of a %d", status, a.status)
	case a.get("Server") != "sluice" || a.get("Content-Type") != "application/json" || a.get("Date") == "":
		return fmt.Errorf("fields are missing in %q", a.head)
	case a.cut != nil:
		return a.cut
	}
	return nil
}

// wantEnd fails the test where anything but the end of the connection follows.
func (c *browser) wantEnd() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if err != nil || len(rest) > 0 {
		c.t.Fatalf("got %.200q and %v, want the end of the connection", rest, err)
	}
}

// wantGet fails the test where the connection does not serve another request.
func (c *browser) wantGet(body string) {
	c.t.Helper()
	c.send("GET /again HTTP/1.1\r\nHost: a\r\n\r\n")
	c.answer().want(c.t, 200, body)
}
