package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/internal/testnet"
)

// Families of messages that differ in a few bytes only, from end to end: many more than golden cases could be, each with no more than its verdict.

// conformCase is a line of a file in testdata/conform.
type conformCase struct {
	place      string // file and line
	verdict    string
	sent       string // by the client, or by the node where the case is an answer
	head, body string // what the other side gets
}

// conformCases reads a file of cases. The README of testdata has its format.
func conformCases(t *testing.T, name string) (cases []conformCase) {
	t.Helper()
	text, err := os.ReadFile("testdata/conform/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	for number, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		c := conformCase{place: fmt.Sprintf("%s.txt:%d", name, number+1)}
		c.verdict, c.sent, _ = strings.Cut(line, " ")
		c.sent, c.head, _ = strings.Cut(c.sent, " => ")
		c.head, c.body, _ = strings.Cut(c.head, " & ")
		for _, s := range []*string{&c.sent, &c.head, &c.body} {
			*s = onWire(repeated.ReplaceAllStringFunc(*s, repeat))
		}
		cases = append(cases, c)
	}
	return cases
}

// repeated is a text that stands for many of it, such as "{{a*9000}}".
var repeated = regexp.MustCompile(`\{\{(.*?)\*([0-9]+)\}\}`)

func repeat(s string) string {
	m := repeated.FindStringSubmatch(s)
	n, _ := strconv.Atoi(m[2])
	return strings.Repeat(m[1], n)
}

// status returns the status that the client must get, and whether the node closes the connection behind what it sends.
func (c *conformCase) status() (status int, closes bool) {
	text, closes := strings.CutSuffix(c.verdict, "c")
	status, _ = strconv.Atoi(text)
	return status, closes
}

// refused sends a request and fails the test where it is not refused as the contract has it: with the status, an error body, and the end of the connection.
func (c *conformCase) refused(t *testing.T, g *gateway, request string) {
	t.Helper()
	b := g.connect(t)
	defer b.Close()
	b.send(request)
	a, err := readAnswer(b.r, "GET")
	if err == nil {
		err = a.contractError()
	}
	if status, _ := c.status(); err != nil || a.status != status || a.get("Connection") != "close" {
		t.Errorf("%s: got %+v and %v, want %s", c.place, a, err, c.verdict)
		return
	}
	if rest, err := io.ReadAll(b.r); err != nil || len(rest) > 0 {
		t.Errorf("%s: behind the answer comes %.200q and %v", c.place, rest, err)
	}
}

func TestRequestsAreRefusedBeforeANodeHearsOfThem(t *testing.T) {
	n := newNode(t, answering(ok))
	g := newGateway(t, []string{n.addr})
	for _, c := range conformCases(t, "requests_refused") {
		c.refused(t, g, c.sent)
		if n.opened.Load() > 0 {
			t.Fatalf("%s: the node has heard of it", c.place)
		}
	}
}

// conformRequest is a request as a node got it, and its body as net/http reads it.
type conformRequest struct {
	head, body string
	err        error
}

// conformNode starts a node that answers every request that came to its end, on a connection of its own, and tells of it.
func conformNode(t *testing.T) (n *node, requests chan conformRequest) {
	t.Helper()
	requests = make(chan conformRequest, 1)
	n = newNode(t, func(c *nodeConn) {
		head := c.head()
		if head == "" {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), c.r)))
		var body []byte
		if err == nil {
			body, err = io.ReadAll(r.Body)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return // given up
		}
		select {
		case requests <- conformRequest{head, string(body), err}:
		default: // one that nobody waits for is enough
		}
		c.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})
	return n, requests
}

func TestWrongChunksReachNoNodeAsAWholeBody(t *testing.T) {
	n, requests := conformNode(t)
	g := newGateway(t, []string{n.addr})
	const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, c := range conformCases(t, "chunks_refused") {
		c.refused(t, g, head+c.sent)
		c.refused(t, g, head+"1\r\nx\r\n"+c.sent) // the node has heard of it
	}
	testnet.Await(t, "the node's connections to end", func() bool { return n.open() == 0 })
	select {
	case r := <-requests:
		t.Errorf("the node got %+v", r)
	default:
	}
}

// forwarded are the fields that the gateway adds to a request.
var forwarded = regexp.MustCompile(`(?m)^X-(Forwarded-(For|Proto|Host)|Real-IP): .*\r\n`)

func TestRequestsAreNotRefusedForTheirStyle(t *testing.T) {
	n, requests := conformNode(t)
	g := newGateway(t, []string{n.addr})
	for _, c := range conformCases(t, "requests_taken") {
		b := g.connect(t)
		b.send(c.sent)
		method, _, _ := strings.Cut(strings.TrimLeft(c.sent, "\r\n"), " ")
		a, err := readAnswer(b.r, method)
		if status, _ := c.status(); err != nil || a.status != status {
			t.Errorf("%s: got %+v and %v", c.place, a, err)
			continue
		}
		r := <-requests
		head := strings.Replace(forwarded.ReplaceAllString(r.head, ""), n.addr, "NODE", 1)
		if head != c.head || r.body != c.body || r.err != nil {
			t.Errorf("%s: the node got %q with %q and %v, want %q with %q", c.place, head, r.body, r.err, c.head, c.body)
		}
		b.Close()
	}
}

// answerNode starts a node that answers with the case that is current.
func answerNode(t *testing.T) (n *node, current *atomic.Pointer[conformCase]) {
	t.Helper()
	current = new(atomic.Pointer[conformCase])
	return newNode(t, func(c *nodeConn) {
		for c.head() != "" {
			answer := current.Load()
			c.write(answer.sent)
			if _, closes := answer.status(); closes {
				return
			}
		}
	}), current
}

// final reads the next answer that is not informational.
func (c *browser) final() *answer {
	a := c.answer()
	for a.status < 200 {
		a = c.answer()
	}
	return a
}

func TestWrongAnswersReachNoClient(t *testing.T) {
	n, current := answerNode(t)
	g := newGateway(t, []string{n.addr}, withAttempts(1))
	b := g.connect(t)
	for _, c := range conformCases(t, "answers_refused") {
		current.Store(&c)
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") // the client's connection is not to blame
		a := b.final()
		if status, _ := c.status(); a.contractError() != nil || a.status != status || !strings.Contains(a.body, "upstream_protocol") {
			t.Errorf("%s: got %+v", c.place, a)
		}
		testnet.Await(t, "the node's connection to end", func() bool { return n.open() == 0 })
	}
}

func TestAnswersThatGoWrongInTheirBodyAreSeenToBeCut(t *testing.T) {
	n, current := answerNode(t)
	g := newGateway(t, []string{n.addr}, withAttempts(1))
	for _, c := range conformCases(t, "answers_cut") {
		current.Store(&c)
		for version, reset := range map[string]bool{"1.1": false, "1.0": true} {
			b := g.connect(t)
			b.send("GET / HTTP/" + version + "\r\nHost: a\r\n\r\n")
			a, err := readAnswer(b.r, "GET")
			status, _ := c.status()
			refused := err == nil && a.status == 502 // all of it came at once, before the head had gone on
			if !refused && !(reset && err != nil) && (err != nil || a.status != status || a.cut == nil) {
				t.Errorf("%s: HTTP/%s got %+v and %v", c.place, version, a, err)
			}
			b.Close()
			testnet.Await(t, "the node's connection to end", func() bool { return n.open() == 0 })
		}
	}
}

// dated is the field that the gateway adds to an answer.
var dated = regexp.MustCompile(`(?m)^Date: .*\r\n`)

func TestAnswersAreNotRefusedForTheirStyle(t *testing.T) {
	n, current := answerNode(t)
	g := newGateway(t, []string{n.addr}, withAttempts(1))
	b := g.connect(t)
	for _, c := range conformCases(t, "answers_taken") {
		current.Store(&c)
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		a := b.final()
		status, _ := c.status()
		if head := dated.ReplaceAllString(a.head, ""); a.status != status || head != c.head || a.body != c.body || a.cut != nil || a.get("Date") == "" {
			t.Errorf("%s: the client got %q with %q, cut by %v, want %q with %q", c.place, head, a.body, a.cut, c.head, c.body)
		}
	}
}
