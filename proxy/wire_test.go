package proxy

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/router"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata/wire")

// wireConfig is the section config of a case.
type wireConfig struct {
	Trusted []string `json:"trusted"` // trusted proxies
	Methods []string `json:"methods"` // of the only route; none is any
	Paths   []string `json:"paths"`   // of the only route; none is everything
	Close   bool     `json:"close"`   // the node closes the connection behind its answer
	Body    int      `json:"body"`    // limits.body
	Fields  int      `json:"fields"`  // limits.header_count
}

// wireCase is a case: what the client and the node send, and what they must get.
type wireCase struct {
	config       wireConfig
	client, want string
	steps        []wireStep
}

// wireStep is one request as a node must get it, and what it answers.
type wireStep struct {
	expect, answer string
	part           bool // the request is given up: any part of expect, even nothing, may come, and the node answers nothing
}

// givenUp reports whether the gateway gives up a request to the node.
func (c *wireCase) givenUp() bool {
	return slices.ContainsFunc(c.steps, func(s wireStep) bool { return s.part })
}

// wireRun is one run of a case: the node takes its steps one after the other, on whichever connections they come.
type wireRun struct {
	mu    sync.Mutex // guards all below
	steps []wireStep
	next  int
	got   []string // what came for each step
	cut   wireCut
}

// wirePatience is how long a case waits for what does not come. Only a case that goes wrong waits that long, and there may be many of them.
const wirePatience = 10 * time.Second

// wireCut cuts bytes into writes.
type wireCut func(string) []string

// TestWire runs the cases of testdata/wire, each with its bytes in one piece, one by one, and cut in two at every point. The gateway has read every piece before
// the next one is written.
func TestWire(t *testing.T) { runWire(t, (*wireGateway).runAll) }

// The cases again, each in one piece and byte by byte, where the kernel gathers no reads and writes.
func TestWireWithoutARing(t *testing.T) {
	runWire(t, func(w *wireGateway, t *testing.T, c *wireCase) {
		w.runCuts(t, c, 0)
	}, func(s *setup) { s.config.NoRing = true })
}

// runWire runs every case on gateways with the options.
func runWire(t *testing.T, run func(*wireGateway, *testing.T, *wireCase), options ...option) {
	files, err := filepath.Glob("testdata/wire/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	gateways := map[string]*wireGateway{} // by configuration
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(sub *testing.T) {
			archive := readArchive(sub, file)
			c := archive.wireCase(sub)
			key := fmt.Sprintf("%+v, %t", c.config, c.givenUp())
			if gateways[key] == nil {
				gateways[key] = newWireGateway(t, &c.config, options...)
			}
			w := gateways[key]
			if *update {
				got := w.run(sub, wholly, &wireCase{client: c.client, steps: c.steps})
				archive.update(sub, w.current.got, got)
				return
			}
			run(w, sub, c)
		})
	}
}

// runAll runs a case in every way it can be cut, up to the first that goes wrong.
func (w *wireGateway) runAll(t *testing.T, c *wireCase) {
	longest := len(c.client)
	for _, s := range c.steps {
		longest = max(longest, len(s.answer))
	}
	w.runCuts(t, c, longest)
}

// runCuts runs a case with the cuts of up to longest bytes.
func (w *wireGateway) runCuts(t *testing.T, c *wireCase, longest int) {
	for name, cut := range wireCuts(longest) {
		if got := w.run(t, cut, c); got != c.want {
			t.Errorf("%s: the client got\n%q\nwant\n%q", name, got, c.want)
		}
		if why := w.current.judge(); why != "" {
			t.Errorf("%s: %s", name, why)
		}
		if t.Failed() {
			return
		}
	}
}

// judge returns what is wrong with what the node got.
func (run *wireRun) judge() string {
	got := run.got
	for _, s := range run.steps {
		switch {
		case s.part && len(got) == 0:
			continue
		case len(got) == 0:
			return fmt.Sprintf("the node did not get\n%q", s.expect)
		case s.part && !isPart(got[0], s.expect), !s.part && got[0] != s.expect:
			return fmt.Sprintf("the node got\n%q\nwant\n%q", got[0], s.expect)
		}
		got = got[1:]
	}
	if len(got) > 0 {
		return fmt.Sprintf("the node got more: %q", got)
	}
	return ""
}

// wireCuts yields the ways to cut bytes into writes, of which the longest row has n.
func wireCuts(n int) iter.Seq2[string, wireCut] {
	return func(yield func(string, wireCut) bool) {
		if !yield("whole", wholly) || !yield("byte by byte", func(s string) []string { return strings.Split(s, "") }) {
			return
		}
		step := 1
		if testing.Short() {
			step = 5
		}
		for i := 1; i < n; i += step {
			cut := func(s string) []string {
				if i >= len(s) {
					return []string{s}
				}
				return []string{s[:i], s[i:]}
			}
			if !yield(fmt.Sprint("cut at ", i), cut) {
				return
			}
		}
	}
}

func wholly(s string) []string { return []string{s} }

// wireGateway is a gateway with a node that plays the current run.
type wireGateway struct {
	*gateway
	node    *node
	current *wireRun
	mu      sync.Mutex // guards current
}

func newWireGateway(t *testing.T, config *wireConfig, options ...option) *wireGateway {
	w := &wireGateway{current: new(wireRun)}
	n := newNode(t, func(c *nodeConn) {
		for {
			first, err := c.r.Peek(len(fence))
			if err != nil {
				return
			}
			if string(first) == fence {
				c.head()
				c.write("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
				return
			}
			w.mu.Lock()
			run := w.current
			w.mu.Unlock()
			if !w.play(run, c) || config.Close {
				return
			}
		}
	})
	paths := config.Paths
	if len(paths) == 0 {
		paths = []string{"/*"}
	}
	w.gateway = newGateway(t, []string{n.addr}, append(options, withTrusted(config.Trusted...),
		withRoute(router.Rule[*Route]{ID: "all", Paths: paths, Methods: config.Methods}),
		withLimits(func(c *LimitsConfig) {
			if config.Body > 0 {
				c.Body = unit.Size(config.Body)
			}
			if config.Fields > 0 {
				c.HeaderCount = config.Fields
			}
		}))...)
	w.node = n
	return w
}

// fence begins a request that is no part of a case.
const fence = "LINK "

// quiet returns when the node is done with every connection that the gateway has given up: none is accepted behind the one of this request.
func (w *wireGateway) quiet(t *testing.T) {
	t.Helper()
	c := w.connect(t)
	c.send(fence + "/ HTTP/1.1\r\nHost: a\r\n\r\n")
	c.answer().want(t, 204, "")
	c.Close()
	testnet.Await(t, "the node to be quiet", func() bool { return w.node.open() == 0 })
}

// play takes one step and reports whether the connection can go on. Where the request is not the one that is expected, what came within a moment is noted.
func (w *wireGateway) play(run *wireRun, c *nodeConn) bool {
	run.mu.Lock()
	defer run.mu.Unlock()
	var step wireStep
	if run.next < len(run.steps) {
		step = run.steps[run.next]
	}
	run.next++
	buf := make([]byte, 64<<10)
	n, got := 0, ""
	patience := wirePatience
	if *update {
		patience = 100 * time.Millisecond
	}
	for step.part || got != step.expect || got == "" {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		m, err := c.r.Read(buf[n:])
		n += m
		got = w.sameEveryTime(string(buf[:n]))
		if err != nil || !step.part && !*update && len(got) > len(step.expect) {
			break
		}
	}
	_ = c.SetReadDeadline(time.Time{})
	run.got = append(run.got, got)
	if !*update && got != step.expect || step.part {
		return false
	}
	w.write(c.TCPConn, run.cut(step.answer))
	return true
}

// write sends pieces, and waits behind each until the gateway has read it.
func (w *wireGateway) write(to io.Writer, pieces []string) {
	for i, piece := range pieces {
		_, _ = io.WriteString(to, piece) // fails where the gateway has closed: what it said is compared
		if i < len(pieces)-1 {
			w.settle()
		}
	}
}

// settle returns when the gateway's loop has looked at everything that was sent to it before. The loop may be behind its look at the sockets when the first question comes,
// but not at the second.
func (w *wireGateway) settle() {
	for range 2 {
		w.onLoop(func(*worker) bool { return true })
	}
}

// run plays a case once and returns what the client got, with what changes from run to run made equal.
func (w *wireGateway) run(t *testing.T, cut wireCut, c *wireCase) string {
	t.Helper()
	w.mu.Lock()
	w.current = &wireRun{steps: c.steps, cut: cut}
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
			if w.sameEveryTime(string(got)) == c.want {
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
	w.write(conn, cut(c.client))
	patience := wirePatience
	if *update {
		patience = 300 * time.Millisecond
	}
	select {
	case <-heard:
	case err := <-reading:
		reading <- err
	case <-time.After(patience):
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	if err := testnet.Receive(t, "the end", reading); !errors.Is(err, io.EOF) {
		t.Errorf("the connection ended with %v", err)
	}
	if c.givenUp() {
		w.quiet(t)
	}
	w.current.mu.Lock()
	defer w.current.mu.Unlock()
	return w.sameEveryTime(string(got))
}

// wireCase takes the sections of an archive for a case.
func (a *archive) wireCase(t *testing.T) *wireCase {
	t.Helper()
	c := new(wireCase)
	for _, s := range a.sections {
		switch s.name {
		case "config":
			if err := json.Unmarshal([]byte(s.text), &c.config); err != nil {
				t.Fatal(err)
			}
		case "client":
			c.client = onWire(s.text)
		case "upstream-expect":
			c.steps = append(c.steps, wireStep{expect: onWire(s.text)})
		case "upstream-part":
			c.steps = append(c.steps, wireStep{expect: onWire(s.text), part: true})
		case "upstream":
			c.steps[len(c.steps)-1].answer = onWire(s.text)
		case "client-expect":
			c.want = onWire(s.text)
		default:
			t.Fatalf("section %q", s.name)
		}
	}
	return c
}

// update writes the archive with other expectations: node is what the node got, in order, and client what the client did.
func (a *archive) update(t *testing.T, node []string, client string) {
	t.Helper()
	for i := range a.sections {
		switch s := &a.sections[i]; s.name {
		case "upstream-expect":
			if len(node) == 0 {
				t.Fatal("the node got less than there are sections")
			}
			s.text, node = inFile(node[0]), node[1:]
		case "client-expect":
			s.text = inFile(client)
		}
	}
	if len(node) > 0 {
		t.Errorf("the node got more: %q", node)
	}
	a.write(t)
}
