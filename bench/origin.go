package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Paths of the origin.
const (
	smallPath = "/small" // what is measured
	checkPath = "/check" // says which fields reached the origin
	countPath = "/count" // how many requests it has answered
	sinkPath  = "/sink"  // answers, with nothing, once it has the whole body
)

// bodyPath is a file of so many bytes, each bodyByte.
func bodyPath(size int64) string { return bodyFolder + strconv.FormatInt(size, 10) }

const bodyFolder, bodyByte = "/body/", "x"

// smallBody is the answer that is measured: 64 bytes, so that what is compared is the work per request.
const smallBody = "sluice bench: sixty-four bytes of an answer, no more, no less.\r\n"

// originConf makes answers from memory. README.md has the measurement by which nginx was chosen over an origin of our own.
const originConf = nginxMain + `
http {
  access_log off;
  tcp_nodelay on;
  default_type text/plain;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
  server {
    listen 127.0.0.1:{port} backlog=4096;
    location = /small { return 200 "{small}"; }
    location = /check { return 200 "{check}"; }
    location = /count { stub_status; }
    location = /sink {
      client_max_body_size 0;
      client_body_buffer_size 16m;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_pass http://127.0.0.1:{port}/empty;
    }
    location = /empty { return 200 ""; }
    location /body/ { root .; sendfile on; tcp_nopush on; }
  }
}
`

// startOrigin runs the server that all rivals forward to.
func (h *harness) startOrigin(ctx context.Context) error {
	dir, err := h.subdir("origin")
	if err != nil {
		return err
	}
	if err := writeBodies(filepath.Join(dir, "body")); err != nil {
		return err
	}
	var check strings.Builder
	for _, f := range checkedFields {
		fmt.Fprintf(&check, "%s=$http_%s\n", f.name, strings.ReplaceAll(strings.ToLower(f.name), "-", "_"))
	}
	o, err := h.runNginx("origin", dir, originConf, "{small}", smallBody, "{check}", check.String(), "{workers}", 1)
	if err != nil {
		return err
	}
	if err := o.ready(ctx); err != nil {
		return err
	}
	h.origin = o
	text, err := os.ReadFile(o.config)
	if err != nil {
		return err
	}
	h.configs[originConfigName] = string(text)
	h.callee, err = startCallee()
	return err
}

// writeBodies makes the files that are downloaded.
func writeBodies(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	for _, n := range bodySizes {
		if err := os.WriteFile(filepath.Join(dir, strconv.FormatInt(n, 10)), bytes.Repeat([]byte(bodyByte), int(n)), 0o644); err != nil {
			return fmt.Errorf("origin: %w", err)
		}
	}
	return nil
}

// originCount returns how many requests of a job's kind the origin has answered since its start.
func (h *harness) originCount(ctx context.Context, j job) (int64, error) {
	if j.grpc {
		return h.callee.calls.Load(), nil
	}
	body, _, err := get(ctx, h.origin.url(countPath), nil)
	if err != nil {
		return 0, err
	}
	return parseStubStatus(body)
}

// parseStubStatus reads the third number of the line below "server accepts handled requests".
func parseStubStatus(text string) (int64, error) {
	_, rest, ok := strings.Cut(text, "requests\n")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 3 {
		return 0, fmt.Errorf("origin: stub_status says %q", text)
	}
	n, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("origin: stub_status: %w", err)
	}
	return n, nil
}

// probe makes one connection per request, so that no idle one of the harness is counted as a rival's memory.
var probe = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: benchTLS()},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// get returns body and head of a 200; any other status is an error.
func get(ctx context.Context, url string, fields http.Header) (string, http.Header, error) {
	return exchange(ctx, http.MethodGet, url, fields, nil)
}

func exchange(ctx context.Context, method, url string, fields http.Header, body io.Reader) (string, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return "", nil, err
	}
	for name, values := range fields {
		req.Header[name] = values
	}
	res, err := probe.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return "", nil, err
	}
	if res.StatusCode != http.StatusOK {
		return "", nil, fmt.Errorf("%s: %s: %.200s", url, res.Status, answer)
	}
	return string(answer), res.Header, nil
}

func expectOK(ctx context.Context, url string) error {
	_, _, err := get(ctx, url, nil)
	return err
}

// expectAnswer requires the answer that is measured: the small one to the byte, another in its length.
func expectAnswer(ctx context.Context, r *rival, j job) error {
	if j.streams > 0 {
		return expectAnswerHTTP2(ctx, r, j)
	}
	method, body := http.MethodGet, io.Reader(nil)
	if j.upload > 0 {
		method, body = http.MethodPost, strings.NewReader(strings.Repeat("x", int(j.upload)))
	}
	answer, _, err := exchange(ctx, method, r.url(j.path), nil, body)
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	return isAnswer(r, j, answer)
}

// isAnswer compares a body with the origin's.
func isAnswer(r *rival, j job, answer string) error {
	switch {
	case j.path == smallPath && answer != smallBody:
		return fmt.Errorf("%s: the answer is %q, the origin's was %q", r.name, answer, smallBody)
	case j.grpc && answer != grpcMessage:
		return fmt.Errorf("%s: the message is %q, the origin's was %q", r.name, answer, grpcMessage)
	case strings.HasPrefix(j.path, bodyFolder) && strings.Trim(answer, bodyByte) != "":
		return fmt.Errorf("%s: the answer has other bytes than the origin's", r.name)
	case int64(len(answer)) != j.size:
		return fmt.Errorf("%s: the answer has %d bytes, the origin's had %d", r.name, len(answer), j.size)
	}
	return nil
}
