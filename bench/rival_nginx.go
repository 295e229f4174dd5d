package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// nginxMain is what the rival and the origin have in common: nothing outside its folder, no limit that the load would meet.
const nginxMain = `
daemon off;
{user}
worker_processes {workers};
worker_rlimit_nofile {files};
pid nginx.pid;
error_log stderr error;
events { worker_connections {connections}; }
`

// nginxProxy keeps connections alive on both sides and never ends one for having served many requests, since a new connection
// would be counted as a cost of forwarding. The client address replaces X-Forwarded-For, as every gateway does that trusts no peer.
const nginxProxy = nginxMain + `
http {
{log}{pages}  tcp_nodelay on;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
  upstream origin {
    server 127.0.0.1:{origin};
    keepalive {keep};
    keepalive_requests 1000000000;
  }
  upstream origin-http2 {
    server 127.0.0.1:{originHTTP2};
    keepalive {keep};
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:{port} backlog=4096{reuseport}{ssl};
    listen 127.0.0.1:{http2} http2 backlog=4096{reuseport}{ssl};
{certificate}    client_max_body_size 0;
    proxy_request_buffering off;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Request-Id $request_id;
    add_header X-Request-Id $request_id always;
{routes}{target}{grpc}    location / { proxy_pass http://origin; }
  }
}
`

// nginxTLS is both versions, as everybody serves them, and sessions resumed by ticket. The suite is the server's choice, as it is Sluice's, or a client that names
// AES-256 first would get AES-128 of the one and AES-256 of the other.
const nginxTLS = `    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    ssl_conf_command Ciphersuites {suites};
    ssl_session_tickets on;
    ssl_session_timeout 1h;
`

// The optional lines of nginxProxy. The log is buffered, as an operator who counts microseconds has it.
const (
	nginxNoLog = "  access_log off;\n"
	nginxLog   = `  log_format json escape=json '{"time":"$time_iso8601","client":"$remote_addr","method":"$request_method","path":"$request_uri","status":$status,'
    '"bytes":$body_bytes_sent,"duration":$request_time,"node":"$upstream_addr","id":"$request_id"}';
  access_log access.log json buffer=64k flush=1s;
`
	nginxGRPC = `    location {grpcPath} {
      grpc_pass grpc://origin-http2;
      grpc_set_header Host $http_host;
      grpc_set_header X-Forwarded-For $remote_addr;
      grpc_set_header X-Forwarded-Proto $scheme;
      grpc_set_header X-Forwarded-Host $http_host;
      grpc_set_header X-Real-IP $remote_addr;
      grpc_set_header X-Request-Id $request_id;
    }
`
	nginxRewrite = `    location /openapi/ { rewrite ^/openapi/(.*)$ /$1 break; proxy_pass http://origin; }
`
)

func startNginx(ctx context.Context, h *harness, dir string, s setup) (*rival, error) {
	routes := ""
	if s.routes > 0 {
		if err := writeLines(filepath.Join(dir, "routes.conf"), s.routes, func(i int) string {
			return "location " + routePath(i) + "/ { proxy_pass http://origin; }"
		}); err != nil {
			return nil, fmt.Errorf("nginx: %w", err)
		}
		routes = "    include routes.conf;\n"
	}
	http2, err := freePort()
	if err != nil {
		return nil, err
	}
	ssl, certificate := "", ""
	if s.tls {
		c, err := h.certificateFiles()
		if err != nil {
			return nil, err
		}
		ssl, certificate = " ssl", fill(nginxTLS, "{cert}", c.certFile, "{key}", c.keyFile, "{suites}", benchSuites)
	}
	log := nginxNoLog
	if s.accessLog {
		log = nginxLog
	}
	r, err := h.runNginx("nginx", dir, nginxProxy, "{http2}", http2, "{origin}", h.origin.port, "{originHTTP2}", h.callee.port(), "{keep}", max(64, h.opt.mostConnections()), "{workers}", s.workerCount(),
		"{ssl}", ssl, "{certificate}", certificate, "{grpc}", when(s.grpc, fill(nginxGRPC, "{grpcPath}", grpcPath)), "{reuseport}", when(s.workerCount() > 1, " reuseport"), "{log}", log, "{routes}", routes, "{pages}", when(s.plugins, fillPlugins(nginxPluginsMap)), "{target}", s.target(nginxRewrite, nginxPlugins))
	if err != nil {
		return nil, err
	}
	r.check, r.setup, r.http2 = true, s, http2
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	r.workers, err = childrenOf(r.process.pid(), s.workerCount())
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
	pairs = append(pairs, "{port}", port, "{user}", user, "{connections}", h.opt.tableSize(), "{files}", mostFiles(h.opt.tableSize()+100))
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(fill(text, pairs...)), 0o644); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p, err := h.spawn(dir, name, "nginx", "-p", dir, "-c", conf, "-e", "stderr")
	if err != nil {
		return nil, err
	}
	return &rival{name: name, version: programVersion("nginx", "-v"), port: port, process: p, config: conf}, nil
}

// mostFiles is how many descriptors a process may have that wants so many: nobody may go beyond the hard limit but who has the privilege.
func mostFiles(want int) int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil && l.Max < uint64(want) {
		return int(l.Max)
	}
	return want
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
