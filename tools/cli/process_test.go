package cli

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/testnet"
)

// program is the real binary, running, with those that have replaced it.
type program struct {
	t       *testing.T
	dir     string // of everything that it writes
	path    string // of the binary
	config  string // of the file
	stderr  string // of the file that all of its processes log to
	address string // of the first listener
	second  string // of the second one; "" without
	admin   string
	first   *exec.Cmd
	pids    []int // of all its processes, the latest last
	waited  map[int]bool
}

// baseConfig is a file that a test may append to.
const baseConfig = `workers: 2
listeners: [{address: "127.0.0.1:0"}]
admin: {address: "127.0.0.1:0"}
`

// run starts the binary on a configuration and waits until it serves. All of its processes are killed with the test.
func run(t *testing.T, config string) *program {
	t.Helper()
	p := &program{t: t, dir: t.TempDir(), path: binary(t), waited: make(map[int]bool)}
	p.config, p.stderr = filepath.Join(p.dir, "sluice.yaml"), filepath.Join(p.dir, "stderr")
	p.configure(config)
	p.start()
	t.Cleanup(p.clear)
	p.serving()
	return p
}

// start starts a process that nobody has started: the first one, or one after the end of all others.
func (p *program) start() {
	p.t.Helper()
	log, err := os.OpenFile(p.stderr, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.first = exec.Command(p.path, "run", "--config", p.config, "--pid-file", filepath.Join(p.dir, "pid"))
	p.first.Stderr = log
	p.first.Dir = p.dir
	if err := p.first.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.pids = append(p.pids, p.first.Process.Pid)
}

// serving waits until the process that was started serves, and notes where.
func (p *program) serving() {
	p.t.Helper()
	p.await("it serves", func() bool { return p.servingPID() == p.pid() })
	says := regexp.MustCompile(fmt.Sprintf(`msg=serving listeners="?\[([^ \]]+)(?: ([^ \]]+))?.* admin=(\S+) .*pid=%d\b`, p.pid()))
	var m []string
	p.await("it says where", func() bool {
		m = says.FindStringSubmatch(p.log())
		return m != nil
	})
	p.address, p.second, p.admin = m[1], m[2], m[3]
}

// clear kills what is left and looks for races that were seen.
func (p *program) clear() {
	for _, pid := range p.pids {
		if !p.waited[pid] {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			var status syscall.WaitStatus
			_, _ = syscall.Wait4(pid, &status, 0, nil)
		}
	}
	if log := p.log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "BUG:") || p.t.Failed() {
		p.t.Errorf("it said:\n%s", log)
	}
}

// configure writes the configuration file. data_dir and access_log are the test's unless they are given.
func (p *program) configure(config string) {
	p.t.Helper()
	if !strings.Contains(config, "data_dir:") {
		config += "data_dir: data\n"
	}
	if !strings.Contains(config, "access_log:") {
		config += "access_log: {path: access.log}\n"
	}
	if err := os.WriteFile(p.config, []byte(config), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// pid returns the process that serves now.
func (p *program) pid() int { return p.pids[len(p.pids)-1] }

// servingPID returns what is in the PID file, 0 for nothing.
func (p *program) servingPID() int {
	text, _ := os.ReadFile(filepath.Join(p.dir, "pid"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// log returns what all processes have logged.
func (p *program) log() string {
	text, err := os.ReadFile(p.stderr)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// await waits for a condition, and shows the log when it does not come true.
func (p *program) await(what string, cond func() bool) {
	p.t.Helper()
	testnet.Await(p.t, what, cond)
}

// awaitLog waits until something is logged for the n-th time.
func (p *program) awaitLog(text string, n int) {
	p.t.Helper()
	p.await(fmt.Sprintf("%q in the log", text), func() bool { return strings.Count(p.log(), text) >= n })
}

// signal sends a signal to the process that serves now.
func (p *program) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := syscall.Kill(p.pid(), sig); err != nil {
		p.t.Fatal(err)
	}
}

// upgrade replaces the process that serves, and waits until the new one does.
func (p *program) upgrade() {
	p.t.Helper()
	old := p.pid()
	p.signal(syscall.SIGUSR2)
	p.await("another process serves", func() bool { pid := p.servingPID(); return pid != 0 && pid != old })
	p.pids = append(p.pids, p.servingPID())
}

// upgradeTwice upgrades under crowds, of which each asks at least so many times in between. A process ends once every connection has left it, though nobody stops asking.
func (p *program) upgradeTwice(crowds []*crowd, least int64) {
	p.t.Helper()
	for n := range 2 {
		before := make([]int64, len(crowds))
		for i, c := range crowds {
			before[i] = c.asked.Load()
		}
		p.upgrade()
		for i, c := range crowds {
			p.await("requests to go on", func() bool { return c.asked.Load() > before[i]+least })
		}
		p.exited(p.pids[n], 0)
	}
}

// exited waits for the end of a process and checks its exit code.
func (p *program) exited(pid, code int) {
	p.t.Helper()
	var status syscall.WaitStatus
	p.await(fmt.Sprintf("process %d to end", pid), func() bool {
		// It becomes our child when its own parent has ended.
		got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		return err == nil && got == pid
	})
	p.waited[pid] = true
	if !status.Exited() || status.ExitStatus() != code {
		p.t.Errorf("process %d ended with %v, exit code %d, want %d", pid, status, status.ExitStatus(), code)
	}
}

// api makes one call to the admin API and returns the status.
func (p *program) api(method, path, body string) (int, string) {
	p.t.Helper()
	token, err := os.ReadFile(filepath.Join(p.dir, "data", "admin-token"))
	if err != nil {
		p.t.Fatal(err)
	}
	status, text, err := call(p.admin, string(token), method, path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	return status, text
}

// call makes one call to an admin API, on a connection of its own.
func call(address, token, method, path, body string) (int, string, error) {
	req, err := http.NewRequest(method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// get makes one request to the gateway, on a connection of its own, and returns the status; 0 when there was no answer.
func (p *program) get(path string) int {
	req, err := http.NewRequestWithContext(p.t.Context(), "GET", "http://"+p.address+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// route makes a route for everything below /x/ to an address, and waits until it is in force.
func (p *program) route(upstream string) {
	p.t.Helper()
	if status, body := p.api("PUT", "/v1/services/s", fmt.Sprintf(`{"nodes":[{"upstream":%q}]}`, upstream)); status/100 != 2 {
		p.t.Fatalf("put service: %d %s", status, body)
	}
	if status, body := p.api("PUT", "/v1/routes/x", `{"prefix":"/x/*","service_name":"s"}`); status/100 != 2 {
		p.t.Fatalf("put route: %d %s", status, body)
	}
	p.await("the route is in force", func() bool { return p.get("/x/1") == 200 })
}
