package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sluiceConf is all that differs from Sluice's defaults.
const sluiceConf = `
workers: 1
data_dir: {dir}/data
listeners:
  - address: "127.0.0.1:{port}"
admin:
  address: "127.0.0.1:{admin}"
  token: "{token}"
access_log: {path: ""}
`

// The same job as nginxProxy: one route for everything; the forwarded fields are always set; a pool as large as nginx's.
const (
	sluiceService = `{"name":"bench","nodes":[{"upstream":"127.0.0.1:{origin}","weight":1}],"pool":{"max_idle_per_worker":{keep}}}`
	sluiceRoute   = `{"id":"bench","prefix":"/*","service_name":"bench","plugins":{"request-id":{}}}`
)

// startSluice runs the gateway with its embedded etcd, whose CPU time and memory therefore count, and puts its route and service
// through the admin API.
func startSluice(ctx context.Context, h *harness, dir string) (*rival, error) {
	binary, err := h.sluiceBinary(ctx)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	admin, err := freePort()
	if err != nil {
		return nil, err
	}
	token := rand.Text()
	conf := filepath.Join(dir, "sluice.yaml")
	text := fill(sluiceConf, "{dir}", dir, "{port}", port, "{admin}", admin, "{token}", token)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("sluice: %w", err)
	}
	p, err := h.spawn(dir, "sluice", binary, "run", "--config", conf)
	if err != nil {
		return nil, err
	}
	r := &rival{name: "sluice", version: programVersion(binary, "version"), port: port, process: p, worker: p.pid(), check: true}
	api := adminAPI{base: fmt.Sprintf("http://127.0.0.1:%d", admin), token: token}
	if err := p.await(ctx, readyTimeout, func() error { return expectOK(ctx, api.base+"/readyz") }); err != nil {
		return nil, err
	}
	service := fill(sluiceService, "{origin}", h.origin.port, "{keep}", max(64, h.opt.connections))
	if err := api.put(ctx, "/v1/services/bench", service); err != nil {
		return nil, err
	}
	if err := api.put(ctx, "/v1/routes/bench", sluiceRoute); err != nil {
		return nil, err
	}
	return r, r.ready(ctx)
}

// sluiceBinary returns the binary that was given, or builds one as a release is built.
func (h *harness) sluiceBinary(ctx context.Context) (string, error) {
	if h.opt.sluice != "" {
		return filepath.Abs(h.opt.sluice)
	}
	binary := filepath.Join(h.dir, "sluice-binary")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	cmd.Dir = h.opt.repo
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("sluice: build: %w\n%s", err, out)
	}
	return binary, nil
}

// adminAPI is what the harness needs of Sluice's admin API.
type adminAPI struct {
	base  string
	token string
}

func (a adminAPI) put(ctx context.Context, path, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, a.base+path, bytes.NewBufferString(body))
	if err != nil {
		return fmt.Errorf("sluice: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("sluice: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil {
		return fmt.Errorf("sluice: PUT %s: %w", path, err)
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("sluice: PUT %s: %s: %s", path, res.Status, strings.TrimSpace(string(answer)))
	}
	return nil
}
