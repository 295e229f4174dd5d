package proxy

import (
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/memory"
	"sluice/internal/testnet"
)

// withMemory makes the use of memory, in percent, the test's.
func withMemory(percent *atomic.Uint64) option {
	return func(s *setup) {
		s.config.memory = func(uint64) memory.Use {
			return memory.Use{Used: percent.Load(), Limit: 100, Collections: percent.Load()}
		}
	}
}

// awaitPressure waits until the watch of the memory has seen it.
func (g *gateway) awaitPressure(t testing.TB, p pressure) {
	t.Helper()
	testnet.Await(t, "the pressure to be "+p.String(), func() bool { return g.pressure.Load() == int32(p) })
}

// Near its limit of memory the gateway answers 503 and lets connections go, in two steps, and recovers by itself.
func TestAGatewayThatIsShortOfMemoryShedsAndRecovers(t *testing.T) {
	var percent atomic.Uint64
	percent.Store(50)
	n, asked, answer := slowNode(t)
	g := newGateway(t, []string{n.addr}, withMemory(&percent), withLog())
	busy, kept, idle := g.connect(t), g.connect(t), g.connect(t)
	busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	testnet.Receive(t, "the slow request", asked)
	kept.wantGet("ok")
	idle.wantGet("ok")

	percent.Store(92)
	g.awaitPressure(t, shedding)
	for _, b := range []*browser{kept, g.connect(t)} {
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		a := b.answer()
		a.wantError(t, 503, "overloaded")
		if a.get("Retry-After") == "" || a.get("Connection") != "close" {
			t.Errorf("%q", a.head)
		}
		b.wantEnd()
	}
	percent.Store(88) // not yet
	if line := g.logged(t, 4)[2]; line.Flag != "OM" || line.Status != 503 {
		t.Errorf("logged %+v", line)
	}

	percent.Store(96)
	g.awaitPressure(t, refusing)
	g.connect(t).wantEnd()
	idle.wantEnd()
	if n := g.metric(t, "sluice_connections_refused_total{limit=memory}"); n != 1 {
		t.Errorf("%v are counted as refused", n)
	}
	testnet.Await(t, "the idle one to be counted as shed", func() bool { return g.metric(t, "sluice_connections_shed_total{reason=memory}") == 1 })
	close(answer) // what is under way goes on
	a := busy.answer()
	a.want(t, 200, "ok")
	if a.get("Connection") != "close" {
		t.Errorf("%q", a.head)
	}

	percent.Store(50)
	g.awaitPressure(t, relaxed)
	b := g.connect(t)
	b.wantGet("ok")
	b.wantGet("ok")
}

// A connection of HTTP/2 that rests is told to go, and its client asks on another one.
func TestAConnectionOfHTTP2ThatRestsIsShed(t *testing.T) {
	var percent atomic.Uint64
	g := newGateway(t, []string{origin(t, echo)}, withMemory(&percent))
	client := h2cClient(t)
	get := func() (int, error) {
		resp, err := client.Get("http://" + g.addr + "/")
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		return resp.StatusCode, nil
	}
	if status, err := get(); status != 200 {
		t.Fatal(status, err)
	}
	percent.Store(96)
	testnet.Await(t, "the connection to end", func() bool { return g.openConns() == 0 })
	percent.Store(50)
	g.awaitPressure(t, relaxed)
	if status, err := get(); status != 200 {
		t.Error(status, err)
	}
	if n := g.metric(t, "sluice_connections_shed_total{reason=memory}"); n != 1 {
		t.Errorf("%v are counted as shed", n)
	}
}

// One request more or less must not turn the shedding on and off.
func TestPressureHasAMargin(t *testing.T) {
	p := relaxed
	for _, c := range []struct {
		percent uint64
		want    pressure
	}{
		{89, relaxed}, {90, shedding}, {86, shedding}, {84, relaxed}, {89, relaxed}, {95, refusing}, {91, refusing}, {89, shedding}, {94, shedding},
		{95, refusing}, {10, relaxed},
	} {
		if p = p.next(memory.Use{Used: c.percent, Limit: 100}); p != c.want {
			t.Errorf("%d %%: %v, want %v", c.percent, p, c.want)
		}
	}
	if p = refusing.next(memory.Use{Used: 1 << 40}); p != relaxed {
		t.Errorf("without a limit: %v", p)
	}
}

// childVariable is set in the process that has few descriptors: running short of them would harm the other tests.
const childVariable = "SLUICE_TEST_CHILD"

// inChild runs the test in a process of its own, and reports whether this is that process.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childVariable) != "" {
		return true
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), childVariable+"=1")
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// leaveDescriptors lowers the limit until no more than n can be opened. The second of what it returns raises it again.
func leaveDescriptors(t *testing.T, n int) (restore func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	var open []int
	for range n + 1 {
		fd, err := unix.Dup(0)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, fd)
	}
	limit := before
	limit.Cur = uint64(open[n])
	for _, fd := range open {
		unix.Close(fd)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}
}

// EMFILE in a connect says nothing of the node: it is 503 overloaded, no retry is spent on it, and no node is blamed.
func TestAGatewayWithoutADescriptorToConnectWithIs503(t *testing.T) {
	if !inChild(t) {
		return
	}
	n := newNode(t, answering(ok))
	other := newNodeAt(t, "127.0.0.2:0", answering(ok))
	g := newGateway(t, []string{n.addr, other.addr}, withLog())
	b := g.connect(t)
	b.send("GET /none HTTP/9.9\r\n\r\n")
	b.answer()
	b = g.connect(t)
	g.await(t, "the client", in(phaseIdle))
	restore := leaveDescriptors(t, 0)
	defer restore()
	for range 3 {
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		a := b.answer()
		a.wantError(t, 503, "overloaded")
		if a.get("Retry-After") == "" {
			t.Errorf("%q", a.head)
		}
	}
	restore()
	b.wantGet("ok")
	lines := g.logged(t, 5)
	if l := lines[1]; l.Flag != "UO" || l.Retries != 0 {
		t.Errorf("logged %+v", l)
	}
	if n := g.metric(t, "sluice_upstream_outcomes_total{outcome=connect_error,service=s}"); n != 0 {
		t.Errorf("%v failures are counted for the nodes", n)
	}
}

// A new client does not wait for those who say nothing: where descriptors are short, the idle ones that are there longest give way.
func TestIdleConnectionsGiveWayWhereDescriptorsAreShort(t *testing.T) {
	if !inChild(t) {
		return
	}
	n, asked, answer := slowNode(t)
	g := newGateway(t, []string{n.addr})
	busy := g.connect(t)
	busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	testnet.Receive(t, "the slow request", asked)
	var idle []*browser
	for range 3 {
		b := g.connect(t)
		b.wantGet("ok")
		idle = append(idle, b)
	}
	restore := leaveDescriptors(t, 1) // for the test's own side of one more connection
	defer restore()
	late := g.connect(t)
	for _, b := range idle {
		b.wantEnd() // ours
	}
	late.wantGet("ok")
	if g.metric(t, "sluice_accept_errors_total") == 0 || g.metric(t, "sluice_connections_shed_total{reason=descriptors}") != 3 {
		t.Error("it is not counted")
	}
	close(answer)
	busy.answer().want(t, 200, "ok")
}
