package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// haproxyConf is the same job as nginxProxy, in HAProxy's words. Without an access log it logs nowhere, since no log target is named.
const haproxyConf = `
global
  nbthread {workers}
  no strict-limits
  maxconn {connections}
{logTarget}
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 3s
  timeout client 600s
  timeout server 60s
  timeout http-request 10s
  timeout http-keep-alive 600s

frontend in
  bind 127.0.0.1:{port} backlog 4096{ssl}
  unique-id-format %{+X}o%ci%cp%fi%fp%Ts%rt%pid
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto {scheme}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Real-IP %[src]
  http-response set-header X-Request-Id %[unique-id]
{log}{target}{routes}{grpc}  default_backend origin

backend origin
  server origin 127.0.0.1:{origin} pool-max-conn -1

backend origin-http2
  server origin 127.0.0.1:{originHTTP2} proto h2 pool-max-conn -1
`

// HAProxy has no log file of its own: it writes to its standard output, which the harness keeps in one.
const (
	haproxyLogTarget = "  log stdout format raw local0\n"
	haproxyLog       = `  log global
  log-format "{\"time\":\"%T\",\"client\":\"%ci\",\"method\":\"%HM\",\"path\":\"%HPO\",\"status\":%ST,\"bytes\":%B,\"duration\":%Ta,\"node\":\"%si:%sp\",\"id\":\"%ID\"}"
`
	haproxyRewrite = `  http-request replace-path ^/openapi/(.*)$ /\1
`
)

func startHAProxy(ctx context.Context, h *harness, dir string, s setup) (*rival, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	routes := ""
	if s.routes > 0 {
		file := filepath.Join(dir, "routes.txt")
		if err := writeLines(file, s.routes, func(i int) string { return routePath(i) + "/" }); err != nil {
			return nil, fmt.Errorf("haproxy: %w", err)
		}
		routes = "  use_backend origin if { path_beg -f " + file + " }\n" // read into a prefix tree
	}
	ssl, scheme := "", "http"
	if s.tls {
		c, err := h.certificateFiles()
		if err != nil {
			return nil, err
		}
		ssl, scheme = " ssl crt "+c.bothFile+" alpn h2,http/1.1 ciphersuites "+benchSuites, "https"
	}
	conf := filepath.Join(dir, "haproxy.cfg")
	text := fill(haproxyConf, "{port}", port, "{origin}", h.origin.port, "{originHTTP2}", h.callee.port(), "{connections}", h.opt.tableSize(), "{workers}", s.workerCount(),
		"{ssl}", ssl, "{scheme}", scheme, "{logTarget}", when(s.accessLog, haproxyLogTarget), "{log}", when(s.accessLog, haproxyLog), "{target}", s.target(haproxyRewrite, haproxyPlugins), "{routes}", routes,
		"{grpc}", when(s.grpc, "  use_backend origin-http2 if { path_beg "+grpcPath+" }\n"))
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("haproxy: %w", err)
	}
	p, err := h.spawn(dir, "haproxy", "haproxy", "-db", "-f", conf) // -db: in the foreground, as one process
	if err != nil {
		return nil, err
	}
	r := &rival{
		name: "haproxy", version: programVersion("haproxy", "-v"), setup: s, port: port, process: p, workers: []int{p.pid()}, check: true, config: conf,
	}
	return r, r.ready(ctx)
}

// writeLines writes a file of n lines.
func writeLines(path string, n int, line func(i int) string) error {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(i))
		b.WriteByte('\n')
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
