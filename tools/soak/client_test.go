package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// What the client sends is a request that net/http reads the same way, in every form that can be drawn.
func TestQuestionsAreRequests(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		q := newQuestion(rng, "/soak/echo", "x1", 300)
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(q.append(nil))))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(req.Body)
		if err != nil || !bytes.Equal(body, q.body) {
			t.Fatalf("%d bytes of body, %v; want %d", len(body), err, len(q.body))
		}
	}
}

func TestOriginsEchoIsTheRightAnswerAndNothingElseIs(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		q := newQuestion(rng, "/soak/echo", "x1", 300)
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(q.append(nil))))
		if err != nil {
			t.Fatal(err)
		}
		a := answerOf(t, string(echoAnswer(req, q.body)))
		if err := q.check(a); err != nil {
			t.Fatal(err)
		}
		other := *q
		other.id = "x2"
		if other.check(a) == nil {
			t.Fatal("the answer to another question was taken for right")
		}
		other = *q
		other.body = append(bytes.Clone(q.body), 'x')
		if other.check(a) == nil {
			t.Fatal("an answer to other bytes was taken for right")
		}
		if a.body = append(a.body, 'x'); q.check(a) == nil {
			t.Fatal("an answer of other bytes was taken for right")
		}
	}
}

func answerOf(t *testing.T, text string) *answer {
	t.Helper()
	a, err := readAnswer(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestInterimAnswersAreSkipped(t *testing.T) {
	a := answerOf(t, "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
	if a.status != 204 {
		t.Errorf("status %d", a.status)
	}
}

// Nothing at all, a part, and nonsense are three things: only of the second can a client tell that it had an answer and lost it.
func TestAnswersThatAreNotWholeAreToldApart(t *testing.T) {
	for _, c := range []struct {
		text string
		want error // nil: neither
	}{
		{"", errNothing},
		{"HTTP/1.1 200", errCut},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", errCut},
		{"HTTP/1.1 200 OK\r\nContent-Le", errCut},
		{"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.", errCut},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", errCut},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", errCut},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", errCut},
		{"banana\r\n\r\n", nil},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", nil},
	} {
		_, err := readAnswer(bufio.NewReader(strings.NewReader(c.text)))
		if err == nil {
			t.Errorf("%q: no error", c.text)
			continue
		}
		for _, kind := range []error{errNothing, errCut} {
			if errors.Is(err, kind) != (kind == c.want) {
				t.Errorf("%q: %v, want %v", c.text, err, c.want)
			}
		}
	}
}

func TestOnlyTheContractsAnswersAreTheGatewaysOwn(t *testing.T) {
	own := func(status, server, body string) error {
		_, err := ownCode(answerOf(t, "HTTP/1.1 "+status+" X\r\nServer: "+server+"\r\n\r\n"+body))
		return err
	}
	const good = `{"error":{"status":504,"code":"upstream_timeout","message":"m","request_id":"r"}}`
	if err := own("504", "sluice", good); err != nil {
		t.Error(err)
	}
	for _, c := range [][3]string{
		{"502", "sluice", good},
		{"504", "nginx", good},
		{"504", "sluice", ""},
		{"504", "sluice", strings.Replace(good, "upstream_timeout", "too_late", 1)},
		{"504", "sluice", strings.Replace(good, `"m"`, `""`, 1)},
		{"504", "sluice", strings.Replace(good, `"r"`, `""`, 1)},
		{"500", "sluice", strings.Replace(good, "504", "500", 1)},
	} {
		if own(c[0], c[1], c[2]) == nil {
			t.Errorf("%v was taken for the contract's", c)
		}
	}
}

func TestPatternTellsLostDoubledAndMovedBytes(t *testing.T) {
	whole := append(append([]byte(nil), patternAt(0, patternPeriod)...), patternAt(patternPeriod, 1000)...)
	var p patternReader
	if err := p.take(whole[:70]); err != nil {
		t.Error(err)
	}
	if err := p.take(whole[70:]); err != nil {
		t.Error(err)
	}
	for name, wrong := range map[string][]byte{
		"lost":    append(append([]byte(nil), whole[:4096]...), whole[4097:]...),
		"doubled": append(append([]byte(nil), whole[:4096]...), whole[:]...),
		"changed": append(append([]byte(nil), whole[:99]...), append([]byte{whole[99] ^ 1}, whole[100:]...)...),
	} {
		if err := new(patternReader).take(wrong); !errors.Is(err, errPattern) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
