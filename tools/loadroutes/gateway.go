package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// gateway is a running sluice.
type gateway struct {
	cmd   *exec.Cmd
	addr  string
	admin string
	log   string // path
	took  time.Duration
	done  chan struct{}
}

// figures is what is measured of a gateway.
type figures struct {
	start   time.Duration // of the process, until it serves
	read    time.Duration // reading the list from etcd
	load    time.Duration // from then until it is in force
	rss     int64         // bytes
	cpu     time.Duration // for a request
	changes []time.Duration

	still, busy churned // without and with changes
}

func build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "sluice")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "sluice").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// startGateway returns once it serves.
func startGateway(ctx context.Context, o *options, s *store, prefix, binary, dir string) (*gateway, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	g := &gateway{log: filepath.Join(dir, "log"), done: make(chan struct{})}
	var err error
	if g.addr, err = freeAddress(); err != nil {
		return nil, err
	}
	if g.admin, err = freeAddress(); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf("workers: %d\ndata_dir: %q\nlisteners: [{address: %q}]\nadmin: {address: %q}\naccess_log: {path: \"\"}\netcd: {endpoints: [%q], prefix: %q}\n",
		o.workers, filepath.Join(dir, "data"), g.addr, g.admin, s.endpoint, prefix)
	path := filepath.Join(dir, "sluice.yaml")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return g, g.start(ctx, binary, path)
}

// freeAddress returns an address with a port that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (g *gateway) start(ctx context.Context, binary, conf string) error {
	log, err := os.Create(g.log)
	if err != nil {
		return err
	}
	defer log.Close()
	g.cmd = exec.Command(binary, "run", "--config", conf)
	g.cmd.Stderr = log
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	probe := http.Client{Timeout: 5 * time.Second}
	begin := time.Now()
	if err := g.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = g.cmd.Wait() // the log says why
		close(g.done)
	}()
	for {
		resp, err := probe.Get("http://" + g.admin + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				g.took = time.Since(begin)
				return nil
			}
		}
		select {
		case <-g.done:
			text, _ := os.ReadFile(g.log) // without it there is less to say
			return fmt.Errorf("the gateway has ended:\n%s", text)
		case <-ctx.Done():
			g.stop()
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (g *gateway) stop() {
	_ = g.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-g.done:
	case <-time.After(15 * time.Second):
		_ = g.cmd.Process.Kill()
		<-g.done
	}
}

var readLine = regexp.MustCompile(`everything was read".* reason=start .*read_in=(\S+) applied_in=(\S+)`)

// settleTime is how long a gateway has to write the last good state to disk and to give back what its start has left behind.
const settleTime = 10 * time.Second

// settled returns what can be told of a gateway that has started, once it has settled.
func (g *gateway) settled() (f figures, err error) {
	f.start = g.took
	text, err := os.ReadFile(g.log)
	if err != nil {
		return f, err
	}
	m := readLine.FindStringSubmatch(string(text))
	if m == nil {
		return f, fmt.Errorf("the log does not say how long the list took:\n%s", text)
	}
	var errs [2]error
	f.read, errs[0] = time.ParseDuration(m[1])
	f.load, errs[1] = time.ParseDuration(m[2])
	time.Sleep(settleTime)
	f.rss, err = g.memory()
	return f, errors.Join(errs[0], errs[1], err)
}

// memory returns the resident set, in bytes.
func (g *gateway) memory() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// cpu returns what the process has used: fields 14 and 15 of proc_pid_stat(5), in hundredths of a second.
func (g *gateway) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}
