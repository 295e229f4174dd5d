package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nginxMain is what the rival and the origin have in common: one worker, no access log, nothing outside its folder.
const nginxMain = `
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile {files};
pid nginx.pid;
error_log stderr error;
events { worker_connections {connections}; }
`

// nginxProxy keeps connections alive on both sides and never ends one for having served many requests, since a new connection
// would be counted as a cost of forwarding. The client address replaces X-Forwarded-For, as every gateway does that trusts no peer.
const nginxProxy = nginxMain + `
http {
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 120s;
  keepalive_requests 1000000000;
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
  upstream origin {
    server 127.0.0.1:{origin};
    keepalive {keep};
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:{port} backlog=4096;
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Request-Id $request_id;
      add_header X-Request-Id $request_id always;
    }
  }
}
`

func startNginx(ctx context.Context, h *harness, dir string) (*rival, error) {
	r, err := h.runNginx("nginx", dir, nginxProxy, "{origin}", h.origin.port, "{keep}", max(64, h.opt.connections))
	if err != nil {
		return nil, err
	}
	r.check = true
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	r.worker, err = onlyChild(r.process.pid())
	return r, err
}

// runNginx starts an nginx with a configuration; the caller waits until it is ready.
func (h *harness) runNginx(name, dir, text string, pairs ...any) (*rival, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // else the worker could not enter the run's own folder
	}
	pairs = append(pairs, "{port}", port, "{user}", user, "{connections}", 2*maxConnections+1000, "{files}", 2*maxConnections+1100)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(fill(text, pairs...)), 0o644); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p, err := h.spawn(dir, name, "nginx", "-p", dir, "-c", conf, "-e", "stderr")
	if err != nil {
		return nil, err
	}
	return &rival{name: name, version: programVersion("nginx", "-v"), port: port, process: p}, nil
}

// programVersion returns the first line a program prints about itself.
func programVersion(argv ...string) string {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil && len(out) == 0 {
		return err.Error()
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}
