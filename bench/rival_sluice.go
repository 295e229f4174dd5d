package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// sluiceConf is all that differs from Sluice's defaults.
const sluiceConf = `
workers: {workers}
data_dir: {dir}/data
listeners:
  - address: "127.0.0.1:{port}"
    tls: {tls}
admin:
  address: "127.0.0.1:{admin}"
  token: "{token}"
access_log: {path: "{log}"}
etcd: {endpoints: [{store}]}
timeouts: {keep_alive: 600s}
`

// The same job as nginxProxy: one route for everything; the forwarded fields are always set; a pool as large as nginx's.
const (
	sluiceService = `{"name":"bench","nodes":[{"upstream":"127.0.0.1:{origin}","weight":1}],"pool":{"max_idle_per_worker":{keep}}}`
	sluiceRoute   = `{"id":"bench","prefix":"/*","service_name":"bench","plugins":{"request-id":{}}}`
	sluiceRewrite = `{"id":"bench","prefix":"/openapi/*","service_name":"bench","plugins":{"request-id":{},"proxy-rewrite":{"regex_uri":["^/openapi/(.*)$","/$1"]}}}`
	sluiceGRPC    = `{"name":"bench-grpc","protocol":"grpc","nodes":[{"upstream":"127.0.0.1:{origin}","weight":1}],"health":{"active":{"type":"tcp"}}}`
	sluiceCalls   = `{"id":"bench-grpc","prefix":"{grpcPath}*","protocol":"grpc","service_name":"bench-grpc","plugins":{"request-id":{}}}`
	sluiceOther   = `{"prefix":"{path}/*","service_name":"bench","plugins":{"request-id":{}}}`
)

// startSluice runs the gateway with its embedded etcd, whose CPU time and memory therefore count, and puts its route and service
// through the admin API.
func startSluice(ctx context.Context, h *harness, dir string, s setup) (*rival, error) {
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
	store := ""
	if s.storeApart {
		if store, err = h.startStore(ctx, dir, binary); err != nil {
			return nil, err
		}
	}
	token := rand.Text()
	conf := filepath.Join(dir, "sluice.yaml")
	text := fill(sluiceConf, "{dir}", dir, "{port}", port, "{admin}", admin, "{token}", token,
		"{workers}", s.workerCount(), "{tls}", s.tls, "{log}", when(s.accessLog, filepath.Join(dir, "access.log")), "{store}", when(store != "", strconv.Quote(store)))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("sluice: %w", err)
	}
	p, err := h.spawn(dir, "sluice", binary, "run", "--config", conf)
	if err != nil {
		return nil, err
	}
	api := &adminAPI{base: fmt.Sprintf("http://127.0.0.1:%d", admin), token: token}
	r := &rival{
		name: "sluice", version: programVersion(binary, "version"), setup: s, port: port, process: p, workers: []int{p.pid()}, check: true, admin: api, store: store, config: conf,
	}
	if err := p.await(ctx, readyTimeout, func() error { return expectOK(ctx, api.base+"/readyz") }); err != nil {
		return nil, err
	}
	if s.tls {
		c, err := h.certificateFiles()
		if err != nil {
			return nil, err
		}
		body, err := json.Marshal(map[string]any{"cert": c.cert, "key": c.key, "snis": []string{"*"}})
		if err != nil {
			return nil, fmt.Errorf("sluice: %w", err)
		}
		if err := api.put(ctx, "/v1/certificates/bench", string(body)); err != nil {
			return nil, err
		}
	}
	if s.grpc { // before the route that ready asks for: changes come into force in their order
		if err := api.put(ctx, "/v1/services/bench-grpc", fill(sluiceGRPC, "{origin}", h.callee.port())); err != nil {
			return nil, err
		}
		if err := api.put(ctx, "/v1/routes/bench-grpc", fill(sluiceCalls, "{grpcPath}", grpcPath)); err != nil {
			return nil, err
		}
	}
	service := fill(sluiceService, "{origin}", h.origin.port, "{keep}", max(64, h.opt.mostConnections()))
	if err := api.put(ctx, "/v1/services/bench", service); err != nil {
		return nil, err
	}
	route := sluiceRoute
	switch {
	case s.plugins:
		route = fillPlugins(sluicePlugins)
	case s.rewrite:
		route = sluiceRewrite
	}
	if err := h.fillRoutes(ctx, cmp.Or(store, socketOf(dir)), s.routes); err != nil {
		return nil, err
	}
	if err := api.put(ctx, "/v1/routes/bench", route); err != nil { // the last, so that the others are in force once it is
		return nil, err
	}
	return r, r.ready(ctx)
}

// socketOf is where the etcd of a gateway is that has its data in dir.
func socketOf(dir string) string { return "unix://" + filepath.Join(dir, "data", "etcd", "etcd.sock") }

// fillRoutes writes the other routes of a setup to the gateway's etcd. The admin API is for fewer: a million of them take it six minutes.
func (h *harness) fillRoutes(ctx context.Context, store string, n int) error {
	if n == 0 {
		return nil
	}
	binary, err := h.toolBinary(ctx, "fill")
	if err != nil {
		return err
	}
	lines, feed := io.Pipe()
	go func() {
		w := bufio.NewWriter(feed)
		for i := range n {
			fmt.Fprintf(w, "routes/other-%d %s\n", i, fill(sluiceOther, "{path}", routePath(i)))
		}
		feed.CloseWithError(w.Flush())
	}()
	defer lines.Close() // should the tool end early, the goroutine does too
	cmd := exec.CommandContext(ctx, binary, "-etcd", store)
	cmd.Stdin = lines
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sluice: %d routes: %w\n%s", n, err, out)
	}
	return nil
}

// sluiceBinary returns the binary that was given, or builds one as a release is built.
func (h *harness) sluiceBinary(ctx context.Context) (string, error) {
	if h.opt.sluice != "" {
		return filepath.Abs(h.opt.sluice)
	}
	if h.binary != "" {
		return h.binary, nil
	}
	binary := filepath.Join(h.dir, "sluice-binary")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	cmd.Dir = h.opt.repo
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("sluice: build: %w\n%s", err, out)
	}
	h.binary = binary
	return binary, nil
}

// adminAPI is what the harness needs of Sluice's admin API.
type adminAPI struct {
	base  string
	token string
	told  strings.Builder // what was written through it, for the report; keys of certificates are left out
}

func (a *adminAPI) put(ctx context.Context, path, body string) error {
	shown := body
	if strings.HasPrefix(path, "/v1/certificates/") {
		shown = "…"
	}
	fmt.Fprintf(&a.told, "PUT %s\n%s\n\n", path, shown)
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
