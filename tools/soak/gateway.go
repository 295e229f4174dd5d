package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// gateway is a running sluice. What it logs goes to a file.
type gateway struct {
	addr  string // of its listener
	base  string // of its admin API
	token string
	log   string // path
	data  string // its directory
	short bool   // of descriptors, as the scenario wants it
	cmd   *exec.Cmd
	done  chan struct{} // closed when the process has ended
	err   error         // why; valid after done

	once sync.Once
	http http.Client
}

// gatewayConf is the configuration. The access log is off: what it costs is known, and nobody reads it here.
const gatewayConf = `data_dir: %s
listeners:
  - address: %q
admin: {address: %q, token: %q}
access_log: {path: ""}
%s`

// startTime is how long a gateway may take until it serves, on a busy machine.
const startTime = time.Minute

// startGateway runs the binary with extra settings, and returns once it is ready. descriptors is the most that it may have open; 0 is as many as this
// process. It runs until close or stop.
func startGateway(ctx context.Context, h *harness, extra string, descriptors int) (*gateway, error) {
	ports, err := freeAddresses(2)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(h.dir, "gateway-")
	if err != nil {
		return nil, err
	}
	g := &gateway{
		addr: ports[0], base: "http://" + ports[1], token: rand.Text(), log: filepath.Join(dir, "sluice.log"), data: filepath.Join(dir, "data"), short: descriptors > 0, done: make(chan struct{}),
		http: http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}},
	}
	conf := filepath.Join(dir, "sluice.yaml")
	text := fmt.Sprintf(gatewayConf, g.data, g.addr, ports[1], g.token, extra)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if err := g.start(descriptors, h.binary, "run", "--config", conf); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := g.await(ctx, "the gateway to be ready", func() bool { return g.probe(ctx, "/readyz") == nil }); err != nil {
		g.stop()
		return nil, fmt.Errorf("%w\n%s", err, g.lastWords())
	}
	return g, nil
}

func (g *gateway) start(descriptors int, argv ...string) error {
	out, err := os.Create(g.log)
	if err != nil {
		return err
	}
	defer out.Close()    // the child has its own copy
	if descriptors > 0 { // the hard limit too, or the program would raise its own
		argv = append([]string{"sh", "-c", `ulimit -n "$0" && exec "$@"`, fmt.Sprint(descriptors)}, argv...)
	}
	g.cmd = exec.Command(argv[0], argv[1:]...)
	g.cmd.Stdout, g.cmd.Stderr = out, out
	// A group of its own: an interrupt from the keyboard is for this program, which then stops the gateway.
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := g.cmd.Start(); err != nil {
		return fmt.Errorf("start the gateway: %w", err)
	}
	go func() {
		g.err = g.cmd.Wait()
		close(g.done)
	}()
	return nil
}

// startPair starts a gateway and an origin behind it, and returns when the gateway's connections to it, which it keeps for so long, are closed again.
// On an error neither runs.
func startPair(ctx context.Context, h *harness, conf string, descriptors int, route, keep string) (*gateway, *origin, error) {
	g, err := startGateway(ctx, h, conf, descriptors)
	if err != nil {
		return nil, nil, err
	}
	o, err := startOrigin("127.0.0.1")
	if err != nil {
		_ = g.stop()
		return nil, nil, err
	}
	if err = g.route(ctx, route, fmt.Sprintf(`,"pool":{"idle_timeout":%q}`, keep), o); err == nil {
		err = g.awaitNodesGone(ctx)
	}
	if err != nil {
		_ = g.stop()
		o.close()
		return nil, nil, err
	}
	return g, o, nil
}

// stop ends the process by its own id: politely, then, after 15 s, at once. It returns what the process ended with. Further calls do nothing.
func (g *gateway) stop() error {
	var err error
	g.once.Do(func() {
		g.http.CloseIdleConnections()
		_ = g.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		select {
		case <-g.done:
			err = g.err
		case <-time.After(15 * time.Second):
			_ = g.cmd.Process.Kill()
			<-g.done
			err = errors.New("it had to be killed, 15s after SIGTERM")
		}
	})
	return err
}

// await asks ok again and again until it is true. It gives up with ctx, and when the process ends.
func (g *gateway) await(ctx context.Context, what string, ok func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("still waiting for %s: %w", what, ctx.Err())
		case <-g.done:
			return fmt.Errorf("waiting for %s: the gateway has ended: %v", what, g.err)
		case <-tick.C:
		}
	}
	return nil
}

// awaitFor is await with a time of its own.
func (g *gateway) awaitFor(ctx context.Context, d time.Duration, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return g.await(ctx, what, ok)
}

func (g *gateway) pid() int { return g.cmd.Process.Pid }

// probe fetches one of the pages that need no token.
func (g *gateway) probe(ctx context.Context, path string) error {
	_, err := g.call(ctx, http.MethodGet, path, "")
	return err
}

// call makes one call of the admin API. An answer that is not 2xx is an error.
func (g *gateway) call(ctx context.Context, method, path, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, g.base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := g.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, res.Status, bytes.TrimSpace(answer))
	}
	return answer, nil
}

// route puts a service of these origins, with more of its document in extra (",\"pool\":{…}"), and a route /name/* to it, and returns once a request comes
// through.
func (g *gateway) route(ctx context.Context, name, extra string, origins ...*origin) error {
	var nodes []string
	for _, o := range origins {
		nodes = append(nodes, fmt.Sprintf(`{"upstream":%q,"weight":1}`, o.addr))
	}
	service := fmt.Sprintf(`{"name":%q,"nodes":[%s]%s}`, name, strings.Join(nodes, ","), extra)
	if _, err := g.call(ctx, http.MethodPut, "/v1/services/"+name, service); err != nil {
		return err
	}
	route := fmt.Sprintf(`{"id":%q,"prefix":"/%s/*","service_name":%q}`, name, name, name)
	if _, err := g.call(ctx, http.MethodPut, "/v1/routes/"+name, route); err != nil {
		return err
	}
	return g.awaitFor(ctx, 10*time.Second, "the route "+name, func() bool { return askFresh(ctx, &dialer{addr: g.addr}, name) == nil })
}

// alarm is what must not be in a log. A gateway under chaos may complain of nodes; it may not be wrong.
var alarm = regexp.MustCompile(`BUG|panic|fatal error|DATA RACE|level=ERROR`)

// alarms returns the lines of the log that must not be there.
func (g *gateway) alarms() ([]string, error) {
	text, err := os.ReadFile(g.log)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if alarm.MatchString(line) && !(g.short && strings.Contains(line, syscall.EMFILE.Error())) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines, nil
}

func (g *gateway) lastWords() string {
	text, err := os.ReadFile(g.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-3000):])
}

// close stops the gateway and notes what every scenario demands: that it lived, did not panic, and ended in order.
func (g *gateway) close(ctx context.Context, r *report) {
	m, err := g.scrape(ctx)
	if err != nil {
		r.fail("still answers at the end", err)
	} else {
		r.zero("sluice_panics_total", int64(m["sluice_panics_total"]))
	}
	err = g.stop()
	r.must(err == nil, "ends in order at SIGTERM", endedWith(err), "exit 0")
	lines, err := g.alarms()
	if err != nil {
		r.fail("log", err)
		return
	}
	measured := "none"
	if len(lines) > 0 {
		measured = fmt.Sprintf("%d: %.200s", len(lines), lines[0])
	}
	r.must(len(lines) == 0, "BUG, panic or ERROR in its log", measured, "none")
}

func endedWith(err error) string {
	if err == nil {
		return "exit 0"
	}
	return err.Error()
}

// freeAddresses returns addresses of 127.0.0.1 that nobody listens on, all different. Someone else might take one before the gateway does; then it says so
// and the run fails.
func freeAddresses(n int) ([]string, error) {
	var list []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		list = append(list, ln.Addr().String())
	}
	return list, nil
}
