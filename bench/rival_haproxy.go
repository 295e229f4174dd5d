package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// haproxyConf is the same job as nginxProxy, in HAProxy's words. It logs nowhere, since no log target is named.
const haproxyConf = `
global
  nbthread 1
  maxconn {connections}

defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 3s
  timeout client 120s
  timeout server 60s
  timeout http-request 10s
  timeout http-keep-alive 120s

frontend in
  bind 127.0.0.1:{port} backlog 4096
  unique-id-format %{+X}o%ci%cp%fi%fp%Ts%rt%pid
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Real-IP %[src]
  http-response set-header X-Request-Id %[unique-id]
  default_backend origin

backend origin
  server origin 127.0.0.1:{origin} pool-max-conn -1
`

func startHAProxy(ctx context.Context, h *harness, dir string) (*rival, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "haproxy.cfg")
	text := fill(haproxyConf, "{port}", port, "{origin}", h.origin.port, "{connections}", maxConnections)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("haproxy: %w", err)
	}
	p, err := h.spawn(dir, "haproxy", "haproxy", "-db", "-f", conf) // -db: in the foreground, as one process
	if err != nil {
		return nil, err
	}
	r := &rival{name: "haproxy", version: programVersion("haproxy", "-v"), port: port, process: p, worker: p.pid(), check: true}
	return r, r.ready(ctx)
}
