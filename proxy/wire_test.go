package proxy

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/testnet"
	"sluice/router"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata/wire")

// wireConfig is the section config of a case.
type wireConfig struct {
	Trusted []string `json:"trusted"` // trusted proxies
	Methods []string `json:"methods"` // of the only route; none is any
	Close   bool     `json:"close"`   // the node closes the connection behind its answer
	Body    int      `json:"body"`    // limits.body
}

// wireStep is one request as a node must get it, and what it answers.
type wireStep struct{ expect, answer string }

// wireRun is one run of a case: the node takes its steps one after the other, on whichever connections they come.
type wireRun struct {
	mu    sync.Mutex // guards all below
	steps []wireStep
	next  int
	got   []string // what came for each step
	cut   func(string) []string
}

// TestWire runs the cases of testdata/wire, each with its bytes in one piece, one by one, and cut in two at several places.
func TestWire(t *testing.T) {
	files, err := filepath.Glob("testdata/wire/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runWireCase(t, file) })
	}
}

func runWireCase(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	comment, sections := parseArchive(string(text))
	var config wireConfig
	var client, want string
	var steps []wireStep
	for _, s := range sections {
		switch s.name {
		case "config":
			if err := json.Unmarshal([]byte(s.text), &config); err != nil {
				t.Fatal(err)
			}
		case "client":
			client = onWire(s.text)
		case "upstream-expect":
			steps = append(steps, wireStep{expect: onWire(s.text)})
		case "upstream":
			steps[len(steps)-1].answer = onWire(s.text)
		case "client-expect":
			want = onWire(s.text)
		default:
			t.Fatalf("section %q", s.name)
		}
	}
	w := newWireGateway(t, &config)
	if *update {
		got := w.run(t, wholly, client, "", steps)
		for i := range steps {
			steps[i].expect = w.current.got[i]
		}
		writeArchive(t, file, comment, sections, steps, got)
		return
	}
	for name, cut := range wireCuts(len(client)) {
		got := w.run(t, cut, client, want, steps)
		if got != want {
			t.Errorf("%s: the client got\n%q\nwant\n%q", name, got, want)
		}
		for i, s := range steps {
			if i >= len(w.current.got) || w.current.got[i] != s.expect {
				t.Errorf("%s: the node got %q\nwant request %d %q", name, w.current.got, i, s.expect)
			}
		}
		if len(w.current.got) > len(steps) {
			t.Errorf("%s: the node got more: %q", name, w.current.got[len(steps):])
		}
		if t.Failed() {
			return
		}
	}
}

// wireCuts returns the ways in which bytes are cut into writes; n is the length of the client's.
func wireCuts(n int) map[string]func(string) []string {
	cuts := map[string]func(string) []string{
		"whole":        wholly,
		"byte by byte": func(s string) []string { return strings.Split(s, "") },
	}
	for i := 1; i < 8; i++ {
		cuts[fmt.Sprintf("cut after %d eighths", i)] = func(s string) []string { return []string{s[:len(s)*i/8], s[len(s)*i/8:]} }
	}
	return cuts
}

func wholly(s string) []string { return []string{s} }

// wireGateway is a gateway with a node that plays the current run.
type wireGateway struct {
	*gateway
	current *wireRun
	mu      sync.Mutex // guards current
}

func newWireGateway(t *testing.T, config *wireConfig) *wireGateway {
	w := &wireGateway{current: new(wireRun)}
	n := newNode(t, func(c *nodeConn) {
		for {
			if _, err := c.r.Peek(1); err != nil {
				return
			}
			w.mu.Lock()
			run := w.current
			w.mu.Unlock()
			if !run.play(c) || config.Close {
				return
			}
		}
	})
	options := []option{withTrusted(config.Trusted...), withRoute(router.Rule[*Route]{ID: "all", Paths: []string{"/*"}, Methods: config.Methods})}
	if config.Body > 0 {
		options = append(options, withLimits(func(c *LimitsConfig) { c.Body = 5 }))
	}
	w.gateway = newGateway(t, []string{n.addr}, options...)
	return w
}

// play takes one step and reports whether the connection can go on. Where the request is not the one that is expected, what came within a moment is noted.
func (run *wireRun) play(c *nodeConn) bool {
	run.mu.Lock()
	defer run.mu.Unlock()
	var step wireStep
	if run.next < len(run.steps) {
		step = run.steps[run.next]
	}
	run.next++
	got := make([]byte, 64<<10)
	n := 0
	for string(got[:n]) != step.expect || step.expect == "" {
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if *update {
			_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		}
		m, err := c.r.Read(got[n:])
		n += m
		if err != nil || n > len(step.expect) && !*update {
			break
		}
	}
	_ = c.SetReadDeadline(time.Time{})
	run.got = append(run.got, string(got[:n]))
	if string(got[:n]) != step.expect && !*update {
		return false
	}
	for _, piece := range run.cut(step.answer) {
		c.write(piece)
	}
	return true
}

// run plays a case once and returns what the client got, with what changes from run to run made equal.
func (w *wireGateway) run(t *testing.T, cut func(string) []string, client, want string, steps []wireStep) string {
	t.Helper()
	w.mu.Lock()
	w.current = &wireRun{steps: steps, cut: cut}
	w.mu.Unlock()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testnet.Patience))
	var got []byte
	reading := make(chan error, 1)
	heard := make(chan struct{}, 1)
	go func() { // while the request is still being written: the answer may come early
		buf := make([]byte, 4<<10)
		for {
			n, err := conn.Read(buf)
			got = append(got, buf[:n]...)
			if len(sameEveryTime(string(got))) >= len(want) {
				select {
				case heard <- struct{}{}:
				default:
				}
			}
			if err != nil {
				reading <- err
				return
			}
		}
	}()
	for _, piece := range cut(client) {
		_, _ = io.WriteString(conn, piece) // fails where the gateway has closed: what it said is compared
	}
	select {
	case <-heard:
	case err := <-reading:
		reading <- err
	case <-time.After(2 * time.Second):
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	if err := testnet.Receive(t, "the end", reading); !errors.Is(err, io.EOF) {
		t.Errorf("the connection ended with %v", err)
	}
	w.current.mu.Lock()
	defer w.current.mu.Unlock()
	return sameEveryTime(string(got))
}

var (
	dateLine  = regexp.MustCompile(`Date: [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT`)
	requestID = regexp.MustCompile(`"request_id":"[0-9a-f]{32}"`)
)

func sameEveryTime(s string) string {
	return requestID.ReplaceAllString(dateLine.ReplaceAllString(s, "Date: DATE"), `"request_id":"ID"`)
}

// section is one part of an archive in the format of txtar.
type section struct{ name, text string }

// parseArchive reads an archive: a comment, then sections that begin with a line "-- name --".
func parseArchive(text string) (comment string, sections []section) {
	for line := range strings.Lines(text) {
		name, begins := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		name, ends := strings.CutSuffix(name, " --")
		switch {
		case begins && ends:
			sections = append(sections, section{name: name})
		case len(sections) == 0:
			comment += line
		default:
			sections[len(sections)-1].text += line
		}
	}
	return comment, sections
}

// onWire turns the text of a section into bytes: lines end with CRLF, but for those that end with a backslash, which goes with the end of the line. \n and \r stand
// for those bytes alone.
func onWire(text string) string {
	text = strings.ReplaceAll(text, "\\\n", "")
	text = strings.ReplaceAll(text, "\n", "\r\n")
	return strings.NewReplacer(`\n`, "\n", `\r`, "\r").Replace(text)
}

// inFile is the inverse of onWire.
func inFile(bytes string) string {
	text := strings.ReplaceAll(bytes, "\r\n", "\x00")
	text = strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(text)
	text = strings.ReplaceAll(text, "\x00", "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\\\n"
	}
	return text
}

func writeArchive(t *testing.T, file, comment string, sections []section, steps []wireStep, got string) {
	t.Helper()
	out := strings.Builder{}
	out.WriteString(comment)
	for _, s := range sections {
		switch s.name {
		case "upstream-expect":
			s.text, steps = inFile(steps[0].expect), steps[1:]
		case "client-expect":
			s.text = inFile(got)
		}
		fmt.Fprintf(&out, "-- %s --\n%s", s.name, s.text)
	}
	if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
