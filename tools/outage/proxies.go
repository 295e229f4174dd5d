package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The settings that all three are given, in their own words: connect and answer within tryTime or be tried elsewhere, twice at most, and probes every interval. Each has the
// balancer that leaves a slow node alone best.
const (
	tryTime  = 300 * time.Millisecond
	interval = time.Second
)

// proxy is what stands before the origins.
type proxy struct {
	address string
	admin   string // of sluice
	cmd     *exec.Cmd
	ended   chan struct{}
}

func startProxy(ctx context.Context, o *options, name string, nodes []string) (*proxy, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.dir, name+"-")
	if err != nil {
		return nil, err
	}
	p := &proxy{address: address}
	conf := filepath.Join(dir, "conf")
	switch name {
	case "sluice":
		return p, p.startSluice(ctx, o.sluice, dir, nodes)
	case "nginx":
		return p, p.start(ctx, conf, nginxConf(dir, address, nodes), "nginx", "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", conf)
	case "haproxy":
		return p, p.start(ctx, conf, haproxyConf(address, nodes), "haproxy", "-f", conf)
	}
	return nil, fmt.Errorf("there is no such proxy")
}

// start writes the configuration, runs the program, and returns once it answers.
func (p *proxy) start(ctx context.Context, path, conf string, argv ...string) error {
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		return err
	}
	log, err := os.Create(path + ".log")
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.ended = make(chan struct{})
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	return p.await(ctx, path+".log")
}

// await returns once a request is answered by an origin.
func (p *proxy) await(ctx context.Context, log string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if resp, err := http.Get("http://" + p.address + "/status"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
			continue
		case <-p.ended:
		case <-ctx.Done():
		}
		said, _ := os.ReadFile(log)
		p.stop()
		return fmt.Errorf("it does not serve:\n%s", said)
	}
}

// failedProbes returns how many probes have failed so far; 0 of a proxy that does not tell.
func (p *proxy) failedProbes() (int, error) {
	if p.admin == "" {
		return 0, nil
	}
	resp, err := http.Get("http://" + p.admin + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return sumOfFailedProbes(resp.Body)
}

// sumOfFailedProbes adds up the failed probes of all services in sluice's metrics.
func sumOfFailedProbes(metrics io.Reader) (sum int, err error) {
	lines := bufio.NewScanner(metrics)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "} ")
		if !strings.HasPrefix(name, "sluice_upstream_probes_total{") || !strings.Contains(name, `result="failed"`) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("metrics: %q: %w", lines.Text(), err)
		}
		sum += int(n)
	}
	return sum, lines.Err()
}

func (p *proxy) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

func (p *proxy) startSluice(ctx context.Context, binary, dir string, nodes []string) error {
	admin, err := freeAddress()
	if err != nil {
		return err
	}
	p.admin = admin
	const token = "outage-outage-outage"
	conf := fmt.Sprintf("data_dir: %s\nlisteners: [{address: %q}]\nadmin: {address: %q, token: %s}\naccess_log: {path: \"\"}\n",
		filepath.Join(dir, "data"), p.address, admin, token)
	put := func(path string, v any) error {
		body, err := json.Marshal(v)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, "PUT", "http://"+admin+path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 300 {
			said, _ := io.ReadAll(resp.Body)
			return fmt.Errorf("PUT %s: %s: %s", path, resp.Status, said)
		}
		return nil
	}
	list := []any{}
	for _, n := range nodes {
		list = append(list, map[string]any{"upstream": n})
	}
	service := map[string]any{
		"nodes": list,
		"health": map[string]any{
			"active":  map[string]any{"type": "http", "path": "/healthz", "interval": interval.String(), "timeout": tryTime.String()},
			"passive": map[string]any{"consecutive_failures": 3, "ejection": "5s"},
		},
		"timeout":  map[string]any{"connect": tryTime.String(), "per_try": tryTime.String()},
		"retry":    map[string]any{"attempts": 3, "hedge": map[string]any{}}, // the others have nothing like a hedge
		"balancer": map[string]any{"type": "ewma"},
	}
	ready := make(chan error, 1)
	go func() { // the proxy answers requests only once it has been told what to do
		var err error
		for range 500 {
			if err = put("/v1/services/s", service); err == nil {
				err = put("/v1/routes/all", map[string]any{"prefix": "/*", "service_name": "s"})
				break
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		ready <- err
	}()
	path := filepath.Join(dir, "sluice.yaml")
	if err := p.start(ctx, path, conf, binary, "run", "--config", path); err != nil {
		return err
	}
	return <-ready
}

func nginxConf(dir, address string, nodes []string) string {
	servers := ""
	for _, n := range nodes {
		servers += "    server " + n + " max_fails=3 fail_timeout=1s;\n"
	}
	ms := fmt.Sprintf("%dms", tryTime.Milliseconds())
	return `daemon off;
worker_processes 2;
pid ` + dir + `/nginx.pid;
events { worker_connections 4096; }
http {
  access_log off;
  upstream s {
    zone s 64k;
    least_conn;
` + servers + `    keepalive 64;
  }
  server {
    listen ` + address + `;
    location / {
      proxy_pass http://s;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_connect_timeout ` + ms + `;
      proxy_read_timeout ` + ms + `;
      proxy_next_upstream error timeout;
      proxy_next_upstream_tries 3;
    }
  }
}
`
}

func haproxyConf(address string, nodes []string) string {
	servers := ""
	for i, n := range nodes {
		servers += fmt.Sprintf("  server n%d %s\n", i, n)
	}
	ms := fmt.Sprintf("%dms", tryTime.Milliseconds())
	return `global
  nbthread 2
defaults
  mode http
  timeout client 10s
  timeout connect ` + ms + `
  timeout server ` + ms + `
  timeout check ` + ms + `
  retries 2
  option redispatch 1
  retry-on conn-failure empty-response response-timeout
  option httpchk GET /healthz
  default-server check inter 1s fastinter 333ms downinter 333ms fall 2 rise 1 observe layer7 error-limit 3 on-error mark-down
frontend f
  bind ` + address + `
  default_backend s
backend s
  balance leastconn
` + servers
}
