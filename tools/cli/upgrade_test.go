package cli

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/internal/testnet"
)

// Contract, section 1: SIGUSR2 upgrades the binary with no refused connection. Neither is a request lost on one that is kept alive, and the embedded etcd goes
// from process to process.
func TestTenUpgradesInARowLoseNothing(t *testing.T) {
	p := run(t, baseConfig)
	p.route(startOrigin(t, "a").Addr())
	c := gather(p.address, "/x/1", 64, nil)
	var longest, total time.Duration
	const upgrades = 10
	for range upgrades {
		asked := c.asked.Load()
		begin := time.Now()
		p.upgrade()
		took := time.Since(begin)
		longest, total = max(longest, took), total+took
		p.await("requests to go on", func() bool { return c.asked.Load() > asked+64 })
	}
	c.disperse(t)
	for _, pid := range p.pids[:upgrades] {
		p.exited(pid, 0)
	}
	t.Logf("an upgrade takes %v, the longest %v", (total / upgrades).Round(time.Millisecond), longest.Round(time.Millisecond))

	p.await("the embedded etcd to be the last process's", func() bool {
		status, _ := p.api("PUT", "/v1/routes/y", `{"prefix":"/y/*","service_name":"s"}`)
		return status/100 == 2
	})
	p.await("a route that was made after the upgrades", func() bool { return p.get("/y/1") == 200 })
	if before, last := leastNice(t, os.Getpid()), leastNice(t, p.pid()); before != last {
		t.Errorf("the loops have got nicer, from %d to %d: they wait for everybody then", before, last)
	}
	p.signal(syscall.SIGTERM)
	p.exited(p.pid(), 0)
	if p.servingPID() != 0 {
		t.Error("the PID file is still there")
	}
}

// leastNice returns the niceness of the thread of a process that has the least: field 19 of proc_pid_stat(5).
func leastNice(t *testing.T, pid int) int {
	t.Helper()
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is one
	least := 20
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		nice, err := strconv.Atoi(fields[19-3])
		if err != nil {
			t.Fatal(err)
		}
		least = min(least, nice)
	}
	return least
}

// For a fraction of a second nobody has the embedded etcd: a write then is refused, or takes a little longer. None that was acknowledged is lost, and the admin API
// itself refuses no connection.
func TestWritesDuringUpgradesSucceedOrAreRefused(t *testing.T) {
	p := run(t, baseConfig)
	p.route(startOrigin(t, "a").Addr())
	token, err := os.ReadFile(filepath.Join(p.dir, "data", "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var written atomic.Int64
	ended := make(chan []string, 1)
	refused := 0
	go func() {
		var ids []string
		defer func() { ended <- ids }()
		for i := 0; !stop.Load(); i++ {
			id := fmt.Sprint("w", i)
			status, body, err := call(p.admin, string(token), "PUT", "/v1/routes/"+id, fmt.Sprintf(`{"prefix":"/%s/*","service_name":"s"}`, id))
			switch {
			case err != nil || status != 201 && status != 503:
				t.Errorf("%s: %d %s %v", id, status, body, err)
				return
			case status == 503:
				refused++
			default:
				ids = append(ids, id)
				written.Add(1)
			}
		}
	}()
	for range 4 {
		before := written.Load()
		p.upgrade()
		p.await("writes to go on", func() bool { return written.Load() > before+20 })
	}
	stop.Store(true)
	ids := testnet.Receive(t, "the last write", ended)
	t.Logf("%d writes, %d refused", len(ids), refused)
	for _, id := range ids {
		if status, body := p.api("GET", "/v1/routes/"+id, ""); status != 200 {
			t.Fatalf("%s was acknowledged and is lost: %d %s", id, status, body)
		}
	}
	p.await("the last of them to be in force", func() bool { return p.get("/"+ids[len(ids)-1]+"/1") == 200 })
}

// A connection that is idle while the process is replaced must not be closed under a request that is on its way.
func TestAConnectionThatIsIdleDuringAnUpgradeGetsItsNextAnswer(t *testing.T) {
	p := run(t, baseConfig)
	p.route(startOrigin(t, "a").Addr())
	conn, r := p.connect()
	if resp := ask(t, conn, r, "/x/1"); resp.Close {
		t.Fatal("the connection ends before there is a reason")
	}
	old := p.pid()
	p.upgrade()
	p.awaitLog("upgraded: the new process serves", 1)
	p.await("an answer that says it is the last", func() bool { // the drain begins a moment after the word of it
		resp := ask(t, conn, r, "/x/2")
		if resp.StatusCode != 200 {
			t.Fatalf("status %d", resp.StatusCode)
		}
		return resp.Close
	})
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("after the answer: %v", err)
	}
	conn.Close()
	p.exited(old, 0) // long before timeouts.drain
}

// A tunnel goes on in the process that has been replaced, up to the time of its drain, and is logged when it ends.
func TestATunnelLivesThroughAnUpgrade(t *testing.T) {
	p := run(t, baseConfig)
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			return
		}
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, buf)
	}))
	defer echo.Close()
	p.route(echo.Listener.Addr().String())
	conn, r := p.connect()
	_ = conn.SetDeadline(time.Now().Add(testnet.Patience))
	if _, err := io.WriteString(conn, "GET /x/1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	say := func() {
		t.Helper()
		if _, err := io.WriteString(conn, "here\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := r.ReadString('\n'); line != "here\n" {
			t.Fatalf("%q, %v", line, err)
		}
	}
	say()
	old := p.pid()
	p.upgrade()
	p.awaitLog("upgraded: the new process serves", 1)
	say()
	conn.Close()
	p.exited(old, 0)
	log, err := os.ReadFile(filepath.Join(p.dir, "access.log"))
	if err != nil || !strings.Contains(string(log), `"status":101,"bytes_in":10,"bytes_out":10,`) {
		t.Errorf("%v, logged %s", err, log)
	}
}

// SIGTERM makes the drain of a process that has been replaced an ordinary one: idle connections end at once.
func TestASignalHurriesAProcessThatHasBeenReplaced(t *testing.T) {
	p := run(t, baseConfig)
	p.route(startOrigin(t, "a").Addr())
	conn, r := p.connect()
	ask(t, conn, r, "/x/1")
	old := p.pid()
	p.upgrade()
	p.awaitLog("upgraded: the new process serves", 1)
	if err := syscall.Kill(old, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(testnet.Patience))
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
	conn.Close()
	p.exited(old, 0)
	if status := p.get("/x/1"); status != 200 {
		t.Errorf("the new process answers %d", status)
	}
}

// A new process that cannot start leaves everything as it was, whatever the reason.
func TestAnUpgradeThatFailsChangesNothing(t *testing.T) {
	p := run(t, baseConfig)
	p.route(startOrigin(t, "a").Addr())
	c := gather(p.address, "/x/1", 16, nil)
	pid := p.pid()
	good := p.path + "-good"
	if err := os.Rename(p.path, good); err != nil {
		t.Fatal(err)
	}
	failures := 0
	fails := func(why string) {
		t.Helper()
		p.signal(syscall.SIGUSR2)
		failures++
		p.awaitLog("upgrade failed: this process goes on", failures)
		if got := p.get("/x/1"); got != 200 || p.servingPID() != pid {
			t.Errorf("%s: status %d, process %d serves, want %d", why, got, p.servingPID(), pid)
		}
	}
	fails("no file")
	for why, content := range map[string]string{"no program": "nonsense", "ends at once": "#!/bin/sh\nexit 3\n"} {
		if err := os.WriteFile(p.path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
		fails(why)
	}
	if err := os.Rename(good, p.path); err != nil {
		t.Fatal(err)
	}
	p.configure(baseConfig + "limits: {body: 3}\n")
	fails("a wrong configuration")
	if !strings.Contains(p.log(), p.config+":4:") {
		t.Error("the line of the mistake is not in the log")
	}
	p.configure(strings.Replace(baseConfig, "127.0.0.1:0", "192.0.2.1:1", 1)) // TEST-NET-1: nobody's
	fails("an address that is not ours")
	if status, body := p.api("PUT", "/v1/routes/y", `{"prefix":"/y/*","service_name":"s"}`); status/100 != 2 {
		t.Errorf("a write after failed upgrades: %d %s", status, body)
	}
	p.configure(baseConfig)
	p.upgrade()
	c.disperse(t)
	p.exited(pid, 0)
}

// The new process reads the configuration anew: its number of workers and its listeners are what the file says now.
func TestAnUpgradeChangesWorkersAndListeners(t *testing.T) {
	p := run(t, baseConfig)
	p.route(startOrigin(t, "a").Addr())
	c := gather(p.address, "/x/1", 8, nil)
	for i, workers := range []int{4, 1, 3} {
		config := strings.Replace(baseConfig, "workers: 2", fmt.Sprint("workers: ", workers), 1)
		if i == 1 {
			config = strings.Replace(config, "listeners: [", `listeners: [{address: "127.0.0.2:0"}, `, 1)
		}
		p.configure(config)
		p.upgrade()
		p.awaitLog(fmt.Sprintf("workers=%d ", workers), 1)
		for range 50 { // the kernel spreads them over all sockets there are
			if status := p.get("/x/1"); status != 200 {
				t.Fatalf("%d workers: status %d", workers, status)
			}
		}
	}
	c.disperse(t)
	if !strings.Contains(p.log(), `listeners="[127.0.0.2:`) {
		t.Error("the second listener was not opened")
	}
}

// The operator changes his mind: the process that was to be the next one must not stay.
func TestASignalDuringAnUpgradeEndsBothProcesses(t *testing.T) {
	p := run(t, baseConfig)
	old := p.path + "-old"
	if err := os.Rename(p.path, old); err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(p.dir, "next")
	script := fmt.Sprintf("#!/bin/sh\necho $$ > %s.tmp\nmv %[1]s.tmp %[1]s\nexec sleep 60\n", mark)
	if err := os.WriteFile(p.path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGUSR2)
	p.await("the next process to start", func() bool { _, err := os.Stat(mark); return err == nil })
	p.signal(syscall.SIGUSR2)
	p.awaitLog("one is under way already", 1)
	text, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGTERM)
	p.exited(p.pid(), 0)
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(text))); err == nil {
		t.Error("the next process is still there")
	}
}

// The demo's origins are in its own process: they would end with it.
func TestTheDemoIsNotUpgraded(t *testing.T) {
	g := startTest(t, nil)
	var next upgrade
	g.beginUpgrade(t.Context(), &next)
	if next.done != nil {
		t.Error("an upgrade is under way")
	}
}

// Two processes that are no relatives must not share a data directory.
func TestADirectoryOfAStrangerIsNotShared(t *testing.T) {
	g := startTest(t, nil)
	for _, family := range []string{"", t.TempDir()} {
		if _, err := startEmbedded(t.Context(), g.config.DataDir, family, g.log); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("family %q: %v", family, err)
		}
	}
}

// connect opens a connection to the gateway.
func (p *program) connect() (net.Conn, *bufio.Reader) {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	return conn, bufio.NewReader(conn)
}

// ask makes one request on a connection.
func ask(t *testing.T, conn net.Conn, r *bufio.Reader, path string) *http.Response {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(testnet.Patience))
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}
